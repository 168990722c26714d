"""The projections' tables in a SQL database; fulfils `refold.eventstore.tables.TableStore`.

The tables of a generation are called `p_{table}_{generation}`. Rows go in by one statement for each table: an array for
each column on PostgreSQL, where parameters for each value would take longer than the insert, and by `executemany` on
SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import orjson

from .dispatch import Dialect, Query
from .tables import (
    LEASES,
    Batch,
    Between,
    By,
    ColumnType,
    Generation,
    Parked,
    Per,
    Row,
    Table,
    check_table,
    following_one,
    nothing,
)


class Transaction(NamedTuple):
    """A transaction under way: `run` runs a statement and tells how many rows it changed, `each` runs one for each row
    of parameters, and `ask` gives the rows that a statement finds."""

    run: Callable[[str, Sequence[Any]], int]
    each: Callable[[str, Sequence[Sequence[Any]]], object]
    ask: Query


class TableDialect(NamedTuple):
    """Where the databases differ: the time and the mark of a parameter (`base`), the columns' types, and the arrays as
    which the columns of many rows go in, where there are such."""

    base: Dialect
    types: Mapping[ColumnType, str]
    arrays: Mapping[ColumnType, Callable[[Iterable[Any]], Sequence[Any]]] | None = None


SQLITE_TYPES: dict[ColumnType, str] = {
    "text": "TEXT",
    "int": "INTEGER",
    "float": "REAL",
    "bool": "INTEGER",
    "json": "TEXT",
}
"""SQLite's."""
POSTGRES_TYPES: dict[ColumnType, str] = {
    "text": 'text COLLATE "C"',
    "int": "bigint",
    "float": "float8",
    "bool": "boolean",
    "json": 'text COLLATE "C"',
}
"""PostgreSQL's; texts are ordered by code points, as everywhere else."""

_GENERATION = """
SELECT name, generation, version, tables, active, position, position_at, owner,
CASE WHEN owner IS NULL OR lease_until < {now} THEN 0 ELSE lease_until - {now} END, paused, error, updated,
(SELECT count(*) FROM projection_parts c WHERE c.name = projections.name AND c.generation = projections.generation)
FROM projections WHERE name = ? OR (? IS NULL AND name NOT IN ({leases})) ORDER BY name, generation
"""
_LEASES = ", ".join(f"'{name}'" for name in LEASES)
_ONE = "name = ? AND generation = ?"
_FREE = "(owner IS NULL OR owner = ? OR owner = ? OR lease_until <= {now})"


TAKE_AWAY = "DELETE FROM projection_parts WHERE name = ? AND generation = ?"
"""Makes a generation undivided."""


def in_dialect(text: str, base: Dialect) -> str:
    """A statement with ? for each parameter and {now} for the time, as a database wants it."""
    mark = base.mark if base.mark == "?" else f"{base.mark}::text"
    # Whether a parameter that is only compared with NULL is a text PostgreSQL cannot tell.
    return text.replace("{now}", base.now).replace("? IS NULL", f"{mark} IS NULL").replace("?", base.mark)


class SQLTables:
    """The tables in a SQL database: `read` runs one statement, `transaction` several that count together."""

    def __init__(
        self, read: Query, transaction: Callable[[], AbstractContextManager[Transaction]], dialect: TableDialect
    ):
        self._read = read
        self._transaction = transaction
        self._dialect = dialect

    def _sql(self, text: str) -> str:
        return in_dialect(text, self._dialect.base)

    def generations(self, name: str | None = None) -> list[Generation]:
        """See `TableStore.generations`."""
        return [
            Generation(
                name=row[0],
                generation=row[1],
                version=row[2],
                tables=tuple(Table.of_json(told) for told in orjson.loads(row[3])),
                active=bool(row[4]),
                position=row[5],
                position_at=row[6],
                owner=row[7],
                seconds_left=float(row[8]),
                paused=bool(row[9]),
                error=row[10],
                updated=row[11],
                parts=row[12],
            )
            for row in self._read(self._sql(_GENERATION.replace("{leases}", _LEASES)), (name, name))
        ]

    def create(self, name: str, version: int, tables: Sequence[Table], number: int | None = None) -> int:
        """See `TableStore.create`."""
        for table in tables:
            check_table(table)
        told = orjson.dumps([table.to_json() for table in tables]).decode()
        insert = (
            "INSERT INTO projections (name, generation, version, tables, active, position, position_at, owner, "
            "lease_until, paused, error, updated) VALUES (?, ?, ?, ?, ?, 0, 0, NULL, 0, ?, NULL, ?)"
        )
        known = self.generations(name)
        following = max((each.generation for each in known), default=0) + 1
        number = following_one(following, number)
        with self._transaction() as change:
            # Two that make the same one meet at this row's key, and the second fails.
            paused = any(each.paused for each in known)
            change.run(self._sql(insert), (name, number, version, told, not known, paused, self.now()))
            for table in tables:
                for statement in self._definition(table, number):
                    change.run(statement, ())
        return number

    def _definition(self, table: Table, generation: int) -> list[str]:
        columns = [
            f"{name} {self._dialect.types[kind]}{' NOT NULL' if name in table.key_names else ''}"
            for name, kind in table.columns.items()
        ]
        where = _table(table.name, generation)
        indexes = [
            f"CREATE INDEX {where}_{number} ON {where} ({', '.join(names)})"
            for number, names in enumerate(table.indexes)
        ]
        return [f"CREATE TABLE {where} ({', '.join(columns)}, PRIMARY KEY ({', '.join(table.key_names)}))", *indexes]

    def drop(self, name: str, generation: int) -> None:
        """See `TableStore.drop`."""
        found = [each for each in self.generations(name) if each.generation == generation]
        with self._transaction() as change:
            for each in found:
                for table in each.tables:
                    change.run(f"DROP TABLE IF EXISTS {_table(table.name, generation)}", ())
            change.run(self._sql("DELETE FROM parked WHERE name = ? AND generation = ?"), (name, generation))
            change.run(self._sql(TAKE_AWAY), (name, generation))
            change.run(self._sql("DELETE FROM projections WHERE name = ? AND generation = ?"), (name, generation))

    def claim(self, name: str, generation: int, owner: str, seconds: float, instead_of: str | None = None) -> bool:
        """See `TableStore.claim`."""
        sql = (
            f"UPDATE projections SET owner = ?, lease_until = {{now}} + ? WHERE name = ? AND generation = ? AND {_FREE}"
        )
        with self._transaction() as change:
            return change.run(self._sql(sql), (owner, seconds, name, generation, owner, instead_of)) == 1

    def release(self, name: str, generation: int, owner: str) -> None:
        """See `TableStore.release`."""
        sql = "UPDATE projections SET owner = NULL WHERE name = ? AND generation = ? AND owner = ?"
        with self._transaction() as change:
            change.run(self._sql(sql), (name, generation, owner))

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
        sql = (
            "UPDATE projections SET position = ?, position_at = ?, lease_until = {now} + ?, error = NULL, updated = ? "
            "WHERE name = ? AND generation = ? AND owner = ? AND position = ? AND NOT paused"
        )
        (of,) = [each for each in self.generations(name) if each.generation == generation] or [None]
        if of is None:
            return False
        moved = (batch.position, batch.position_at, seconds, self.now(), name, generation, owner, batch.expected)
        with self._transaction() as change:
            if change.run(self._sql(sql), moved) != 1:
                return False
            if of.parts:
                change.run(self._sql(TAKE_AWAY), (name, generation))
            self.fill(change, of, batch)
            before_commit()
        return True

    def fill(self, change: Transaction, of: Generation, batch: Batch) -> None:
        """Put what a batch holds, but for its position, into a generation."""
        for table in of.tables:
            self._put(change, table, of.generation, batch.runs, batch.rows.get(table.name, ()))
        self._park(change, of.name, of.generation, batch)

    def _put(
        self, change: Transaction, table: Table, generation: int, runs: Sequence[Row], rows: Sequence[Row]
    ) -> None:
        where, names = _table(table.name, generation), table.names
        # Where a run has many rows, some may be gone; a single one is written over.
        gone = runs if table.key > 2 else sorted(set(runs) - {row[:2] for row in rows})
        if gone:
            self._many(change, f"DELETE FROM {where} WHERE tenant = {{0}} AND run_id = {{1}}", table, gone, 2)
        if rows:
            changed = ", ".join(f"{name} = excluded.{name}" for name in names[table.key :])
            outcome = f"UPDATE SET {changed}" if changed else "NOTHING"
            conflict = f"ON CONFLICT ({', '.join(table.key_names)}) DO {outcome}"
            self._many(change, f"INSERT INTO {where} ({', '.join(names)}) {{rows}} {conflict}", table, rows, len(names))

    def _many(self, change: Transaction, sql: str, table: Table, rows: Sequence[Row], width: int) -> None:
        """Run `sql` for all `rows`: {rows} is where they are inserted, {0} and {1} are their first columns."""
        arrays = self._dialect.arrays
        if arrays is None:
            values = f"VALUES ({', '.join('?' * width)})"
            filled = sql.replace("{rows}", values).replace("{0}", "?").replace("{1}", "?")
            change.each(filled, rows)
            return
        columns = list(table.columns.items())[:width]
        given = [arrays[kind](column) for (_, kind), column in zip(columns, zip(*rows, strict=True), strict=False)]
        types = ", ".join(f"%b::{self._dialect.types[kind].split()[0]}[]" for _, kind in columns)
        source = f"unnest({types}) AS given ({', '.join(name for name, _ in columns)})"
        if "{rows}" in sql:
            change.run(sql.replace("{rows}", f"SELECT * FROM {source}"), given)
        else:
            deleted = sql.partition(" WHERE")[0]
            wanted = " AND ".join(f"{deleted.split()[-1]}.{name} = given.{name}" for name, _ in columns)
            change.run(f"{deleted} USING {source} WHERE {wanted}", given)

    def _park(self, change: Transaction, name: str, generation: int, batch: Batch) -> None:
        gone = [*batch.unparked, *(each.stream for each in batch.parked)]
        if gone:
            sql = "DELETE FROM parked WHERE name = ? AND generation = ? AND stream = ?"
            change.each(self._sql(sql), [(name, generation, stream) for stream in gone])
        if batch.parked:
            sql = "INSERT INTO parked (name, generation, stream, version, position, reason, seen, retry) VALUES "
            rows = [(name, generation, *parked) for parked in batch.parked]
            change.each(self._sql(sql + "(?, ?, ?, ?, ?, ?, ?, ?)"), rows)

    def fail(self, name: str, generation: int, owner: str, error: str | None) -> None:
        """See `TableStore.fail`."""
        sql = "UPDATE projections SET error = ? WHERE name = ? AND generation = ? AND owner = ?"
        with self._transaction() as change:
            change.run(self._sql(sql), (error and error.replace("\0", "␀"), name, generation, owner))

    def pause(self, name: str, paused: bool) -> None:
        """See `TableStore.pause`."""
        with self._transaction() as change:
            change.run(self._sql("UPDATE projections SET paused = ? WHERE name = ?"), (paused, name))

    def switch(self, name: str, generation: int, owner: str) -> bool:
        """See `TableStore.switch`."""
        held = "EXISTS (SELECT 1 FROM projections p WHERE p.name = ? AND p.generation = ? AND p.owner = ?)"
        sql = f"UPDATE projections SET active = (generation = ?) WHERE name = ? AND {held}"
        with self._transaction() as change:
            return change.run(self._sql(sql), (generation, name, name, generation, owner)) > 0

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
        declared = of.table(table)
        order = order or declared.key_names
        conditions, parameters = _conditions(where, between, declared, order)
        if after is not None:
            conditions.append(f"({', '.join(order)}) {'<' if descending else '>'} ({', '.join('?' * len(order))})")
            parameters.extend(after)
        filtered = _filtered(conditions)
        ordered = ", ".join(f"{name} DESC" if descending else name for name in order)
        sql = f"SELECT {', '.join(declared.names)} FROM {_table(table, of.generation)} {filtered} ORDER BY {ordered}"
        found = self._read(self._sql(f"{sql} LIMIT ?"), (*parameters, limit))
        return _with_bools(found, declared, declared.names)

    def counts(
        self, of: Generation, table: str, where: Mapping[str, Any], by: By, between: Sequence[Between] = ()
    ) -> list[Row]:
        """See `TableStore.counts`."""
        conditions, parameters = _conditions(where, between)
        chosen = [f"{each.column} / {each.width:d} * {each.width:d}" if isinstance(each, Per) else each for each in by]
        places = ", ".join(str(number) for number in range(1, len(by) + 1))
        ordered = ", ".join(f"{number} NULLS FIRST" for number in range(1, len(by) + 1))
        grouped = f"GROUP BY {places} ORDER BY {ordered}" if by else ""
        told = ", ".join([*chosen, "COUNT(*)"])
        sql = f"SELECT {told} FROM {_table(table, of.generation)} {_filtered(conditions)} {grouped}"
        found = self._read(self._sql(sql), parameters)
        return _with_bools(found, of.table(table), [each if isinstance(each, str) else "" for each in by])

    def parked(self, name: str, generation: int) -> list[Parked]:
        """See `TableStore.parked`."""
        sql = (
            "SELECT stream, version, position, reason, seen, retry FROM parked "
            "WHERE name = ? AND generation = ? ORDER BY stream"
        )
        return [
            Parked(row[0], row[1], row[2], row[3], row[4], bool(row[5]))
            for row in self._read(self._sql(sql), (name, generation))
        ]

    def retry(self, name: str, stream: str | None) -> int:
        """See `TableStore.retry`."""
        sql = "UPDATE parked SET retry = TRUE WHERE name = ? AND generation = ? AND (? IS NULL OR stream = ?)"
        marked = 0
        for of in self.generations(name):
            with self._transaction() as change:
                told = change.run(self._sql(sql), (name, of.generation, stream, stream))
            marked += told if of.active else 0
        return marked

    def now(self) -> int:
        """See `TableStore.now`."""
        return int(self._read(f"SELECT {self._dialect.base.now}", ())[0][0] * 1_000_000)


def _table(name: str, generation: int) -> str:
    return f"p_{name}_{generation}"


def _conditions(
    where: Mapping[str, Any], between: Sequence[Between], table: Table | None = None, order: Sequence[str] = ()
) -> tuple[list[str], list[Any]]:
    """What rows must fulfil, and the parameters in it.

    Bounds of columns that are not in `order` are written so that no index serves them: a database that takes the few
    rows of a page to be better found by sorting half of the table is right only where nothing is known of it.
    """
    conditions = [f"{name} IS NULL" if value is None else f"{name} = ?" for name, value in where.items()]
    parameters = [value for value in where.values() if value is not None]
    for each in between:
        for sign, bound in ((">=", each.least), ("<", each.below)):
            if bound is not None:
                column = each.column
                if table is not None and column not in order:
                    column += " || ''" if table.columns[column] == "text" else " + 0"
                conditions.append(f"{column} {sign} ?")
                parameters.append(bound)
    return conditions, parameters


def _filtered(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _with_bools(rows: list[Row], table: Table, names: Sequence[str]) -> list[Row]:
    """The rows, whose columns begin with `names`, with flags where SQLite has numbers."""
    flags = [number for number, name in enumerate(names) if table.columns.get(name) == "bool"]
    return [_with_flags(row, flags) for row in rows] if flags else rows


def _with_flags(row: Row, flags: Sequence[int]) -> Row:
    values = list(row)
    for number in flags:
        values[number] = None if values[number] is None else bool(values[number])
    return tuple(values)
