"""The embedded store: SQLite in WAL mode with `synchronous=FULL`, many processes on one file.

Built on the `eventsourcing` library's SQLite recorder, whose notification log and tracking it keeps; schema, appends
and connections are ours. A transaction that writes always begins with BEGIN IMMEDIATE: a deferred one that reads
first fails at once with "database is locked". Statements carry many rows each, because every call into SQLite gives up
the interpreter's lock, and a busy main thread is slow to give it back.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore, SQLiteProcessRecorder

from ..core.errors import StoreRefusedError, StoreUnreachableError
from ..core.ports import EMPTY, Head, Record, Schedule
from .migrate import Migration, pending
from .sealing import SealedUnit
from .store import LeaseRow, Notification, StreamRow

BUSY_SECONDS = 10
"""How long to wait for another process's transaction before the store counts as unreachable."""

YIELD_SECONDS = 50e-6
"""A pause after each commit: without it a quick writer starves the other processes on the same file."""

_NOW = "((julianday('now') - 2440587.5) * 86400.0)"
_CHUNKS = (256, 64, 16, 4, 1)
"""Rows of one INSERT. Few sizes, so that SQLite's statement cache holds them all."""


class _Pool(SQLiteConnectionPool):
    """Connections set up and read back: durability is not assumed."""

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        cursor = connection.cursor()
        for name, wanted in (("synchronous", 2), ("busy_timeout", BUSY_SECONDS * 1000)):
            cursor.execute(f"PRAGMA {name}={wanted}")
            cursor.execute(f"PRAGMA {name}")
            if (found := cursor.fetchone()[0]) != wanted:
                raise StoreRefusedError(f"SQLite keeps {name}={found}, but {wanted} is needed")
        cursor.execute("PRAGMA journal_mode")
        if (mode := cursor.fetchone()[0]) != "wal":
            raise StoreRefusedError(f"SQLite keeps journal_mode={mode}, but wal is needed (a network file system?)")
        return connection


class SQLiteStore(SQLiteProcessRecorder):
    """A store in one file; fulfils `refold.eventstore.store.Store`."""

    def __init__(self, path: Path):
        # As a file: address, because the library opens addresses, and a path may hold '?' or '%'.
        address = f"file:{quote(str(path.absolute()))}"
        datastore = SQLiteDatastore(address, originator_id_type="text", lock_timeout=BUSY_SECONDS)
        datastore.pool.close()
        datastore.pool = _Pool(db_name=address, lock_timeout=BUSY_SECONDS)
        super().__init__(datastore)
        self._write_lock = threading.Lock()
        with _reported():
            self._writer = datastore.pool._create_connection()  # pyright: ignore[reportPrivateUsage]

    def construct_create_table_statements(self) -> list[str]:
        """None: the schema belongs to the migrations."""
        return []

    def migrate(self, *, dry_run: bool = False) -> Sequence[Migration]:
        """Bring the schema up to date and return the migrations that were (or, dry, would be) applied."""
        with self._write() as connection:
            exists = "SELECT 1 FROM sqlite_master WHERE name = 'refold_migrations'"
            applied: dict[int, str] = {}
            if connection.execute(exists).fetchone():
                applied = dict(map(tuple, connection.execute("SELECT number, checksum FROM refold_migrations")))
            todo = pending("sqlite", applied)
            if dry_run or not todo:
                return todo
            if not applied:
                connection.execute(
                    "CREATE TABLE refold_migrations "
                    "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL)"
                )
            for migration in todo:
                for statement in _statements(migration.sql):
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO refold_migrations VALUES (?, ?, ?, datetime('now'))",
                    (migration.number, migration.name, migration.checksum),
                )
        return todo

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """See `Store.commit`."""
        names = [append.stream for unit in units for append in unit.appends]
        with self._write() as connection:
            heads = _heads(connection, names)
            stored = [all(heads.get(a.stream, EMPTY) == a.expected for a in unit.appends) for unit in units]
            accepted = [unit for unit, ok in zip(units, stored, strict=True) if ok]
            _insert_units(connection, accepted, owner)
        time.sleep(YIELD_SECONDS)
        return stored

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """See `Store.heads`."""
        with self._read() as connection:
            return _heads(connection, streams)

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        """See `Store.read`."""
        sql = (
            "SELECT originator_id, originator_version, topic, state FROM stored_events "
            "WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version LIMIT ?"
        )
        with self._read() as connection:
            return [Record(*row) for row in connection.execute(sql, (stream, after, -1 if limit is None else limit))]

    def follow(self, position: int, limit: int) -> list[Notification]:
        """See `Store.follow`."""
        sql = (
            "SELECT notification_id, originator_id, originator_version, topic, state FROM stored_events "
            "WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
        )
        with self._read() as connection:
            return [Notification(row[0], Record(*row[1:])) for row in connection.execute(sql, (position, limit))]

    def last_position(self) -> int:
        """See `Store.last_position`."""
        with self._read() as connection:
            return connection.execute("SELECT coalesce(max(notification_id), 0) FROM stored_events").fetchone()[0]

    def large(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """See `Store.large`."""
        sql = "SELECT hash, data FROM large_payloads WHERE hash IN (SELECT value FROM json_each(?))"
        with self._read() as connection:
            return dict(map(tuple, connection.execute(sql, (orjson.dumps(hashes).decode(),))))

    def runs(self, tenant: str, before: int | None, limit: int) -> list[StreamRow]:
        """See `Store.runs`."""
        sql = (
            "SELECT e.originator_id, h.version, e.notification_id FROM stored_events e "
            "JOIN stream_heads h ON h.stream = e.originator_id "
            "WHERE e.topic = 'run.started' AND e.originator_id >= ? AND e.originator_id < ? AND e.notification_id < ? "
            "ORDER BY e.notification_id DESC LIMIT ?"
        )
        # '0' follows '/' in ASCII, so these are the bounds of all names that begin with "tenant/".
        bounds = (f"{tenant}/", f"{tenant}0", 2**62 if before is None else before, limit)
        with self._read() as connection:
            return [StreamRow(*row) for row in connection.execute(sql, bounds)]

    def lease(self, stream: str) -> LeaseRow | None:
        """See `Store.lease`."""
        with self._read() as connection:
            sql = f"SELECT stream, owner, lease_until - {_NOW} FROM dispatch WHERE stream = ?"
            row = connection.execute(sql, (stream,)).fetchone()
        return LeaseRow(*row) if row else None

    def take_lease(self, stream: str, owner: str, seconds: float, instead_of: str | None) -> bool:
        """See `Store.take_lease`."""
        sql = (
            f"UPDATE dispatch SET owner = ?, lease_until = {_NOW} + ? WHERE stream = ? "
            f"AND (owner IS NULL OR owner IN (?, ?) OR lease_until <= {_NOW})"
        )
        with self._write() as connection:
            return connection.execute(sql, (owner, seconds, stream, owner, instead_of)).rowcount == 1

    def renew_leases(self, streams: Sequence[str], owner: str, seconds: float) -> None:
        """See `Store.renew_leases`."""
        sql = (
            f"UPDATE dispatch SET lease_until = {_NOW} + ? "
            "WHERE owner = ? AND stream IN (SELECT value FROM json_each(?))"
        )
        with self._write() as connection:
            connection.execute(sql, (seconds, owner, orjson.dumps(streams).decode()))

    def release_lease(self, stream: str, owner: str) -> None:
        """See `Store.release_lease`."""
        with self._write() as connection:
            connection.execute(
                "UPDATE dispatch SET owner = NULL, lease_until = 0 WHERE stream = ? AND owner = ?", (stream, owner)
            )

    def close(self) -> None:
        """Close every connection."""
        self._writer.close()
        self.datastore.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Refused: the library's own append knows neither heads nor the chain."""
        raise NotImplementedError("events are appended through commit()")

    @contextmanager
    def _read(self) -> Generator[sqlite3.Connection]:
        with _reported(), self.datastore.get_connection(commit=False) as connection:
            yield connection._sqlite_conn  # pyright: ignore[reportPrivateUsage]

    @contextmanager
    def _write(self) -> Generator[sqlite3.Connection]:
        connection: sqlite3.Connection = self._writer._sqlite_conn  # pyright: ignore[reportPrivateUsage]
        with self._write_lock, _reported():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


@contextmanager
def _reported() -> Generator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.InterfaceError, PersistenceError) as error:
        if "no such table" in str(error):
            raise StoreRefusedError("the database has no Refold schema; run: refold migrate") from error
        raise StoreUnreachableError(f"SQLite: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreRefusedError(f"SQLite: {error}") from error


def _statements(sql: str) -> Iterable[str]:
    """The single statements of a script; `executescript` would commit the transaction they belong to."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _heads(connection: sqlite3.Connection, streams: Sequence[str]) -> dict[str, Head]:
    """Heads by stream, fetched as one row: each row fetched would give up the interpreter's lock once."""
    sql = (
        "SELECT json_group_array(json_array(stream, version, hash)) FROM stream_heads "
        "WHERE stream IN (SELECT value FROM json_each(?))"
    )
    found = connection.execute(sql, (orjson.dumps(streams).decode(),)).fetchone()[0]
    return {stream: Head(version, digest) for stream, version, digest in orjson.loads(found)}


def _insert_units(connection: sqlite3.Connection, units: Sequence[SealedUnit], owner: str) -> None:
    records = [record for unit in units for append in unit.appends for record in append.records]
    heads = [(append.stream, *append.head) for unit in units for append in unit.appends]
    _insert(
        connection,
        "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES ",
        records,
    )
    _insert(
        connection,
        "INSERT INTO stream_heads VALUES ",
        heads,
        " ON CONFLICT (stream) DO UPDATE SET version = excluded.version, hash = excluded.hash",
    )
    large = [item for unit in units for item in unit.large.items()]
    _insert(connection, "INSERT OR IGNORE INTO large_payloads VALUES ", large)
    changes = [change for unit in units for change in unit.dispatch]
    gone = [change.stream for change in changes if not isinstance(change, Schedule)]
    if gone:
        sql = "DELETE FROM dispatch WHERE stream IN (SELECT value FROM json_each(?))"
        connection.execute(sql, (orjson.dumps(gone).decode(),))
    due = [change for change in changes if isinstance(change, Schedule)]
    if due:
        now: float = connection.execute(f"SELECT {_NOW}").fetchone()[0]
        rows = [(c.stream, now, owner if c.lease_seconds else None, now + c.lease_seconds) for c in due]
        _insert(connection, "INSERT OR REPLACE INTO dispatch VALUES ", rows)


def _insert(connection: sqlite3.Connection, head: str, rows: Sequence[tuple[Any, ...]], tail: str = "") -> None:
    """Insert `rows` in few statements."""
    remaining = iter(rows)
    left = len(rows)
    for size in _CHUNKS:
        while left >= size:
            batch = list(islice(remaining, size))
            row = f"({','.join('?' * len(batch[0]))})"
            connection.execute(head + ",".join([row] * size) + tail, tuple(chain.from_iterable(batch)))
            left -= size
