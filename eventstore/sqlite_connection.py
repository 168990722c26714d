"""Connections to a SQLite file: set up to be durable, begun to write without starving, their errors as ours."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from random import random

from eventsourcing.persistence import PersistenceError
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool

from ..core.errors import IntegrityError, StoreRefusedError, StoreUnreachableError

BUSY_SECONDS = 10
"""How long to wait for another process's transaction before the store counts as unreachable."""

PATIENT_SECONDS = 1
"""For how long of that SQLite itself waits to begin a transaction that writes."""


class Pool(SQLiteConnectionPool):
    """Connections set up and read back: durability is not assumed."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        make_durable(connection._sqlite_conn)  # pyright: ignore[reportPrivateUsage]
        return connection


def make_durable(connection: sqlite3.Connection, busy_seconds: int = BUSY_SECONDS) -> None:
    """Set what durability needs, and read back what SQLite made of it."""
    wanted = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": busy_seconds * 1000}
    for name, value in wanted.items():
        connection.execute(f"PRAGMA {name}={value}")
        found = connection.execute(f"PRAGMA {name}").fetchone()[0]
        if found != value:
            raise StoreRefusedError(f"SQLite keeps {name}={found}, but {value} is needed (a network file system?)")


def begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction that writes; waits for those of other processes, BUSY_SECONDS at most.

    SQLite's own waiting looks ten times a second in the end, and may find a file that many write to busy each time.
    Looking oftener takes time from the others, so only those do it who have waited for a second.
    """
    if _begun(connection):
        return
    until = time.monotonic() + BUSY_SECONDS
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while not _begun(connection, fails=time.monotonic() > until):
            time.sleep(random() * 0.002)
    finally:
        connection.execute(f"PRAGMA busy_timeout={PATIENT_SECONDS * 1000}")


def _begun(connection: sqlite3.Connection, *, fails: bool = False) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if fails or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


@contextmanager
def reported(what: str = "SQLite") -> Generator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.InterfaceError, PersistenceError) as error:
        if "no such table" in str(error):
            raise StoreRefusedError("the database has no Refold schema; run: refold migrate") from error
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            raise StoreRefusedError(f"{what}: {error}: check who owns the file and its folder") from error
        raise StoreUnreachableError(f"{what}: {error}") from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise IntegrityError(f"{what}: {error}: the file is damaged; restore it from a copy") from error
        raise StoreRefusedError(f"{what}: {error}") from error
