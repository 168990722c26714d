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
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteDatastore, SQLiteProcessRecorder

from ..core.errors import StoreRefusedError
from ..core.ports import Head, Record
from .access import Access
from .data_key_rows import SQLDataKeys
from .dispatch import SQLITE, SQLDispatch
from .gate import Gate
from .hints_sqlite import SQLiteHints
from .key_uses import SQLKeyUses
from .ledger import Exchange, SQLLedger
from .migrate import Migration, pending
from .migrate_sqlite import applied_to, statements_of
from .outbox_sql import SQLOutbox
from .parts import share_of
from .parts_sql import SQLParts
from .queries import SQLQueries
from .sealing import SealedUnit
from .sqlite_append import insert_units, refused_units
from .sqlite_connection import BUSY_SECONDS, PATIENT_SECONDS, Pool, begin, make_durable, reported
from .store import Notification, StreamRow, run_streams
from .sweep import SQLITE_COLUMNS, SQLSweep
from .tables_sql import SQLITE_TYPES, SQLTables, TableDialect, Transaction

YIELD_SECONDS = 50e-6
"""A pause between commits: without it a quick writer starves the other processes on the same file."""

# Columns of SQLite hold what was put there, of any type and in any bytes: an altered row must be read, too.
_RECORD = "CAST(originator_id AS BLOB), CAST(originator_version AS INTEGER), CAST(topic AS BLOB), CAST(state AS BLOB)"


class SQLiteStore(SQLiteProcessRecorder):
    """A store in one file; fulfils `refold.eventstore.store.Store`."""

    def __init__(self, path: Path):
        # As a file: address, because the library opens addresses, and a path may hold '?' or '%'.
        address = f"file:{quote(str(path.absolute()))}"
        datastore = SQLiteDatastore(address, originator_id_type="text", lock_timeout=BUSY_SECONDS)
        datastore.pool.close()
        datastore.pool = Pool(db_name=address, lock_timeout=BUSY_SECONDS)
        super().__init__(datastore)
        self._gate = Gate()
        self._write_lock = threading.Lock()
        self._last_commit = 0.0
        self._hints = SQLiteHints(path)
        self.dispatch = SQLDispatch(self._ask, self._change, self._change_all, SQLITE)
        self.queries = SQLQueries(self._ask, self._change, SQLITE)
        self.key_uses = SQLKeyUses(self._ask, self._change, SQLITE)
        self.data_keys = SQLDataKeys(self._ask, self._change, SQLITE)
        self.ledger = SQLLedger(self._ask, self._exchange, SQLITE)
        self.tables = SQLTables(self._ask, self._transaction, TableDialect(SQLITE, SQLITE_TYPES))
        self.parts = SQLParts(self._ask, self._transaction, SQLITE, self.tables)
        self.outbox = SQLOutbox(self._ask, self._transaction, SQLITE)
        # Left to itself SQLite sorts all runs of a tenant for every page; positions go on by themselves.
        index = "INDEXED BY runs_by_start"
        self.access = Access(
            self._ask, self._transaction, self._transaction, SQLITE, "rowid", index, "SELECT 1", self._transaction
        )
        self.sweep = SQLSweep(self._ask, SQLITE, SQLITE_COLUMNS)
        with reported(f"SQLite: {path}"):
            # Not from the pool: the library's connections keep a single prepared statement.
            self._writer = sqlite3.connect(
                address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
            )
            make_durable(self._writer, PATIENT_SECONDS)
        self._path = path.absolute()
        self._file = _identity(self._path)

    def construct_create_table_statements(self) -> list[str]:
        """None: the schema belongs to the migrations."""
        return []

    def migrate(self, *, dry_run: bool = False) -> Sequence[Migration]:
        """Bring the schema up to date and return the migrations that were (or, dry, would be) applied."""
        with self._read() as connection:
            todo = pending("sqlite", applied_to(connection))
        if dry_run or not todo:
            return todo
        with self._write() as connection:
            applied = applied_to(connection)
            todo = pending("sqlite", applied)  # Another process may have been faster.
            if todo and not applied:
                connection.execute(
                    "CREATE TABLE refold_migrations "
                    "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL)"
                )
            for migration in todo:
                for statement in statements_of(migration.sql):
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO refold_migrations VALUES (?, ?, ?, datetime('now'))",
                    (migration.number, migration.name, migration.checksum),
                )
        return todo

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """See `Store.commit`."""
        # Before the next commit, not after this one: those who wait for an answer get it first.
        pause = self._last_commit + YIELD_SECONDS - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        with self._write() as connection:
            refused = refused_units(connection, units)
            accepted = [unit for number, unit in enumerate(units) if number not in refused] if refused else units
            insert_units(connection, accepted, owner)
        self._last_commit = time.monotonic()
        return [number not in refused for number in range(len(units))]

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """See `Store.heads`."""
        with self._read() as connection:
            return _heads(connection, streams)

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        """See `Store.read`."""
        sql = (
            f"SELECT {_RECORD} FROM stored_events "
            "WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version LIMIT ?"
        )
        with self._read() as connection:
            return [_record(*row) for row in connection.execute(sql, (stream, after, -1 if limit is None else limit))]

    def read_all(self, streams: Sequence[str]) -> dict[str, list[Record]]:
        """See `Store.read_all`."""
        return {stream: self.read(stream) for stream in streams}

    def follow(self, position: int, limit: int) -> list[Notification]:
        """See `Store.follow`."""
        sql = f"SELECT rowid, {_RECORD} FROM stored_events WHERE rowid > ? ORDER BY rowid LIMIT ?"
        with self._read() as connection:
            return [Notification(row[0], _record(*row[1:])) for row in connection.execute(sql, (position, limit))]

    def follow_share(self, position: int, until: int, share: int, of: int) -> list[Notification]:
        """See `Store.follow_share`."""
        sql = f"SELECT rowid, {_RECORD} FROM stored_events WHERE rowid > ? AND rowid <= ? ORDER BY rowid"
        with self._read() as connection:
            rows = connection.execute(sql, (position, until))
            return [Notification(row[0], _record(*row[1:])) for row in rows if share_of(row[1], of) == share]

    def last_position(self) -> int:
        """See `Store.last_position`."""
        with self._read() as connection:
            return connection.execute("SELECT coalesce(max(rowid), 0) FROM stored_events").fetchone()[0]

    def starts(self, streams: Sequence[str]) -> dict[str, int]:
        """See `Store.starts`."""
        sql = (
            "SELECT originator_id, rowid FROM stored_events "
            "WHERE originator_version = 1 AND originator_id IN (SELECT value FROM json_each(?))"
        )
        return dict(self._ask(sql, (orjson.dumps(streams).decode(),)))

    def large(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """See `Store.large`."""
        sql = "SELECT hash, CAST(data AS BLOB) FROM large_payloads WHERE hash IN (SELECT value FROM json_each(?))"
        with self._read() as connection:
            return dict(map(tuple, connection.execute(sql, (orjson.dumps(hashes).decode(),))))

    def streams(self, tenant: str) -> list[str]:
        """See `Store.streams`."""
        sql = (
            "SELECT stream FROM stream_heads WHERE stream >= ? AND stream < ? "
            "UNION SELECT originator_id FROM stored_events WHERE originator_id >= ? AND originator_id < ?"
        )
        bounds = (f"{tenant}/", f"{tenant}0")
        with self._read() as connection:
            return run_streams(row[0] for row in connection.execute(sql, bounds * 2))

    def runs(self, tenant: str, before: int | None, limit: int) -> list[StreamRow]:
        """See `Store.runs`."""
        # Left to itself SQLite sorts all runs of the tenant for every page.
        sql = (
            "SELECT e.originator_id, h.version, e.rowid FROM stored_events e INDEXED BY runs_by_start "
            "JOIN stream_heads h ON h.stream = e.originator_id "
            "WHERE e.topic = 'run.started' AND e.originator_id >= ? AND e.originator_id < ? AND e.rowid < ? "
            "ORDER BY e.rowid DESC LIMIT ?"
        )
        # '0' follows '/' in ASCII, so these are the bounds of all names that begin with "tenant/".
        bounds = (f"{tenant}/", f"{tenant}0", 2**62 if before is None else before, limit)
        with self._read() as connection:
            return [StreamRow(*row) for row in connection.execute(sql, bounds)]

    def hint(self) -> None:
        """See `Store.hint`."""
        self._hints.give()

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """See `Store.on_hint`."""
        return self._hints.listen(hear)

    def close(self) -> None:
        """Close every connection, once the calls under way have come back."""
        if self._gate.close():
            self._writer.close()
            self.datastore.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Refused: the library's own append knows neither heads nor the chain."""
        raise NotImplementedError("events are appended through commit()")

    def _ask(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._read() as connection:
            return [tuple(row) for row in connection.execute(sql, parameters)]

    def _change(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._write() as connection:
            return connection.execute(sql, parameters).fetchall()

    def _change_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        with self._write() as connection:
            for sql, parameters in statements:
                connection.execute(sql, parameters)

    @contextmanager
    def _transaction(self) -> Generator[Transaction]:
        with self._write() as connection:

            def run(sql: str, given: Sequence[Any]) -> int:
                return connection.execute(sql, given).rowcount

            def ask(sql: str, given: Sequence[Any]) -> list[tuple[Any, ...]]:
                return connection.execute(sql, given).fetchall()

            yield Transaction(run, connection.executemany, ask)

    @contextmanager
    def _exchange(self) -> Generator[Exchange]:
        with self._write() as connection:

            def ask(statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[tuple[Any, ...]]]:
                return [connection.execute(sql, given).fetchall() for sql, given in statements]

            yield Exchange(ask, connection.executemany)

    @contextmanager
    def _read(self) -> Generator[sqlite3.Connection]:
        with self._gate.passed(), reported(), self.datastore.get_connection(commit=False) as connection:
            yield connection._sqlite_conn  # pyright: ignore[reportPrivateUsage]

    @contextmanager
    def _write(self) -> Generator[sqlite3.Connection]:
        connection = self._writer
        with self._gate.passed(), self._write_lock, reported(f"SQLite: {self._path}"):
            begin(connection)
            try:
                yield connection
                if _identity(self._path) != self._file:
                    # What is written to a deleted file is acknowledged, and gone.
                    raise StoreRefusedError(f"the database file {self._path} was removed or replaced while it was open")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file stands at `path`; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _record(stream: bytes, version: int, topic: bytes, state: bytes) -> Record:
    return Record(str(stream, "utf-8", "replace"), version, str(topic, "utf-8", "replace"), state)


def _heads(connection: sqlite3.Connection, streams: Sequence[str]) -> dict[str, Head]:
    sql = (
        "SELECT stream, CAST(version AS INTEGER), CAST(hash AS BLOB) FROM stream_heads "
        "WHERE stream IN (SELECT value FROM json_each(?))"
    )
    rows = connection.execute(sql, (orjson.dumps(streams).decode(),))
    return {stream: Head(version, str(digest, "utf-8", "replace")) for stream, version, digest in rows}
