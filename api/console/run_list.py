"""The list of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from ...core.errors import CallError, Problem
from ...eventstore.store import Store
from ...projections.indexed import indexed_page
from ...projections.past import read_moment
from ...projections.run_counts import StatusCounts, status_counts
from ...projections.run_filter import RunFilter, check_status
from ...projections.run_list import page_of
from ...projections.run_row import STATUSES
from ...projections.texts import column_text
from ..callers import Reader
from ..ports import Given
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/runs`."""

LIMIT = 50
"""How many runs stand on a page, unless it is asked for another number."""

LOOKED_AT = 300
"""How many runs are read for a page where no projector keeps an index."""

PATIENCE_SECONDS = 0.04
"""For how long a page waits for its counts: of a million runs they take longer, and the next look has them."""

FILTERS = ("status", "prefix", "type", "agent", "error", "attribute", "since", "until")
"""By what runs are found here."""

_Text = Annotated[str, Field(max_length=300), AfterValidator(column_text)]


class Filtered(BaseModel):
    """Which runs. `prefix` is what their ids begin with, `attribute` is NAME=VALUE; times are ISO 8601 with a zone, or
    a time ago such as -2h."""

    status: _Text | None = None
    prefix: _Text | None = None
    type: _Text | None = None
    agent: _Text | None = None
    error: _Text | None = None
    attribute: _Text | None = None
    since: _Text | None = None
    until: _Text | None = None


class ListParameters(PageParameters, Filtered):
    """Which runs, and which page of them."""

    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = LIMIT


@router.get("/")
async def home() -> Response:
    """The console begins with the runs."""
    return Response(status_code=303, headers={"location": "/runs"})


@router.get("/runs")
async def runs_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[ListParameters, Query()]
) -> Response:
    """The runs of the tenant, latest started first."""
    chosen = await ports.ask(filter_from, ports.store, wanted)
    every = replace(chosen, status=None)

    async def counting() -> StatusCounts:
        return await ports.ask(status_counts, ports.store, caller.tenant, every, LOOKED_AT)

    key = (caller.tenant, repr(every))
    if wanted.format == "json":
        counts = await ports.status_counts.get(key, counting)
    else:
        counts = await ports.status_counts.soon(key, counting, PATIENCE_SECONDS)
    model = await ports.ask(_model, ports.store, caller.tenant, wanted, chosen, counts)
    return await page(request, ports, caller, "runs.html", model)


def filter_from(store: Store, wanted: Filtered) -> RunFilter:
    """The filter that is meant. Raises CallError."""
    at = store.dispatch.now() if wanted.since or wanted.until else 0
    attributes: dict[str, str] = {}
    if wanted.attribute is not None:
        name, equals, value = wanted.attribute.partition("=")
        if not equals or not name:
            raise CallError(Problem("", "the attribute is not given as NAME=VALUE", "write, for example, region=eu"))
        attributes[name] = value
    return RunFilter(
        status=None if wanted.status is None else check_status(wanted.status),
        prefix=wanted.prefix,
        workflow_type=wanted.type,
        agent_id=wanted.agent,
        error_code=wanted.error,
        started_since=None if wanted.since is None else read_moment(wanted.since, at).at,
        started_until=None if wanted.until is None else read_moment(wanted.until, at).at,
        attributes=attributes,
    )


def _model(
    store: Store, tenant: str, wanted: ListParameters, chosen: RunFilter, counts: StatusCounts | None
) -> dict[str, Any]:
    before = None if wanted.cursor is None else int(wanted.cursor)
    found = indexed_page(store, tenant, before, wanted.limit, chosen)
    shown = page_of(store, tenant, before, wanted.limit, chosen, LOOKED_AT) if found is None else found.page
    given = wanted.model_dump(exclude={"format", "cursor", "limit"}, exclude_none=True)
    return {
        "runs": [row.to_json() for row in shown.rows],
        "next_cursor": None if shown.next_cursor is None else str(shown.next_cursor),
        "first": before is None,
        "filter": {name: given.get(name) for name in FILTERS},
        "limit": wanted.limit if wanted.limit != LIMIT else None,
        "filtered": bool(given),
        "counts": _shown(counts, wanted.status),
        "total": None if counts is None else sum(counts.by_status.values()),
        "complete": counts is None or counts.complete,
        "lag": None if found is None else {"events": found.lag.events, "seconds": found.lag.seconds},
    }


def _shown(counts: StatusCounts | None, chosen: str | None) -> dict[str, int | None]:
    """In the order in which runs come through them, None where they are still counted; a status that no run has is
    told only if it is asked for."""
    if counts is None:
        return dict.fromkeys(STATUSES)
    found = counts.by_status
    return {status: found.get(status, 0) for status in STATUSES if found.get(status) or status == chosen}
