"""What an append writes into SQLite.

Statements carry many rows each, because every call into SQLite gives up the interpreter's lock, and a busy main thread
is slow to give it back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

import orjson

from ..core.ports import NEVER, Dispatch, Schedule, Unschedule, Wake
from .dispatch import SQLITE, seconds_of
from .ledger_sqlite import change_ledger
from .sealing import SealedUnit

_SIZES = (1, 4, 16, 64, 128, 256, 512, 1024)
"""Rows of one statement; fewer are padded with nulls. Few sizes, so that each is prepared once."""


def refused_units(connection: sqlite3.Connection, units: Sequence[SealedUnit]) -> set[int]:
    """The numbers, from 0, of the units that name a head which is not the stream's."""
    rows = [
        (number, a.stream, a.expected.version, a.expected.hash or "")
        for number, u in enumerate(units)
        for a in u.appends
    ]
    # One row comes back, not one for each refusal: every row fetched would give up the interpreter's lock.
    sql = (
        "SELECT group_concat(column1) FROM ({rows}) LEFT JOIN stream_heads ON stream = column2 "
        "WHERE column1 IS NOT NULL AND (coalesce(version, 0) <> column3 OR coalesce(hash, '') <> column4)"
    )
    refused: set[int] = set()
    for start in range(0, len(rows), _SIZES[-1]):
        found: str | None = _execute(connection, sql, rows[start : start + _SIZES[-1]]).fetchone()[0]
        refused.update(map(int, found.split(",")) if found else ())
    return refused


def insert_units(connection: sqlite3.Connection, units: Sequence[SealedUnit], owner: str) -> None:
    """Store `units`, none of which was refused."""
    records = [record for unit in units for append in unit.appends for record in append.records]
    heads = [(append.stream, *append.head) for unit in units for append in unit.appends]
    _insert(connection, "stored_events (originator_id, originator_version, topic, state)", records)
    # "WHERE true" tells SQLite's parser that ON is not the beginning of a join.
    _insert(
        connection, "stream_heads", heads, "ON CONFLICT DO UPDATE SET version = excluded.version, hash = excluded.hash"
    )
    large = [item for unit in units for item in unit.large.items()]
    if large:
        _insert(connection, "large_payloads", large, "ON CONFLICT DO NOTHING")
        named = [(digest, append.stream) for unit in units for digest in unit.large for append in unit.appends]
        _insert(connection, "large_references", named, "ON CONFLICT DO NOTHING")
    dispatch = [change for unit in units for change in unit.dispatch]
    _change_dispatch(connection, dispatch, owner)
    ended = [change.stream for change in dispatch if isinstance(change, Unschedule)]
    change_ledger(connection, [change for unit in units for change in unit.ledger], ended)


def _change_dispatch(connection: sqlite3.Connection, changes: Sequence[Dispatch], owner: str) -> None:
    gone = [change.stream for change in changes if isinstance(change, Unschedule)]
    if gone:
        sql = "DELETE FROM dispatch WHERE stream IN (SELECT value FROM json_each(?))"
        connection.execute(sql, (orjson.dumps(gone).decode(),))
    woken = [change.stream for change in changes if isinstance(change, Wake)]
    if woken:
        sql = "UPDATE dispatch SET due_at = 0 WHERE stream IN (SELECT value FROM json_each(?))"
        connection.execute(sql, (orjson.dumps(woken).decode(),))
    rows: list[tuple[Any, ...]] = []
    for c in changes:
        if isinstance(c, Schedule):
            holder = owner if c.lease_seconds else None
            heard = NEVER if c.taken is None else c.taken
            due = seconds_of(c.due)
            inbox = f"{c.stream}/inbox"
            rows.append((c.stream, c.queue, c.priority, c.needs, due, holder, c.lease_seconds, inbox, heard))
    for start in range(0, len(rows), _SIZES[-1]):
        _execute(connection, _SCHEDULE, rows[start : start + _SIZES[-1]])


# A message that came in while the run was being put to rest must not be overlooked: then it is due at once.
_SCHEDULE = f"""
INSERT INTO dispatch
SELECT
    column1, column2, column3, column4,
    CASE WHEN coalesce((SELECT version FROM stream_heads WHERE stream = column8), 0) > column9 THEN 0 ELSE column5 END,
    column6,
    CASE WHEN column6 IS NULL THEN 0 ELSE {SQLITE.now} + column7 END
FROM ({{rows}}) WHERE column1 IS NOT NULL
ON CONFLICT DO UPDATE SET due_at = excluded.due_at, owner = excluded.owner, lease_until = excluded.lease_until
"""


def _insert(connection: sqlite3.Connection, target: str, rows: Sequence[tuple[Any, ...]], tail: str = "") -> None:
    for start in range(0, len(rows), _SIZES[-1]):
        sql = f"INSERT INTO {target} SELECT * FROM ({{rows}}) WHERE column1 IS NOT NULL {tail}"
        _execute(connection, sql, rows[start : start + _SIZES[-1]])


def _execute(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> sqlite3.Cursor:
    """Run `sql` with `{rows}` standing for a VALUES clause of `rows`, padded to one of a few sizes."""
    width = len(rows[0])
    size = next(size for size in _SIZES if size >= len(rows))
    padding = (None,) * (width * (size - len(rows)))
    return connection.execute(_with_rows(sql, size, width), (*chain.from_iterable(rows), *padding))


@cache
def _with_rows(sql: str, size: int, width: int) -> str:
    row = f"({','.join('?' * width)})"
    return sql.replace("{rows}", f"VALUES {','.join([row] * size)}")
