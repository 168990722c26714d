"""Lists of runs, and how many there are: from the index while a projector keeps it, else from the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ...core.errors import InvalidError, Problem
from ...eventstore.store import Store
from ...projections.indexed import IndexedPage, indexed_page
from ...projections.run_counts import RunCounts, run_counts
from ...projections.run_filter import RunFilter
from ...projections.run_list import page_of
from ...projections.run_row import Page
from ...projections.texts import column_text
from ..answers import answer
from ..callers import Reader
from ..ports import Given
from ..run_answers import Counts, RunPage

router = APIRouter(prefix="/v1", tags=["runs"])
"""`GET /v1/runs` and `GET /v1/runs:counts`."""

MAX_LOOKED_AT = 1_000
"""How many runs one request for a list reads from the log at most, whatever it filters."""

Status = Literal[
    "queued",
    "running",
    "waiting",
    "paused",
    "parked",
    "completed",
    "failed",
    "cancelled",
    "timed_out",
    "rejected",
    "unreadable",
]
"""Where a run in a list may stand."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})$"


def _time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Time = Annotated[str, Field(pattern=_TIME, examples=["2026-11-20T08:00:00Z"]), AfterValidator(_time)]
"""A time with its zone, in ISO 8601."""

_Text = Annotated[str, Field(max_length=200)]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@~-]{0,199}$")]


class FilterParameters(BaseModel):
    """Which runs: those of which everything holds that is given.

    `status` may be given several times. A `version` goes with a `workflow_type`. `started_after` is with the time
    itself, `started_before` without. `parent` is the run that started them, `forked_from` the one that they were
    forked from, `prefix` what their ids begin with.
    `attribute` is `name=value`: a text as it is, any other value as JSON writes it.
    """

    model_config = ConfigDict(extra="forbid")

    status: Annotated[list[Status], Field(max_length=11)] = []
    workflow_type: _Text | None = None
    version: _Text | None = None
    agent_id: _Text | None = None
    queue: _Text | None = None
    error_code: _Text | None = None
    started_after: Time | None = None
    started_before: Time | None = None
    parent: _Id | None = None
    prefix: _Id | None = None
    forked_from: _Id | None = None
    attribute: Annotated[list[Annotated[str, Field(pattern=r"^[^=\x00]{1,200}=[^\x00]*$")]], Field(max_length=20)] = []


Cursor = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")]
"""The `next_cursor` of the page before."""

Limit = Annotated[int, Field(ge=1, le=200)]
"""How many runs a page has at most."""


class ListParameters(FilterParameters):
    """Which runs, and how many; `cursor` is the `next_cursor` of the page before."""

    cursor: Cursor | None = None
    limit: Limit = 50


class ForkParameters(BaseModel):
    """How many; `cursor` is the `next_cursor` of the page before."""

    model_config = ConfigDict(extra="forbid")

    cursor: Cursor | None = None
    limit: Limit = 50


def filter_of(wanted: FilterParameters) -> RunFilter:
    """The filter that the parameters mean. Raises InvalidError for a version of no type."""
    if wanted.version is not None and wanted.workflow_type is None:
        reason = "query parameter 'version' is given without 'workflow_type'"
        raise InvalidError(Problem("", reason, "say which type's version it is"))
    names = ("workflow_type", "agent_id", "queue", "error_code", "parent", "prefix", "forked_from")
    given: dict[str, Any] = {
        name: None if (text := getattr(wanted, name)) is None else column_text(text) for name in names
    }
    return RunFilter(
        **given,
        workflow_version=None if wanted.version is None else column_text(wanted.version),
        started_since=None if wanted.started_after is None else _micros(wanted.started_after),
        started_until=None if wanted.started_before is None else _micros(wanted.started_before),
        attributes=dict(pair.split("=", 1) for pair in wanted.attribute),
        any_status=tuple(wanted.status),
    )


@router.get("/runs", response_model=RunPage, summary="List runs, latest started first")
async def list_runs(ports: Given, caller: Reader, wanted: Annotated[ListParameters, Query()]) -> Response:
    """A list goes on at `next_cursor`; runs that start meanwhile do not shift it. `index` says from which position of
    the index it is, null where the log was read: then a page may hold fewer runs than asked for, and still lead on."""
    chosen = filter_of(wanted)
    before = None if wanted.cursor is None else int(wanted.cursor)
    return answer(page_json(*await ports.ask(run_page, ports.store, caller.tenant, before, wanted.limit, chosen)))


def page_json(page: Page, indexed: IndexedPage | None) -> dict[str, Any]:
    """A page as it is answered."""
    rows = [row.to_json() for row in page.rows]
    for row in rows:
        del row["cursor"]
    told = None if indexed is None else _index(indexed.position, indexed.lag.events, indexed.lag.seconds)
    cursor = None if page.next_cursor is None else str(page.next_cursor)
    return {"runs": rows, "next_cursor": cursor, "index": told}


@router.get("/runs:counts", response_model=Counts, summary="How many runs, by their status")
async def count_runs(ports: Given, caller: Reader, wanted: Annotated[FilterParameters, Query()]) -> Response:
    """Statuses that no run has are left out. With an index this takes no longer than its rows take to count; without
    one every run is read from the log. What took more than 0.1 s is told to all who ask within a second, and up to
    three seconds later while it is counted anew."""
    chosen = filter_of(wanted)

    async def count() -> RunCounts:
        return await ports.ask(run_counts, ports.store, caller.tenant, chosen, ["status"])

    counts = await ports.counts.get((caller.tenant, repr(chosen)), count)
    by_status = dict(counts.rows)
    told = None if counts.lag is None else _index(counts.position, counts.lag.events, counts.lag.seconds)
    return answer({"counts": by_status, "total": sum(by_status.values()), "index": told})


def run_page(
    store: Store, tenant: str, before: int | None, limit: int, wanted: RunFilter
) -> tuple[Page, IndexedPage | None]:
    """A page from the index, with what is known of that; from the log, at most `MAX_LOOKED_AT` runs of it, if there is
    none."""
    indexed = indexed_page(store, tenant, before, limit, wanted)
    if indexed is not None:
        return indexed.page, indexed
    return page_of(store, tenant, before, limit, wanted, MAX_LOOKED_AT), None


def _index(position: int | None, events: int, seconds: float) -> dict[str, Any]:
    return {"position": position, "lag_events": events, "lag_seconds": seconds}


def _micros(text: str) -> int:
    since = datetime.fromisoformat(text) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
