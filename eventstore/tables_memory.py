"""The projections' tables in memory; fulfils `refold.eventstore.tables.TableStore`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any

from .parts_memory import Kept, MemoryParts
from .tables import LEASES, Batch, Between, By, Generation, Parked, Per, Row, Table, check_table, following_one, nothing


class MemoryTables:
    """The tables of a store in one process, guarded by the store's own `lock`."""

    def __init__(self, lock: AbstractContextManager[Any], seconds: Callable[[], float]):
        self._lock = lock
        self._seconds = seconds
        self._kept: dict[tuple[str, int], Kept] = {}
        self.parts = MemoryParts(lock, seconds, self._kept)

    def generations(self, name: str | None = None) -> list[Generation]:
        """See `TableStore.generations`."""
        with self._lock:
            now = self._seconds()
            return [
                kept.row._replace(
                    seconds_left=max(kept.until - now, 0.0) if kept.row.owner else 0.0,
                    parts=len(self.parts.list(*key)),
                )
                for key, kept in sorted(self._kept.items(), key=itemgetter(0))
                if name == key[0] or (name is None and key[0] not in LEASES)
            ]

    def create(self, name: str, version: int, tables: Sequence[Table], number: int | None = None) -> int:
        """See `TableStore.create`."""
        for table in tables:
            check_table(table)
        with self._lock:
            numbers = [number for known, number in self._kept if known == name]
            number = following_one(max(numbers, default=0) + 1, number)
            paused = any(self._kept[name, each].row.paused for each in numbers)
            row = Generation(
                name, number, version, tuple(tables), not numbers, 0, 0, None, 0.0, paused, None, self.now()
            )
            self._kept[name, number] = Kept(row, rows={table.name: {} for table in tables})
            return number

    def drop(self, name: str, generation: int) -> None:
        """See `TableStore.drop`."""
        with self._lock:
            self._kept.pop((name, generation), None)
            self.parts.take_away(name, generation)

    def claim(self, name: str, generation: int, owner: str, seconds: float, instead_of: str | None = None) -> bool:
        """See `TableStore.claim`."""
        with self._lock:
            kept = self._kept.get((name, generation))
            if kept is None or (kept.row.owner not in (None, owner, instead_of) and kept.until > self._seconds()):
                return False
            kept.row = kept.row._replace(owner=owner)
            kept.until = self._seconds() + seconds
            return True

    def release(self, name: str, generation: int, owner: str) -> None:
        """See `TableStore.release`."""
        with self._lock:
            kept = self._kept.get((name, generation))
            if kept is not None and kept.row.owner == owner:
                kept.row = kept.row._replace(owner=None)

    def write(
        self,
        name: str,
        generation: int,
        owner: str,
        seconds: float,
        batch: Batch,
        before_commit: Callable[[], None] = nothing,
    ) -> bool:
        """See `TableStore.write`."""
        with self._lock:
            kept = self._kept.get((name, generation))
            if kept is None or kept.row.owner != owner or kept.row.paused or kept.row.position != batch.expected:
                return False
            before_commit()
            kept.fill(batch)
            self.parts.take_away(name, generation)
            kept.row = kept.row._replace(
                position=batch.position, position_at=batch.position_at, error=None, updated=self.now()
            )
            kept.until = self._seconds() + seconds
            return True

    def fail(self, name: str, generation: int, owner: str, error: str | None) -> None:
        """See `TableStore.fail`."""
        with self._lock:
            kept = self._kept.get((name, generation))
            if kept is not None and kept.row.owner == owner:
                kept.row = kept.row._replace(error=error)

    def pause(self, name: str, paused: bool) -> None:
        """See `TableStore.pause`."""
        with self._lock:
            for kept in self._of(name):
                kept.row = kept.row._replace(paused=paused)

    def switch(self, name: str, generation: int, owner: str) -> bool:
        """See `TableStore.switch`."""
        with self._lock:
            chosen = self._kept.get((name, generation))
            if chosen is None or chosen.row.owner != owner:
                return False
            for kept in self._of(name):
                kept.row = kept.row._replace(active=kept is chosen)
            return True

    def rows(
        self,
        of: Generation,
        table: str,
        where: Mapping[str, Any],
        limit: int,
        after: Row | None = None,
        order: Sequence[str] | None = None,
        descending: bool = False,
        between: Sequence[Between] = (),
    ) -> list[Row]:
        """See `TableStore.rows`."""
        names = of.table(table).names
        places = [names.index(name) for name in order or of.table(table).key_names]

        def place(row: Row) -> Row:
            return tuple(row[each] for each in places)

        found = self._found(of, table, where, between)
        found.sort(key=place, reverse=descending)
        if after is not None:
            found = [row for row in found if (place(row) < after if descending else place(row) > after)]
        return found[:limit]

    def _found(self, of: Generation, table: str, where: Mapping[str, Any], between: Sequence[Between]) -> list[Row]:
        names = of.table(table).names
        wanted = [(names.index(name), value) for name, value in where.items()]
        bounds = [(names.index(each.column), each) for each in between]
        with self._lock:
            every = [row for rows in self._kept[of.name, of.generation].rows[table].values() for row in rows.values()]
        return [
            row
            for row in every
            if all(row[at] == value for at, value in wanted) and all(_within(row[at], each) for at, each in bounds)
        ]

    def counts(
        self, of: Generation, table: str, where: Mapping[str, Any], by: By, between: Sequence[Between] = ()
    ) -> list[Row]:
        """See `TableStore.counts`."""
        names = of.table(table).names
        chosen = [(names.index(each.column if isinstance(each, Per) else each), each) for each in by]
        counted = Counter(
            tuple(_rounded(row[at], each.width) if isinstance(each, Per) else row[at] for at, each in chosen)
            for row in self._found(of, table, where, between)
        )
        if not by:
            return [(counted[()],)]
        ordered = sorted(counted, key=lambda values: [(value is not None, value) for value in values])
        return [(*values, counted[values]) for values in ordered]

    def parked(self, name: str, generation: int) -> list[Parked]:
        """See `TableStore.parked`."""
        with self._lock:
            kept = self._kept.get((name, generation))
            return sorted(kept.parked.values()) if kept is not None else []

    def retry(self, name: str, stream: str | None) -> int:
        """See `TableStore.retry`."""
        with self._lock:
            marked = 0
            for kept in self._of(name):
                for each in list(kept.parked.values()):
                    if stream in (None, each.stream):
                        kept.parked[each.stream] = each._replace(retry=True)
                        marked += kept.row.active
            return marked

    def now(self) -> int:
        """See `TableStore.now`."""
        return int(self._seconds() * 1_000_000)

    def _of(self, name: str) -> list[Kept]:
        return [kept for (known, _), kept in self._kept.items() if known == name]


def _within(value: Any, bounds: Between) -> bool:
    if value is None:
        return bounds.least is None and bounds.below is None
    return (bounds.least is None or value >= bounds.least) and (bounds.below is None or value < bounds.below)


def _rounded(value: Any, width: int) -> int | None:
    if value is None:
        return None
    return value // width * width if value >= 0 else -(-value // width * width)
