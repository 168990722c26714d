"""Runs from the index, for as long as a projector keeps it.

What the index has left aside is read from the log, so that no run is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from operator import itemgetter
from typing import NamedTuple

from ..core.canonical import canonical_json
from ..core.ids import run_of, stream_of
from ..eventstore.store import Store
from ..eventstore.tables import Generation, Row
from .run_filter import RunFilter
from .run_list import ALL, is_unknown, row_of, takes
from .run_row import Page, RunRow
from .runner import Lag, lag_of
from .runs import ATTRIBUTES, RUNS
from .standing import QUEUED, is_queued
from .standings import is_followed

_PAGE = 200

_FEW = 1000
"""So many runs are looked up one by one; among more, the list is gone through."""

_SORTED = 10_000
"""So many runs whose ids begin with a prefix are sorted; among more, the list is gone through."""

_STARTED = RUNS.names.index("started_at")


def _position(row: Row) -> Row:
    return (row[-1],)


_IN_LOG = (("position",), _position)
_IN_TIME = (("started_at", "position"), itemgetter(_STARTED, -1))
"""In which order rows are gone along, and where a row is in it."""


class IndexedPage(NamedTuple):
    """A page from the index: how far that is behind, and which runs it had to leave aside: those are from the log.

    `position` is that of the last event which it has taken in.
    """

    page: Page
    lag: Lag
    left_aside: frozenset[str]
    position: int


def index_of(store: Store, wanted: RunFilter) -> Generation | None:
    """The index of runs; None when nobody keeps it, or when it cannot tell."""
    of = next((each for each in store.tables.generations(RUNS.name) if each.active), None)
    if of is None or not is_followed(of) or of.paused or of.error is not None or "unreadable" in wanted.statuses:
        return None
    return of


def indexed_page(
    store: Store, tenant: str, before: int | None, limit: int, wanted: RunFilter = ALL
) -> IndexedPage | None:
    """What `run_list.page_of` answers, from the index; None when nobody keeps it, or when it cannot tell.

    Runs that are wanted by their start come in the order of their starts, which is that of the log but for clocks that
    differ, and for what was imported.
    """
    of = index_of(store, wanted)
    if of is None:
        return None
    lag = lag_of(store, of)
    aside = runs_left_aside(store, of, tenant)
    found: list[RunRow] = []
    cursor = None
    unknown = 0
    place = _place_in(wanted)
    others = sorted(rows_left_aside(store, tenant, aside), key=place, reverse=True)
    after = None if before is None else _cursor(store, of, tenant, wanted, before, others)
    rows = (
        indexed_rows(store, of, tenant, wanted, aside, after),
        (row for row in others if after is None or place(row) < after),
    )
    for row in merge(*rows, key=place, reverse=True):
        if row.run_id in aside and not takes(store, tenant, row, wanted):
            unknown += is_unknown(row, wanted)
            continue
        if len(found) == limit:
            cursor = found[-1].cursor
            break
        found.append(row)
    return IndexedPage(Page(found, cursor, unknown), lag, frozenset(aside), of.position)


def _place_in(wanted: RunFilter) -> Callable[[RunRow], Row]:
    """What says where a run is in the list."""
    if wanted.is_timed:
        return lambda row: (-1 if row.started_at is None else row.started_at, row.cursor)
    return lambda row: (row.cursor,)


def _cursor(store: Store, of: Generation, tenant: str, wanted: RunFilter, before: int, others: list[RunRow]) -> Row:
    """The place in the list of the run that began at the position `before`."""
    if not wanted.is_timed:
        return (before,)
    aside = next((row for row in others if row.cursor == before), None)
    if aside is not None:
        return _place_in(wanted)(aside)
    last = store.tables.rows(of, RUNS.name, {"tenant": tenant}, 1, (before + 1,), ("position",), True)
    return (last[0][_STARTED], before) if last else (-1, before)


def runs_left_aside(store: Store, of: Generation, tenant: str) -> set[str]:
    """The ids of the tenant's runs that the index has parked."""
    keys = (run_of(each.stream) for each in store.tables.parked(of.name, of.generation))
    return {run_id for owner, run_id in keys if owner == tenant}


def rows_left_aside(store: Store, tenant: str, aside: set[str]) -> Iterator[RunRow]:
    """The rows of these runs as the log has them, the latest started first."""
    starts = store.starts([stream_of(tenant, run_id) for run_id in sorted(aside)]) if aside else {}
    for start in sorted(starts.values(), reverse=True):
        yield from (row_of(store, row) for row in store.runs(tenant, start + 1, 1))


def indexed_rows(
    store: Store, of: Generation, tenant: str, wanted: RunFilter, aside: set[str], after: Row | None = None
) -> Iterator[RunRow]:
    """The rows of the index that are wanted, but for those of runs left aside, after that place of the list."""
    each = [_of_one_status(store, of, tenant, one, aside, after) for one in wanted.each()]
    return merge(*each, key=_place_in(wanted), reverse=True)


def _of_one_status(
    store: Store, of: Generation, tenant: str, wanted: RunFilter, aside: set[str], after: Row | None
) -> Iterator[RunRow]:
    chosen = _with_attributes(store, of, tenant, wanted.attributes) if wanted.attributes else None
    for row in _rows(store, of, tenant, wanted, after, chosen):
        if row[1] not in aside:
            told = run_row(store, row)
            # Whether somebody holds a run is not of the log, so the index takes those that are queued for running.
            if wanted.status in (None, told.status):
                yield told


def _rows(
    store: Store, of: Generation, tenant: str, wanted: RunFilter, after: Row | None, chosen: set[str] | None
) -> Iterator[Row]:
    where, between = {"tenant": tenant, **wanted.where()}, wanted.between()
    order, place = _IN_TIME if wanted.is_timed else _IN_LOG
    if chosen is not None and len(chosen) <= _FEW:
        few = [
            row
            for run_id in chosen
            for row in store.tables.rows(of, RUNS.name, {**where, "run_id": run_id}, 1, between=between)
        ]
        few.sort(key=place, reverse=True)
        yield from (row for row in few if after is None or place(row) < after)
        return
    if wanted.prefix is not None:
        few = store.tables.rows(of, RUNS.name, where, _SORTED + 1, between=between)
        if len(few) <= _SORTED:
            few.sort(key=place, reverse=True)
            yield from (
                row for row in few if (after is None or place(row) < after) and (chosen is None or row[1] in chosen)
            )
            return
    while page := store.tables.rows(of, RUNS.name, where, _PAGE, after, order, True, between):
        yield from (row for row in page if chosen is None or row[1] in chosen)
        after = place(page[-1])


def _with_attributes(store: Store, of: Generation, tenant: str, wanted: Mapping[str, str]) -> set[str]:
    """The runs with these attributes: texts as they are, other values as JSON writes them."""
    found, *others = (_with_attribute(store, of, tenant, *each) for each in wanted.items())
    return found.intersection(*others)


def _with_attribute(store: Store, of: Generation, tenant: str, name: str, text: str) -> set[str]:
    found: set[str] = set()
    for value in (canonical_json(text).decode(), text):
        if value is text and text.startswith('"'):
            continue  # As JSON that would be a text, which stands here as it is.
        where = {"tenant": tenant, "name": name, "value": value}
        after = None
        while page := store.tables.rows(of, ATTRIBUTES.name, where, _PAGE, after):
            found.update(row[1] for row in page)
            after = page[-1][: ATTRIBUTES.key]
    return found


def run_row(store: Store, row: Row) -> RunRow:
    """A row of the index as one of a list."""
    told = dict(zip(RUNS.names, row, strict=True))
    stream = stream_of(told["tenant"], told["run_id"])
    waits = told["status"] == "running" and is_queued(store, stream, told["events"])
    told["status"] = QUEUED if waits else told["status"]
    told["cursor"] = told["position"]
    return RunRow(**{name: told[name] for name in RunRow.__slots__})
