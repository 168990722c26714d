"""Runs in a list, the latest started first, read from the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from ..core.canonical import canonical_json
from ..core.errors import RefoldError
from ..core.events import (
    Event,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunRejected,
    RunStarted,
    RunTimedOut,
)
from ..core.ids import run_of, stream_of
from ..core.state import fold
from ..eventstore.codec import decode, references
from ..eventstore.log import EventLog
from ..eventstore.store import Store, StreamRow
from .run_filter import RunFilter
from .run_row import Page, RunRow, unreadable_row
from .runs import error_code_of
from .standing import QUEUED, is_queued
from .texts import column_text

ENDS = {
    RunCompleted.topic: "completed",
    RunFailed.topic: "failed",
    RunRejected.topic: "rejected",
    RunCancelled.topic: "cancelled",
    RunTimedOut.topic: "timed_out",
    RunContinued.topic: "completed",
}
"""The status of a run by the topic of its last event, where that is an end."""

ALL = RunFilter()
"""Every run."""

_PAGE = 100


def page_of(
    store: Store,
    tenant: str,
    before: int | None,
    limit: int,
    wanted: RunFilter = ALL,
    look_at: int | None = None,
) -> Page:
    """At most `limit` of the runs that are `wanted` and started before the cursor `before`.

    With `look_at`, no more than so many runs are read: a page may then hold fewer rows than there are, or none, and
    its cursor leads on.
    """
    found: list[RunRow] = []
    row = None
    looked = unknown = 0
    for row in islice(log_rows(store, tenant, before), look_at):
        looked += 1
        if takes(store, tenant, row, wanted):
            if len(found) == limit:
                return Page(found, found[-1].cursor, unknown)
            found.append(row)
        else:
            unknown += is_unknown(row, wanted)
    return Page(found, row.cursor if row is not None and looked == look_at else None, unknown)


def log_rows(store: Store, tenant: str, before: int | None = None) -> Iterator[RunRow]:
    """All runs that started before the cursor `before`."""
    while page := store.runs(tenant, before, _PAGE):
        yield from (row_of(store, row) for row in page)
        before = page[-1].position


def takes(store: Store, tenant: str, row: RunRow, wanted: RunFilter) -> bool:
    """Whether a run is wanted; for attributes its whole log is read."""
    return wanted.takes(row) and (not wanted.attributes or _has(store, tenant, row.run_id, wanted.attributes))


def is_unknown(row: RunRow, wanted: RunFilter) -> bool:
    """Whether a run that was not taken might be wanted, if only it could be read."""
    return row.status == "unreadable" and (not wanted.statuses or "unreadable" in wanted.statuses)


def _has(store: Store, tenant: str, run_id: str, wanted: Mapping[str, str]) -> bool:
    try:
        found = fold(EventLog(store, "").events(stream_of(tenant, run_id))).attributes
    except (RefoldError, ValueError):
        return False
    texts = {name: value if isinstance(value, str) else canonical_json(value).decode() for name, value in found.items()}
    return all(texts.get(name) == value for name, value in wanted.items())


def row_of(store: Store, row: StreamRow) -> RunRow:
    """What is known of a run; of a long one that has ended, only the first and the last event are read."""
    run_id = run_of(row.stream)[1]
    unreadable = unreadable_row(run_id, row.version, row.position)
    try:
        first, last = (_event(store, row.stream, number) for number in (1, row.version))
        if not isinstance(first, RunStarted):
            return unreadable
        status = ENDS.get(last.topic)
        code = getattr(last, "error_code", None) if status is not None else None
        if status is None:
            state = fold(EventLog(store, "").events(row.stream))
            status, code = state.status, error_code_of(state)
            status = QUEUED if is_queued(store, row.stream, row.version) else status
    except (RefoldError, ValueError):
        return unreadable
    return RunRow(
        run_id=run_id,
        workflow_type=first.workflow_type,
        workflow_version=first.workflow_version,
        status=status,
        agent_id=None if first.agent_id is None else column_text(first.agent_id),
        queue=first.queue,
        error_code=None if code is None else column_text(code),
        started_at=first.at,
        ended_at=last.at if last.topic in ENDS else None,
        events=row.version,
        parent=first.parent,
        forked_from=None if first.forked is None else first.forked.run_id,
        cursor=row.position,
    )


def _event(store: Store, stream: str, number: int) -> Event:
    (record,) = store.read(stream, number - 1, 1)
    hashes = references([record])
    return decode(record, store.large(sorted(hashes)) if hashes else {})
