"""The list of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from ...core.errors import CallError, Problem
from ...eventstore.store import Store
from ...projections.indexed import index_of, indexed_page
from ...projections.past import read_moment
from ...projections.run_counts import run_counts
from ...projections.run_filter import RunFilter, check_status
from ...projections.run_list import log_rows, page_of, takes
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
    model = await ports.ask(_model, ports.store, caller.tenant, wanted)
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


def _model(store: Store, tenant: str, wanted: ListParameters) -> dict[str, Any]:
    chosen = filter_from(store, wanted)
    before = None if wanted.cursor is None else int(wanted.cursor)
    found = indexed_page(store, tenant, before, wanted.limit, chosen)
    shown = page_of(store, tenant, before, wanted.limit, chosen, LOOKED_AT) if found is None else found.page
    counts, complete = _counts(store, tenant, replace(chosen, status=None))
    given = wanted.model_dump(exclude={"format", "cursor", "limit"}, exclude_none=True)
    return {
        "runs": [row.to_json() for row in shown.rows],
        "next_cursor": None if shown.next_cursor is None else str(shown.next_cursor),
        "first": before is None,
        "filter": {name: given.get(name) for name in FILTERS},
        "limit": wanted.limit if wanted.limit != LIMIT else None,
        "filtered": bool(given),
        "counts": {
            status: counts.get(status, 0) for status in STATUSES if counts.get(status) or status == wanted.status
        },
        "total": sum(counts.values()),
        "complete": complete,
        "lag": None if found is None else {"events": found.lag.events, "seconds": found.lag.seconds},
    }


def _counts(store: Store, tenant: str, chosen: RunFilter) -> tuple[Mapping[str, int], bool]:
    """How many runs there are of each status, and whether these are all: without an index the latest are counted."""
    if index_of(store, chosen) is not None:
        return {str(status): number for status, number in run_counts(store, tenant, chosen, ["status"]).rows}, True
    rows = list(islice(log_rows(store, tenant), LOOKED_AT + 1))
    counted = Counter(row.status for row in rows[:LOOKED_AT] if takes(store, tenant, row, chosen))
    return counted, len(rows) <= LOOKED_AT
