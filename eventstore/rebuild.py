"""The dispatch table computed anew from the log alone, and compared with the one that is there.

The log is followed from its beginning: nothing else says which runs are open. It may grow meanwhile. Runs that do are
left out of a comparison, for whoever writes them keeps their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ..core.decide import due_of
from ..core.errors import RefoldError
from ..core.events import END_TOPICS, Event, RunStarted
from ..core.ids import JOBS, inbox_of, job_of_stream
from ..core.job_log import CLOSING, OPENING, job_of, lane_of
from ..core.ports import HELD, NEVER
from ..core.run_state import RunState
from ..core.state import fold
from .dispatch import DispatchRow, LeaseRow, seconds_of
from .log import EventLog
from .owner import is_dead
from .store import Store

_PAGE = 2000
_HELD_SECONDS, _NEVER_SECONDS = seconds_of(HELD), seconds_of(NEVER)

Progress = Callable[[int, int], None]
"""Told how far a scan is: what is done, and of how much."""


class Differences(NamedTuple):
    """Streams whose rows the log asks for and that lack one, that have one too many, or another one than it says."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


def row_of(state: RunState, inbox: int, stream: str) -> DispatchRow:
    """The row of an open run in `state` whose inbox holds `inbox` messages."""
    started = state.started
    due = 0.0 if inbox > state.taken else seconds_of(due_of(state))
    return DispatchRow(stream, started.queue, started.priority, state.needs, due)


def row_from(events: Sequence[Event], stream: str, inbox: int) -> DispatchRow | None:
    """The row of a run or a job that these events are of; None if nobody is to work on it. Raises RefoldError."""
    named = job_of_stream(stream)
    if named is None:
        state = fold(events)
        return row_of(state, inbox, stream) if state.end is None else None
    job = job_of(events, *named)
    return DispatchRow(stream, JOBS, 0, lane_of(job.asked.kind), 0.0) if job.is_open else None


def is_held(lease: LeaseRow | None) -> bool:
    """Whether a process that may live holds the run."""
    return lease is not None and lease.owner is not None and lease.seconds_left > 0 and not is_dead(lease.owner)


def compare(wanted: Mapping[str, DispatchRow], found: Iterable[DispatchRow], now: float) -> Differences:
    """Where `found` is not `wanted`. Times that are both past at `now` (seconds since the epoch) say the same: due."""
    there = {row.stream: row for row in found}
    different = (stream for stream in there.keys() & wanted.keys() if not _same(wanted[stream], there[stream], now))
    return Differences(
        tuple(sorted(wanted.keys() - there.keys())),
        tuple(sorted(there.keys() - wanted.keys())),
        tuple(sorted(different)),
    )


def _same(wanted: DispatchRow, found: DispatchRow, now: float) -> bool:
    # Of a time in microseconds some digits are lost in a float of seconds, and more in the end of time.
    near = abs(wanted.due_at - found.due_at) < 0.001 or min(wanted.due_at, found.due_at) >= _NEVER_SECONDS
    # Whether a stop holds the run back is not for its own log to say.
    held = _HELD_SECONDS <= found.due_at < _NEVER_SECONDS
    due = near or held or max(wanted.due_at, found.due_at) <= now
    return due and wanted._replace(due_at=0) == found._replace(due_at=0)


class Rebuild:
    """The rows of all open runs of a store, kept up with its log by `catch_up`.

    `unreadable` says of runs that cannot be folded why not; they count neither as open nor as ended, and keep the rows
    they have.
    """

    def __init__(self, store: Store):
        self.rows: dict[str, DispatchRow] = {}
        self.unreadable: dict[str, str] = {}
        self._store = store
        self._log = EventLog(store, "")
        self._position = 0
        self._open: set[str] = set()

    def catch_up(self, progress: Progress = lambda done, of: None) -> set[str]:
        """Follow the log to its end and bring the rows up to date; returns the runs that had anything new."""
        touched: set[str] = set()
        last = self._store.last_position()
        while page := self._store.follow(self._position, _PAGE):
            for notification in page:
                touched.add(self._take(notification.record.stream, notification.record.topic))
            self._position = page[-1].position
            progress(min(self._position, last), last)
        fresh = sorted(touched & self._open)
        for done, stream in enumerate(fresh, 1):
            self._fold(stream)
            progress(done, len(fresh))
        for stream in touched - self._open:
            self.rows.pop(stream, None)
            self.unreadable.pop(stream, None)
        return touched

    def _take(self, stream: str, topic: str) -> str:
        """Note whether the run is open, and return its stream, also for a message to it."""
        if topic == RunStarted.topic or topic in OPENING:
            self._open.add(stream)
        elif topic in END_TOPICS or topic in CLOSING:
            self._open.discard(stream)
        return stream.removesuffix("/inbox")

    def _fold(self, stream: str) -> None:
        self.rows.pop(stream, None)
        self.unreadable.pop(stream, None)
        try:
            events = self._log.events(stream)
            row = row_from(events, stream, self._log.head(inbox_of(stream)).version)
            if row is not None:
                self.rows[stream] = row
        except RefoldError as error:
            self.unreadable[stream] = str(error)

    def differences(self) -> Differences:
        """What is wrong with the table that is there. Runs that move while it is read, and what the due times of runs
        say that a process works on just now, are left out."""
        seen = self._look()
        if not any(seen):
            return seen
        # A run may come to rest without an event, between a look at its row and one at its lease.
        again = [set(streams) for streams in self._look()]
        return Differences(
            *(tuple(sorted(kept.intersection(streams))) for streams, kept in zip(seen, again, strict=True))
        )

    def _look(self) -> Differences:
        self.catch_up()
        dispatch = self._store.dispatch
        found = dispatch.rows()
        moving = self.catch_up() | self.unreadable.keys()
        still = {stream: row for stream, row in self.rows.items() if stream not in moving}
        now = dispatch.now() / 1_000_000
        seen = compare(still, [row for row in found if row.stream not in moving], now)
        there = {row.stream: row for row in found}
        wrong = [stream for stream in seen.different if not self._held_alike(there[stream], still[stream], now)]
        return seen._replace(different=tuple(wrong))

    def _held_alike(self, found: DispatchRow, wanted: DispatchRow, now: float) -> bool:
        alike = _same(wanted, found._replace(due_at=wanted.due_at), now)
        return alike and is_held(self._store.dispatch.lease(found.stream))

    def replace(self) -> None:
        """Put the rows in the place of the table. Whoever holds a run loses its lease, and the log tells it so."""
        kept = [row for row in self._store.dispatch.rows() if row.stream in self.unreadable]
        self._store.dispatch.replace([*self.rows.values(), *kept])
