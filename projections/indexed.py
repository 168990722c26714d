"""Runs from the index, for as long as a projector keeps it.

What the index has left aside is read from the log, so that no run is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import merge
from operator import attrgetter, itemgetter
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

_POSITION = itemgetter(RUNS.names.index("position"))


class IndexedPage(NamedTuple):
    """A page from the index: how far that is behind, and which runs it had to leave aside: those are from the log."""

    page: Page
    lag: Lag
    left_aside: frozenset[str]


def index_of(store: Store, wanted: RunFilter) -> Generation | None:
    """The index of runs; None when nobody keeps it, or when it cannot tell."""
    of = next((each for each in store.tables.generations(RUNS.name) if each.active), None)
    if of is None or not is_followed(of) or of.paused or of.error is not None or wanted.status == "unreadable":
        return None
    return of


def indexed_page(
    store: Store, tenant: str, before: int | None, limit: int, wanted: RunFilter = ALL
) -> IndexedPage | None:
    """What `run_list.page_of` answers, from the index; None when nobody keeps it, or when it cannot tell."""
    of = index_of(store, wanted)
    if of is None:
        return None
    lag = lag_of(store, of)
    aside = runs_left_aside(store, of, tenant)
    found: list[RunRow] = []
    cursor = None
    unknown = 0
    rows = (
        indexed_rows(store, of, tenant, wanted, aside, before),
        rows_left_aside(store, tenant, aside, before),
    )
    for row in merge(*rows, key=attrgetter("cursor"), reverse=True):
        if row.run_id in aside and not takes(store, tenant, row, wanted):
            unknown += is_unknown(row, wanted)
            continue
        if len(found) == limit:
            cursor = found[-1].cursor
            break
        found.append(row)
    return IndexedPage(Page(found, cursor, unknown), lag, frozenset(aside))


def runs_left_aside(store: Store, of: Generation, tenant: str) -> set[str]:
    """The ids of the tenant's runs that the index has parked."""
    keys = (run_of(each.stream) for each in store.tables.parked(of.name, of.generation))
    return {run_id for owner, run_id in keys if owner == tenant}


def rows_left_aside(store: Store, tenant: str, aside: set[str], before: int | None = None) -> Iterator[RunRow]:
    """The rows of these runs as the log has them, the latest started first."""
    starts = store.starts([stream_of(tenant, run_id) for run_id in sorted(aside)]) if aside else {}
    for start in sorted(starts.values(), reverse=True):
        if before is None or start < before:
            yield from (row_of(store, row) for row in store.runs(tenant, start + 1, 1))


def indexed_rows(
    store: Store, of: Generation, tenant: str, wanted: RunFilter, aside: set[str], before: int | None = None
) -> Iterator[RunRow]:
    """The rows of the index that are wanted, but for those of runs left aside."""
    chosen = _with_attributes(store, of, tenant, wanted.attributes) if wanted.attributes else None
    for row in _rows(store, of, tenant, wanted, before, chosen):
        if row[1] not in aside:
            told = run_row(store, row)
            # Whether somebody holds a run is not of the log, so the index takes those that are queued for running.
            if wanted.status in (None, told.status):
                yield told


def _rows(
    store: Store, of: Generation, tenant: str, wanted: RunFilter, before: int | None, chosen: set[str] | None
) -> Iterator[Row]:
    where, between = {"tenant": tenant, **wanted.where()}, wanted.between()
    if chosen is not None and len(chosen) <= _FEW:
        few = [
            row
            for run_id in chosen
            for row in store.tables.rows(of, RUNS.name, {**where, "run_id": run_id}, 1, between=between)
        ]
        few.sort(key=_POSITION, reverse=True)
        yield from (row for row in few if before is None or _POSITION(row) < before)
        return
    after = None if before is None else (before,)
    while page := store.tables.rows(of, RUNS.name, where, _PAGE, after, ("position",), True, between):
        yield from (row for row in page if chosen is None or row[1] in chosen)
        after = (_POSITION(page[-1]),)


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
