"""Generations in memory, and their parts; fulfils `refold.eventstore.parts.PartStore`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from .parts import Part
from .tables import Batch, Generation, Parked, Row, RunKey, nothing


@dataclass
class Kept:
    """A generation with its rows, by table, run and key; `until` is when the lease ends."""

    row: Generation
    until: float = 0.0
    rows: dict[str, dict[RunKey, dict[Row, Row]]] = field(default_factory=dict[str, dict[RunKey, dict[Row, Row]]])
    parked: dict[str, Parked] = field(default_factory=dict[str, Parked])

    def fill(self, batch: Batch) -> None:
        """Take in what a batch holds, but for its position."""
        for rows in self.rows.values():
            for run in batch.runs:
                rows.pop(run, None)
        for table, added in batch.rows.items():
            key = self.row.table(table).key
            for row in added:
                self.rows[table].setdefault((row[0], row[1]), {})[row[:key]] = tuple(row)
        for stream in batch.unparked:
            self.parked.pop(stream, None)
        self.parked.update({each.stream: each for each in batch.parked})


class MemoryParts:
    """The parts of the generations in `kept`, guarded by the store's own `lock`; `seconds_left` is when leases end."""

    def __init__(
        self, lock: AbstractContextManager[Any], seconds: Callable[[], float], kept: dict[tuple[str, int], Kept]
    ):
        self._lock = lock
        self._seconds = seconds
        self._kept = kept
        self._parts: dict[tuple[str, int], list[Part]] = {}

    def list(self, name: str, generation: int) -> list[Part]:
        """See `PartStore.list`."""
        with self._lock:
            now = self._seconds()
            return [
                each._replace(seconds_left=max(each.seconds_left - now, 0.0) if each.owner else 0.0)
                for each in self._parts.get((name, generation), [])
            ]

    def take_away(self, name: str, generation: int) -> None:
        """Make a generation undivided."""
        self._parts.pop((name, generation), None)

    def divide(self, name: str, generation: int, owner: str, parts: int, until: int) -> bool:
        """See `PartStore.divide`."""
        with self._lock:
            kept = self._kept.get((name, generation))
            if kept is None or kept.row.owner != owner or kept.row.position >= until:
                return False
            position = kept.row.position
            self._parts[name, generation] = [
                Part(part, parts, position, until, None, 0.0, None) for part in range(parts)
            ]
            return True

    def join(self, name: str, generation: int, owner: str, position_at: int) -> bool:
        """See `PartStore.join`."""
        with self._lock:
            kept, parts = self._kept.get((name, generation)), self._parts.get((name, generation))
            if kept is None or kept.row.owner != owner or kept.row.paused or not parts:
                return False
            if any(each.position < each.until for each in parts):
                return False
            kept.row = kept.row._replace(position=parts[0].until, position_at=position_at, error=None)
            self.take_away(name, generation)
            return True

    def claim(self, name: str, generation: int, part: int, owner: str, seconds: float, instead_of: str | None) -> bool:
        """See `PartStore.claim`."""
        with self._lock:
            parts = self._parts.get((name, generation), [])
            now = self._seconds()
            found = parts[part] if part < len(parts) else None
            if found is None or (found.owner not in (None, owner, instead_of) and found.seconds_left > now):
                return False
            parts[part] = found._replace(owner=owner, seconds_left=now + seconds, error=None)
            return True

    def write(
        self,
        of: Generation,
        part: int,
        owner: str,
        seconds: float,
        batch: Batch,
        before_commit: Callable[[], None] = nothing,
    ) -> bool:
        """See `PartStore.write`."""
        with self._lock:
            kept, parts = self._kept.get((of.name, of.generation)), self._parts.get((of.name, of.generation))
            if kept is None or parts is None or kept.row.paused:
                return False
            if parts[part].owner != owner or parts[part].position != batch.expected:
                return False
            before_commit()
            kept.fill(batch)
            parts[part] = parts[part]._replace(position=batch.position, seconds_left=self._seconds() + seconds)
            return True

    def fail(self, name: str, generation: int, part: int, owner: str, error: str) -> None:
        """See `PartStore.fail`."""
        with self._lock:
            parts = self._parts.get((name, generation), [])
            if part < len(parts) and parts[part].owner == owner:
                parts[part] = parts[part]._replace(owner=None, error=error)
