"""The dispatch and worker tables in memory; fulfils `refold.eventstore.dispatch.DispatchStore`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock

from ..core.ports import HELD, NEVER, Dispatch, Head, Schedule, Unschedule, held_at
from .depths import HELD_FROM, HELD_UNTIL, Depth
from .dispatch import DispatchRow, LeaseRow, WorkerRow, seconds_of


@dataclass(slots=True)
class _Row:
    queue: str
    priority: int
    needs: str
    due_at: float
    owner: str | None = None
    lease_until: float = 0.0

    def is_free(self, now: float) -> bool:
        return self.owner is None or self.lease_until <= now


class MemoryDispatch:
    """Rows in a dict, under the store's lock; `heads` are the store's."""

    def __init__(self, lock: RLock, heads: dict[str, Head], seconds: Callable[[], float] = time.time):
        self._lock = lock
        self._heads = heads
        self._seconds = seconds
        self._rows: dict[str, _Row] = {}
        self._workers: dict[str, tuple[str, float]] = {}

    def apply(self, change: Dispatch, owner: str) -> None:
        """Carry out one change of a unit of commit."""
        if isinstance(change, Unschedule):
            self._rows.pop(change.stream, None)
        elif not isinstance(change, Schedule):
            if change.stream in self._rows:
                self._rows[change.stream].due_at = 0
        else:
            new = _Row(change.queue, change.priority, change.needs, 0)
            row = self._rows.setdefault(change.stream, new)
            row.due_at = self._due(change.stream, change.due, change.taken)
            row.owner = owner if change.lease_seconds else None
            row.lease_until = self._seconds() + change.lease_seconds if change.lease_seconds else 0

    def _due(self, stream: str, due: int, taken: int | None) -> float:
        inbox = self._heads.get(f"{stream}/inbox")
        heard = NEVER if taken is None else taken
        return 0 if inbox is not None and inbox.version > heard else seconds_of(due)

    def has(self, stream: str) -> bool:
        """Whether the run has a row: it has not ended."""
        with self._lock:
            return stream in self._rows

    def lease(self, stream: str) -> LeaseRow | None:
        """See `DispatchStore.lease`."""
        with self._lock:
            row = self._rows.get(stream)
            return row and LeaseRow(stream, row.owner, row.lease_until - self._seconds())

    def leases(self) -> list[LeaseRow]:
        """See `DispatchStore.leases`."""
        with self._lock:
            now = self._seconds()
            rows = [(stream, row) for stream, row in self._rows.items() if not row.is_free(now)]
            return [LeaseRow(stream, row.owner, row.lease_until - now) for stream, row in rows]

    def take(self, stream: str, owner: str, seconds: float, instead_of: str | None) -> bool:
        """See `DispatchStore.take`."""
        with self._lock:
            row = self._rows.get(stream)
            now = self._seconds()
            if row is None or not (row.is_free(now) or row.owner in (owner, instead_of)):
                return False
            row.owner, row.lease_until = owner, now + seconds
            return True

    def renew(self, streams: Sequence[str], owner: str, seconds: float) -> None:
        """See `DispatchStore.renew`."""
        with self._lock:
            for stream in streams:
                row = self._rows.get(stream)
                if row is not None and row.owner == owner:
                    row.lease_until = self._seconds() + seconds

    def release(self, stream: str, owner: str, due: int | None = None, taken: int | None = None) -> None:
        """See `DispatchStore.release`."""
        with self._lock:
            row = self._rows.get(stream)
            if row is not None and row.owner == owner:
                row.owner, row.lease_until = None, 0
                if due is not None:
                    row.due_at = self._due(stream, due, taken)

    def due_needs(self, queues: Sequence[str]) -> list[str]:
        """See `DispatchStore.due_needs`."""
        with self._lock:
            return sorted({row.needs for _, row in self._due_rows(queues)})

    def claim(self, owner: str, queues: Sequence[str], needs: Sequence[str], limit: int, seconds: float) -> list[str]:
        """See `DispatchStore.claim`."""
        with self._lock:
            found = [(stream, row) for stream, row in self._due_rows(queues) if row.needs in needs]
            found.sort(key=lambda item: (-item[1].priority, item[1].due_at))
            for _, row in found[:limit]:
                row.owner, row.lease_until = owner, self._seconds() + seconds
            return [stream for stream, _ in found[:limit]]

    def _due_rows(self, queues: Sequence[str]) -> list[tuple[str, _Row]]:
        now = self._seconds()
        return [
            (stream, row)
            for stream, row in self._rows.items()
            if row.queue in queues and row.due_at <= now and row.is_free(now)
        ]

    def owners(self) -> list[str]:
        """See `DispatchStore.owners`."""
        with self._lock:
            now = self._seconds()
            return sorted({row.owner for row in self._rows.values() if row.owner and not row.is_free(now)})

    def free(self, owner: str) -> int:
        """See `DispatchStore.free`."""
        with self._lock:
            held = [row for row in self._rows.values() if row.owner == owner]
            for row in held:
                row.owner, row.lease_until = None, 0
            return len(held)

    def free_held(self, before: int) -> int:
        """See `DispatchStore.free_held`."""
        with self._lock:
            first, until = seconds_of(HELD), seconds_of(held_at(before))
            held = [row for row in self._rows.values() if first <= row.due_at < until]
            for row in held:
                row.due_at = 0
            return len(held)

    def now(self) -> int:
        """See `DispatchStore.now`."""
        return int(self._seconds() * 1_000_000)

    def rows(self) -> list[DispatchRow]:
        """See `DispatchStore.rows`."""
        with self._lock:
            return [DispatchRow(s, r.queue, r.priority, r.needs, r.due_at) for s, r in sorted(self._rows.items())]

    def depths(self) -> list[Depth]:
        """See `DispatchStore.depths`."""
        with self._lock:
            now = self._seconds()
            groups: dict[tuple[str, str], list[_Row]] = {}
            for row in self._rows.values():
                groups.setdefault((row.queue, row.needs), []).append(row)
            return [_depth(*names, rows, now) for names, rows in sorted(groups.items())]

    def replace(self, rows: Sequence[DispatchRow]) -> None:
        """See `DispatchStore.replace`."""
        with self._lock:
            self._rows = {row.stream: _Row(row.queue, row.priority, row.needs, row.due_at) for row in rows}

    def beat(self, owner: str, report: str) -> None:
        """See `DispatchStore.beat`."""
        with self._lock:
            self._workers[owner] = (report, self._seconds())

    def leave(self, owner: str) -> None:
        """See `DispatchStore.leave`."""
        with self._lock:
            self._workers.pop(owner, None)

    def workers(self) -> list[WorkerRow]:
        """See `DispatchStore.workers`."""
        with self._lock:
            now = self._seconds()
            return [WorkerRow(owner, report, now - beat) for owner, (report, beat) in sorted(self._workers.items())]


def _depth(queue: str, needs: str, rows: Sequence[_Row], now: float) -> Depth:
    free = [row.due_at for row in rows if row.is_free(now)]
    ready = [due for due in free if due <= now]
    held = sum(HELD_FROM <= due < HELD_UNTIL for due in free)
    leased = len(rows) - len(free)
    since = min((due for due in ready if due > 0), default=None)
    return Depth(queue, needs, len(ready), leased, len(rows) - len(ready) - leased - held, held, since)
