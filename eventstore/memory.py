"""The store in memory: for tests, simulations and runs that need not outlive the process.

Built on the `eventsourcing` library's plain-object recorder, whose notification log and tracking it keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Notification as LibraryNotification
from eventsourcing.persistence import StoredEvent
from eventsourcing.popo import POPOProcessRecorder

from ..core.ports import EMPTY, Head, Record, Unschedule
from .data_key_rows import MemoryDataKeys
from .dispatch_memory import MemoryDispatch
from .hints import LocalHints
from .key_uses import MemoryKeyUses
from .ledger_memory import MemoryLedger
from .outbox_memory import MemoryOutbox
from .parts import share_of
from .queries_memory import MemoryQueries
from .sealing import SealedUnit
from .store import Notification, StreamRow, run_streams
from .sweep_memory import MemorySweep
from .tables_memory import MemoryTables


class MemoryStore(POPOProcessRecorder):
    """A store in one process; fulfils `refold.eventstore.store.Store`."""

    def __init__(self, seconds: Callable[[], float] = time.time):
        super().__init__()
        self._log: list[Record] = []
        self._streams: dict[str, list[Record]] = {}
        self._starts: dict[str, int] = {}
        self._heads: dict[str, Head] = {}
        self._large: dict[str, bytes] = {}
        self._hints = LocalHints()
        self.dispatch = MemoryDispatch(self._database_lock, self._heads, seconds)
        self.ledger = MemoryLedger(self._database_lock, self.dispatch.has, seconds)
        self.key_uses = MemoryKeyUses(self._database_lock)
        self.data_keys = MemoryDataKeys(self._database_lock)
        self.queries = MemoryQueries(self._database_lock, seconds)
        self.tables = MemoryTables(self._database_lock, seconds)
        self.parts = self.tables.parts
        self.outbox = MemoryOutbox(self._database_lock, seconds)
        self.sweep = MemorySweep(lambda: tuple(self._log), self._heads)

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """See `Store.commit`."""
        with self._database_lock:
            return [self._commit(unit, owner) for unit in units]

    def _commit(self, unit: SealedUnit, owner: str) -> bool:
        heads = self._heads
        if any(heads.get(append.stream, EMPTY) != append.expected for append in unit.appends):
            return False
        for append in unit.appends:
            self._starts.setdefault(append.stream, len(self._log) + 1)
            self._log.extend(append.records)
            self._streams.setdefault(append.stream, []).extend(append.records)
            heads[append.stream] = append.head
        self._large.update(unit.large)
        for change in unit.dispatch:
            self.dispatch.apply(change, owner)
        self._change_ledger(unit)
        return True

    def _change_ledger(self, unit: SealedUnit) -> None:
        for change in unit.ledger:
            self.ledger.apply(change)
        for change in unit.dispatch:
            if isinstance(change, Unschedule):
                self.ledger.release(change.stream)

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """See `Store.heads`."""
        with self._database_lock:
            return {stream: self._heads[stream] for stream in streams if stream in self._heads}

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        """See `Store.read`."""
        with self._database_lock:
            records = self._streams.get(stream, [])
            start = max(after, 0)
            return records[start : None if limit is None else start + limit]

    def read_all(self, streams: Sequence[str]) -> dict[str, list[Record]]:
        """See `Store.read_all`."""
        return {stream: self.read(stream) for stream in streams}

    def follow(self, position: int, limit: int) -> list[Notification]:
        """See `Store.follow`."""
        with self._database_lock:
            records = self._log[position : position + limit]
        return [Notification(number, record) for number, record in enumerate(records, position + 1)]

    def follow_share(self, position: int, until: int, share: int, of: int) -> list[Notification]:
        """See `Store.follow_share`."""
        page = self.follow(position, until - position)
        return [each for each in page if share_of(each.record.stream.encode(), of) == share]

    def last_position(self) -> int:
        """See `Store.last_position`."""
        return len(self._log)

    def starts(self, streams: Sequence[str]) -> dict[str, int]:
        """See `Store.starts`."""
        with self._database_lock:
            return {stream: self._starts[stream] for stream in streams if stream in self._starts}

    def streams(self, tenant: str) -> list[str]:
        """See `Store.streams`."""
        with self._database_lock:
            return run_streams(name for name in self._heads if name.startswith(f"{tenant}/"))

    def large(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """See `Store.large`."""
        with self._database_lock:
            return {digest: self._large[digest] for digest in hashes if digest in self._large}

    def runs(self, tenant: str, before: int | None, limit: int) -> list[StreamRow]:
        """See `Store.runs`."""
        with self._database_lock:
            last = len(self._log) if before is None else before - 1
            found: list[StreamRow] = []
            for position in range(last, 0, -1):
                record = self._log[position - 1]
                if record.topic == "run.started" and record.stream.startswith(f"{tenant}/"):
                    found.append(StreamRow(record.stream, self._heads[record.stream].version, position))
                    if len(found) == limit:
                        break
            return found

    def hint(self) -> None:
        """See `Store.hint`."""
        self._hints.give()

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """See `Store.on_hint`."""
        return self._hints.listen(hear)

    def close(self) -> None:
        """Nothing is open."""

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The library's way to read a stream."""
        with self._database_lock:
            records = self._streams.get(str(originator_id), [])[gt or 0 : lte]
        chosen = (records[::-1] if desc else records)[:limit]
        return [StoredEvent(r.stream, r.version, r.topic, r.state) for r in chosen]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[LibraryNotification]:
        """The library's way to follow the log."""
        first = max(1 if start is None else start + (not inclusive_of_start), 1)
        with self._database_lock:
            numbered = list(enumerate(self._log[first - 1 : stop], first))
        chosen = [(number, r) for number, r in numbered if not topics or r.topic in topics][:limit]
        return [LibraryNotification(r.stream, r.version, r.topic, r.state, number) for number, r in chosen]

    def max_notification_id(self) -> int | None:
        """The library's name for the last position."""
        return len(self._log) or None

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Refused: the library's own append knows neither heads nor the chain."""
        raise NotImplementedError("events are appended through commit()")
