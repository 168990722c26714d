"""`refold list`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import get_args

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...core.errors import CallError, Problem, RefoldError
from ...core.events import Event, RunCancelled, RunCompleted, RunFailed, RunStarted, RunTimedOut
from ...core.ids import check_tenant, run_of
from ...core.run_state import Status
from ...core.state import fold
from ...eventstore.codec import decode, references
from ...eventstore.log import EventLog
from ...eventstore.store import Store, StreamRow
from .faults import OK
from .output import STATUS_STYLES, clock, console, duration, iso, plain, write_json
from .reading import existing_store
from .standing import QUEUED, is_queued
from .streams import note

_STATUSES = (QUEUED, *get_args(Status), "unreadable")
_ENDS = {
    RunCompleted.topic: "completed",
    RunFailed.topic: "failed",
    RunCancelled.topic: "cancelled",
    RunTimedOut.topic: "timed_out",
}
_PAGE = 100
_WIDE = 100


@dataclass(frozen=True, slots=True)
class _Row:
    """A run in a list. `cursor` is what `--before` takes; `started_at` and `ended_at` are µs since the epoch."""

    run_id: str
    workflow_type: str | None
    status: str
    started_at: int | None
    ended_at: int | None
    events: int
    cursor: int


def list_runs(limit: int, status: str | None, before: int | None, tenant: str, database: str | None, json: bool) -> int:
    """Write a page of runs; returns the exit code."""
    check_tenant(tenant)
    if status is not None and status not in _STATUSES:
        raise CallError(Problem("", f"no status is called {plain(status)!r}", f"use one of {', '.join(_STATUSES)}"))
    with existing_store(database) as store:
        rows = _rows(EventLog(store, ""), tenant, before)
        found = list(islice((row for row in rows if status in (None, row.status)), min(limit + 1, sys.maxsize)))
    shown, more = found[:limit], len(found) > limit
    if json:
        for row in shown:
            times = {"started_at": row.started_at, "ended_at": row.ended_at}
            write_json({**asdict(row), **{name: None if at is None else iso(at) for name, at in times.items()}})
    elif shown:
        screen = console()
        screen.print(_table(shown, screen.width))
    else:
        note("no runs")
    if more:
        note(f"more: refold list --before {shown[-1].cursor}")
    return OK


def _rows(log: EventLog, tenant: str, before: int | None) -> Iterator[_Row]:
    while page := log.store.runs(tenant, before, _PAGE):
        yield from (_row(log, row) for row in page)
        before = page[-1].position


def _row(log: EventLog, row: StreamRow) -> _Row:
    """What is known of a run; of a long one that has ended, only the first and the last event are read."""
    run_id = run_of(row.stream)[1]
    try:
        first, last = (_event(log.store, row.stream, number) for number in (1, row.version))
        queued = is_queued(log.store, row.stream, row.version)
        status = _ENDS.get(last.topic) or (QUEUED if queued else fold(log.events(row.stream)).status)
    except (RefoldError, ValueError):
        return _Row(run_id, None, "unreadable", None, None, row.version, row.position)
    ended_at = last.at if last.topic in _ENDS else None
    workflow_type = first.workflow_type if isinstance(first, RunStarted) else None
    return _Row(run_id, workflow_type, status, first.at, ended_at, row.version, row.position)


def _event(store: Store, stream: str, number: int) -> Event:
    (record,) = store.read(stream, number - 1, 1)
    hashes = references([record])
    return decode(record, store.large(sorted(hashes)) if hashes else {})


def _table(rows: list[_Row], width: int) -> Table:
    """The runs; a narrow screen shows their times to the minute, and not how long they took."""
    wide = width >= _WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2 if wide else 0, 0, 0))
    # A run id is there to be copied.
    table.add_column("run", overflow="fold", min_width=min(max(len(row.run_id) for row in rows), 36))
    table.add_column("type", overflow="fold")
    for name in ("status", "started (UTC)" if wide else "started", *(["took"] if wide else []), "events"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("took", "events") else "left")
    for row in rows:
        started = "?" if row.started_at is None else clock(row.started_at)
        took = "" if row.ended_at is None or row.started_at is None else duration(row.ended_at - row.started_at)
        table.add_row(
            row.run_id,
            plain(row.workflow_type or "?"),
            Text(row.status, STATUS_STYLES.get(row.status, "dim")),
            started if wide else started[5:16],
            *([took] if wide else []),
            str(row.events),
        )
    return table
