"""What a commit changes of the ledger in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from ..core.ports import LedgerChange, Settle, TopUp

_COUNT = """
UPDATE ledger_accounts AS a
SET reserved = a.reserved - s.amount, spent = a.spent + CASE WHEN a.kind = 'budget' THEN s.spent ELSE 0 END
FROM (
    SELECT h.account, sum(h.amount) AS amount, sum(l.spent) AS spent
    FROM ({listed}) AS l JOIN ledger_holds h ON {same} WHERE h.granted GROUP BY h.account
) AS s
WHERE a.name = s.account AND a.kind <> 'rate'
"""

_ATTEMPTS = """
SELECT json_extract(value, '$[0]') AS stream, json_extract(value, '$[1]') AS step,
json_extract(value, '$[2]') AS attempt, json_extract(value, '$[3]') AS spent FROM json_each(?)
"""
_STREAMS = "SELECT value AS stream, 0 AS spent FROM json_each(?)"

_COUNT_ATTEMPTS = _COUNT.format(
    listed=_ATTEMPTS, same="h.stream = l.stream AND h.step = l.step AND h.attempt = l.attempt"
)
_COUNT_STREAMS = _COUNT.format(listed=_STREAMS, same="h.stream = l.stream")

_TOP_UP = """
INSERT INTO ledger_accounts VALUES (?, 'budget', 0, 0, ?, 0, 0, 0)
ON CONFLICT DO UPDATE SET extra = extra + excluded.extra
"""


def change_ledger(connection: sqlite3.Connection, changes: Sequence[LedgerChange], ended: Sequence[str]) -> None:
    """Carry out `changes`, and give back what the runs hold that have `ended`."""
    settled: dict[tuple[str, str, int], int] = {}
    for change in changes:
        if isinstance(change, Settle):
            settled.setdefault(change[:3], change.spent)
    if settled:
        given = _json([(*attempt, spent) for attempt, spent in settled.items()])
        connection.execute(_COUNT_ATTEMPTS, given)
        keys = f"SELECT stream, step, attempt FROM ({_ATTEMPTS})"
        connection.execute(f"DELETE FROM ledger_holds WHERE (stream, step, attempt) IN ({keys})", given)
    if ended and _holds_any(connection, ended):
        connection.execute(_COUNT_STREAMS, _json(ended))
        connection.execute("DELETE FROM ledger_holds WHERE stream IN (SELECT value FROM json_each(?))", _json(ended))
    for change in changes:
        if isinstance(change, TopUp):
            connection.execute(_TOP_UP, change)


def _holds_any(connection: sqlite3.Connection, streams: Sequence[str]) -> bool:
    sql = "SELECT 1 FROM ledger_holds WHERE stream IN (SELECT value FROM json_each(?)) LIMIT 1"
    return connection.execute(sql, _json(streams)).fetchone() is not None


def _json(items: Sequence[Any]) -> tuple[str]:
    return (orjson.dumps(items).decode(),)
