"""Runs in a list, the latest started first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple, get_args

from ..core.canonical import canonical_json
from ..core.errors import CallError, Problem, RefoldError
from ..core.events import Event, RunCancelled, RunCompleted, RunContinued, RunFailed, RunStarted, RunTimedOut
from ..core.ids import run_of, stream_of
from ..core.run_state import Status
from ..core.state import fold
from ..eventstore.codec import decode, references
from ..eventstore.log import EventLog
from ..eventstore.store import Store, StreamRow
from .standing import QUEUED, is_queued
from .times import iso

STATUSES: tuple[str, ...] = (QUEUED, *get_args(Status), "unreadable")
"""Every status that a run in a list can have."""

ENDS = {
    RunCompleted.topic: "completed",
    RunFailed.topic: "failed",
    RunCancelled.topic: "cancelled",
    RunTimedOut.topic: "timed_out",
    RunContinued.topic: "completed",
}
"""The status of a run by the topic of its last event, where that is an end."""

_PAGE = 100


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list, which goes on after it at `cursor`. `started_at` and `ended_at` are in µs since the epoch."""

    run_id: str
    workflow_type: str | None
    status: str
    started_at: int | None
    ended_at: int | None
    events: int
    cursor: int

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object, with times in ISO 8601."""
        times = {"started_at": self.started_at, "ended_at": self.ended_at}
        return {**asdict(self), **{name: None if at is None else iso(at) for name, at in times.items()}}


class Page(NamedTuple):
    """Rows, and the cursor at which the list goes on; None at its end."""

    rows: list[RunRow]
    next_cursor: int | None


def check_status(status: str) -> str:
    """`status` if a run in a list can have it, else CallError."""
    if status not in STATUSES:
        raise CallError(Problem("", f"no status is called {status[:40]!a}", f"use one of {', '.join(STATUSES)}"))
    return status


def page_of(
    store: Store,
    tenant: str,
    before: int | None,
    limit: int,
    status: str | None = None,
    look_at: int | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Page:
    """At most `limit` runs that started before the cursor `before`, only those of `status` if one is given, and only
    those with the `attributes` (texts as they are, other values as JSON writes them).

    With `look_at`, no more than so many runs are read: a page may then hold fewer rows than there are, or none, and
    its cursor leads on.
    """
    found: list[RunRow] = []
    row = None
    looked = 0
    log = EventLog(store, "")
    for row in islice(_rows(log, tenant, before), look_at):
        looked += 1
        if status in (None, row.status) and (not attributes or _has(log, stream_of(tenant, row.run_id), attributes)):
            if len(found) == limit:
                return Page(found, found[-1].cursor)
            found.append(row)
    return Page(found, row.cursor if row is not None and looked == look_at else None)


def _rows(log: EventLog, tenant: str, before: int | None) -> Iterator[RunRow]:
    while page := log.store.runs(tenant, before, _PAGE):
        yield from (_row(log, row) for row in page)
        before = page[-1].position


def _has(log: EventLog, stream: str, wanted: Mapping[str, str]) -> bool:
    """Whether the run has set these attributes; its whole log is read for it."""
    try:
        found = fold(log.events(stream)).attributes
    except (RefoldError, ValueError):
        return False
    texts = {name: value if isinstance(value, str) else canonical_json(value).decode() for name, value in found.items()}
    return all(texts.get(name) == value for name, value in wanted.items())


def _row(log: EventLog, row: StreamRow) -> RunRow:
    """What is known of a run; of a long one that has ended, only the first and the last event are read."""
    run_id = run_of(row.stream)[1]
    try:
        first, last = (_event(log.store, row.stream, number) for number in (1, row.version))
        queued = is_queued(log.store, row.stream, row.version)
        status = ENDS.get(last.topic) or (QUEUED if queued else fold(log.events(row.stream)).status)
    except (RefoldError, ValueError):
        return RunRow(run_id, None, "unreadable", None, None, row.version, row.position)
    ended_at = last.at if last.topic in ENDS else None
    workflow_type = first.workflow_type if isinstance(first, RunStarted) else None
    return RunRow(run_id, workflow_type, status, first.at, ended_at, row.version, row.position)


def _event(store: Store, stream: str, number: int) -> Event:
    (record,) = store.read(stream, number - 1, 1)
    hashes = references([record])
    return decode(record, store.large(sorted(hashes)) if hashes else {})
