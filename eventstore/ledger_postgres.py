"""How PostgreSQL lets the ledger be asked: one call at a time, in two round trips."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from .ledger import Exchange

LEDGER_LOCK = b"SELECT pg_advisory_xact_lock(7310203118230115)"
"""The lock that `refold_commit` takes, too, when it changes the ledger; always before that of the appends."""

# A process that stands still in the middle must not keep the others waiting for ever.
_NOT_FOR_EVER = b"SET LOCAL idle_in_transaction_session_timeout = '5s'"

UNDELETED = "FOR KEY SHARE SKIP LOCKED"
"""The words for rows that stay until the transaction ends; those that are just being deleted are left out."""


@contextmanager
def exchange_over(connection: psycopg.Connection[Any]) -> Generator[Exchange]:
    """A transaction on `connection` that holds the ledger's lock."""
    with connection.pipeline(), connection.transaction():
        connection.execute(_NOT_FOR_EVER)
        connection.execute(LEDGER_LOCK)

        def ask(statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[tuple[Any, ...]]]:
            cursors = [connection.cursor(row_factory=tuple_row) for _ in statements]
            for cursor, (sql, given) in zip(cursors, statements, strict=True):
                cursor.execute(sql.encode(), given)
            return [cursor.fetchall() for cursor in cursors]

        def put(sql: str, rows: Sequence[Sequence[Any]]) -> None:
            for row in rows:
                connection.execute(sql.encode(), row)

        yield Exchange(ask, put)
