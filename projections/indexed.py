"""Pages of runs from the index, for as long as a projector keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import NamedTuple

from ..core.canonical import canonical_json
from ..core.ids import stream_of
from ..eventstore.store import Store
from ..eventstore.tables import Generation, Row
from .run_list import Page, RunRow
from .runner import Lag, lag_of
from .runs import ATTRIBUTES, RUNS
from .standing import QUEUED, is_queued
from .standings import is_followed

_PAGE = 200

_FEW = 1000
"""So many runs are looked up one by one; among more, the list is gone through."""

_POSITION = itemgetter(RUNS.names.index("position"))


class IndexedPage(NamedTuple):
    """A page from the index: how far that is behind, and how many runs it had to leave aside."""

    page: Page
    lag: Lag
    parked: int


def indexed_page(
    store: Store,
    tenant: str,
    before: int | None,
    limit: int,
    status: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> IndexedPage | None:
    """What `run_list.page_of` answers, from the index; None when nobody keeps it, or when it cannot tell."""
    of = next((each for each in store.tables.generations(RUNS.name) if each.active), None)
    if of is None or not is_followed(of) or of.paused or of.error is not None or status == "unreadable":
        return None
    lag = lag_of(store, of)
    found: list[RunRow] = []
    cursor = None
    chosen = _with_attributes(store, of, tenant, attributes) if attributes else None
    for row in _rows(store, of, tenant, before, status, chosen):
        if status in (None, row.status):
            if len(found) == limit:
                cursor = found[-1].cursor
                break
            found.append(row)
    return IndexedPage(Page(found, cursor), lag, len(store.tables.parked(of.name, of.generation)))


def _rows(
    store: Store, of: Generation, tenant: str, before: int | None, status: str | None, chosen: set[str] | None
) -> Iterator[RunRow]:
    where = {"tenant": tenant}
    if status is not None:
        # Whether somebody holds a run is not of the log, so the index takes those that are queued for running.
        where["status"] = "running" if status == QUEUED else status
    if chosen is not None and len(chosen) <= _FEW:
        few = [row for run_id in chosen for row in store.tables.rows(of, RUNS.name, {**where, "run_id": run_id}, 1)]
        few.sort(key=_POSITION, reverse=True)
        yield from (_row(store, row) for row in few if before is None or _POSITION(row) < before)
        return
    after = None if before is None else (before,)
    while page := store.tables.rows(of, RUNS.name, where, _PAGE, after, ("position",), descending=True):
        yield from (_row(store, row) for row in page if chosen is None or row[1] in chosen)
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


def _row(store: Store, row: Row) -> RunRow:
    told = dict(zip(RUNS.names, row, strict=True))
    stream = stream_of(told["tenant"], told["run_id"])
    waits = told["status"] == "running" and is_queued(store, stream, told["events"])
    status = QUEUED if waits else told["status"]
    return RunRow(
        told["run_id"],
        told["workflow_type"],
        status,
        told["started_at"],
        told["ended_at"],
        told["events"],
        told["position"],
    )
