"""Parts of generations in a SQL database; fulfils `refold.eventstore.parts.PartStore`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from .dispatch import Dialect, Query
from .parts import Part
from .tables import Batch, Generation, nothing
from .tables_sql import TAKE_AWAY, SQLTables, Transaction, in_dialect

_LIST = """
SELECT part, parts, position, until, owner,
CASE WHEN owner IS NULL OR lease_until < {now} THEN 0 ELSE lease_until - {now} END, error
FROM projection_parts WHERE name = ? AND generation = ? ORDER BY part
"""
_HELD = "UPDATE projections SET updated = updated WHERE name = ? AND generation = ? AND owner = ? AND position < ?"
_DIVIDE = """
INSERT INTO projection_parts (name, generation, part, parts, position, until, owner, lease_until, error)
SELECT name, generation, ?, ?, position, ?, NULL, 0, NULL FROM projections WHERE name = ? AND generation = ?
"""
_JOIN = """
UPDATE projections SET position = (
    SELECT min(until) FROM projection_parts c WHERE c.name = projections.name AND c.generation = projections.generation
), position_at = ?, error = NULL
WHERE name = ? AND generation = ? AND owner = ? AND NOT paused
AND EXISTS (SELECT 1 FROM projection_parts c WHERE c.name = projections.name AND c.generation = projections.generation)
AND NOT EXISTS (
    SELECT 1 FROM projection_parts c
    WHERE c.name = projections.name AND c.generation = projections.generation AND c.position < c.until
)
"""
_CLAIM = """
UPDATE projection_parts SET owner = ?, lease_until = {now} + ?, error = NULL
WHERE name = ? AND generation = ? AND part = ?
AND (owner IS NULL OR owner = ? OR owner = ? OR lease_until <= {now})
"""
_MOVE = """
UPDATE projection_parts SET position = ?, lease_until = {now} + ?
WHERE name = ? AND generation = ? AND part = ? AND owner = ? AND position = ? AND NOT EXISTS (
    SELECT 1 FROM projections p WHERE p.name = projection_parts.name AND p.generation = projection_parts.generation
    AND p.paused
)
"""
_FAIL = """
UPDATE projection_parts SET error = ?, owner = NULL WHERE name = ? AND generation = ? AND part = ? AND owner = ?
"""


class SQLParts:
    """The parts in a SQL database, of the generations of `tables`."""

    def __init__(
        self,
        read: Query,
        transaction: Callable[[], AbstractContextManager[Transaction]],
        dialect: Dialect,
        tables: SQLTables,
    ):
        self._read = read
        self._transaction = transaction
        self._dialect = dialect
        self._tables = tables

    def _sql(self, text: str) -> str:
        return in_dialect(text, self._dialect)

    def list(self, name: str, generation: int) -> list[Part]:
        """See `PartStore.list`."""
        rows = self._read(self._sql(_LIST), (name, generation))
        return [Part._make((*row[:5], float(row[5]), row[6])) for row in rows]

    def divide(self, name: str, generation: int, owner: str, parts: int, until: int) -> bool:
        """See `PartStore.divide`."""
        with self._transaction() as change:
            if change.run(self._sql(_HELD), (name, generation, owner, until)) != 1:
                return False
            change.run(self._sql(TAKE_AWAY), (name, generation))
            for part in range(parts):
                change.run(self._sql(_DIVIDE), (part, parts, until, name, generation))
        return True

    def join(self, name: str, generation: int, owner: str, position_at: int) -> bool:
        """See `PartStore.join`."""
        with self._transaction() as change:
            if change.run(self._sql(_JOIN), (position_at, name, generation, owner)) != 1:
                return False
            change.run(self._sql(TAKE_AWAY), (name, generation))
        return True

    def claim(self, name: str, generation: int, part: int, owner: str, seconds: float, instead_of: str | None) -> bool:
        """See `PartStore.claim`."""
        with self._transaction() as change:
            return change.run(self._sql(_CLAIM), (owner, seconds, name, generation, part, owner, instead_of)) == 1

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
        moved = (batch.position, seconds, of.name, of.generation, part, owner, batch.expected)
        with self._transaction() as change:
            if change.run(self._sql(_MOVE), moved) != 1:
                return False
            self._tables.fill(change, of, batch)
            before_commit()
        return True

    def fail(self, name: str, generation: int, part: int, owner: str, error: str) -> None:
        """See `PartStore.fail`."""
        with self._transaction() as change:
            change.run(self._sql(_FAIL), (error.replace("\0", "␀"), name, generation, part, owner))
