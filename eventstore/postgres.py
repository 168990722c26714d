"""The production store: PostgreSQL.

Built on the `eventsourcing` library's PostgreSQL recorder, whose pool, notification log and tracking it keeps; schema
and appends are ours. A batch of units is one call of the function `refold_commit`, so one round trip and one
transaction: it takes an advisory lock (a table lock would wait for VACUUM), checks the heads and inserts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any
from weakref import WeakSet

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import ConnectionPool, PostgresDatastore, PostgresProcessRecorder
from psycopg.rows import dict_row, tuple_row

from ..core.errors import StoreError, StoreRefusedError
from ..core.ports import Head, Record
from .access import Access
from .alive import check_of
from .arrays import ARRAYS, register
from .data_key_rows import SQLDataKeys
from .dispatch import POSTGRES, SQLDispatch
from .hints_postgres import CHANNEL, NOTIFY, PostgresHints
from .key_uses import SQLKeyUses
from .ledger import Exchange, SQLLedger
from .ledger_postgres import LEDGER_LOCK, UNDELETED, exchange_over
from .migrate import Migration, pending
from .migrate_postgres import applied_to, migrated
from .outbox_sql import SQLOutbox
from .parts_sql import SQLParts
from .postgres_append import columns
from .postgres_servers import GONE, meant, reported
from .queries import SQLQueries
from .sealing import SealedUnit
from .store import Notification, StreamRow, run_streams
from .sweep import POSTGRES_COLUMNS, SQLSweep
from .tables_sql import POSTGRES_TYPES, SQLTables, TableDialect, Transaction
from .watchdog import Watchdog

CONNECT_SECONDS = 5
"""How long to wait for a connection before the store counts as unreachable."""

CALL_SECONDS = 20
"""How long one call may take before the server counts as standing still; migrations may take longer."""

LOCK_SECONDS = 10
"""How long to wait for another process's append before the store counts as unreachable."""

_CONNECTION: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    # A server that vanished without a word is noticed within half a minute instead of two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    # Somebody else's table lock must not hold us for ever. A plan that is kept from when a table was small must not
    # scan it when it is large.
    "options": f"-c lock_timeout={LOCK_SECONDS}s -c enable_seqscan=off -c jit=off "
    # Under a stricter level a transaction would see what stood before it was granted a lock.
    "-c default_transaction_isolation=read\\ committed",
}

_PLANNING = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

_LOCK = b"SELECT pg_advisory_xact_lock(7310203118230113)"
"""The lock that `refold_commit` takes."""

_RENUMBER = (
    "SELECT setval(pg_get_serial_sequence('stored_events', 'notification_id'), max(notification_id)) FROM stored_events"
)

_COMMIT = f"SELECT refold_commit({', '.join(['%b'] * 30)})".encode()


# The large texts of rows take longer to compress by default than to write.
_QUICK_COMPRESSION = (
    b"SELECT set_config('default_toast_compression', 'lz4', false) FROM pg_settings "
    b"WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)"
)


_WATCHDOG = Watchdog(CALL_SECONDS)


class _Datastore(PostgresDatastore):
    """The library's datastore on a pool of ours: its parameters do not cover all that a connection URL may say."""

    def __init__(self, url: str):
        super().__init__("", "", "", "", "", originator_id_type="text")
        self.pool = ConnectionPool(
            url,
            connection_class=psycopg.Connection[dict[str, Any]],
            kwargs={"row_factory": dict_row, **_CONNECTION},
            min_size=0,
            max_size=8,
            open=False,
            configure=self.after_connect_func(),
            check=check_of(_WATCHDOG),
            timeout=CONNECT_SECONDS,
            # The pool pauses twice as long after each failure, for everybody who waits: a server that was away for an
            # hour would be found half an hour after its return. After this time it begins anew with who asks next.
            reconnect_timeout=CONNECT_SECONDS,
        )

    def register_type_adapters(self) -> None:
        """Nothing: the composite type serves only the library's own append, and asking for it would connect at once."""


class PostgresStore(PostgresProcessRecorder):
    """A store in one database; fulfils `refold.eventstore.store.Store`."""

    def __init__(self, url: str, *, accept_loss: bool = False):
        """Connects lazily. `accept_loss` allows a server that acknowledges commits before they are on disk."""
        self._url = url = meant(url)
        self._accept_loss = accept_loss
        self._write_lock = threading.Lock()
        self._writer: psycopg.Connection[tuple[Any, ...]] | None = None
        self._prepared: WeakSet[psycopg.Connection[Any]] = WeakSet()
        super().__init__(_Datastore(url))
        self._hints = PostgresHints(self._notify, self._listening)
        self.dispatch = SQLDispatch(self._rows, self._rows, self._all, POSTGRES)
        beside = (self._rows, self._rows, POSTGRES)
        self.queries, self.key_uses, self.data_keys = SQLQueries(*beside), SQLKeyUses(*beside), SQLDataKeys(*beside)
        self.ledger = SQLLedger(self._rows, self._exchange, POSTGRES, UNDELETED)
        self.tables = SQLTables(self._rows, self._transaction, TableDialect(POSTGRES, POSTGRES_TYPES, ARRAYS))
        self.parts = SQLParts(self._rows, self._transaction, POSTGRES, self.tables)
        appending, books = partial(self._locked, _LOCK), partial(self._locked, LEDGER_LOCK, _LOCK, watched=False)
        ways = (self._rows, appending, partial(appending, watched=False))
        self.access = Access(*ways, POSTGRES, "notification_id", "", _RENUMBER, books)
        self.outbox = SQLOutbox(self._rows, self._transaction, POSTGRES)
        self.sweep = SQLSweep(self._rows, POSTGRES, POSTGRES_COLUMNS)

    def migrate(self, *, dry_run: bool = False) -> Sequence[Migration]:
        """Bring the schema up to date and return the migrations that were (or, dry, would be) applied."""
        with self._write() as connection:
            todo = pending("postgres", applied_to(connection))
            return todo if dry_run or not todo else migrated(connection, LOCK_SECONDS)

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """See `Store.commit`."""
        with self._write() as connection, _WATCHDOG.over(connection.fileno):
            try:
                row = connection.execute(_COMMIT, columns(units, owner), prepare=True).fetchone()
            except psycopg.errors.SerializationFailure:
                # A run ends that holds something in the ledger: now with the ledger's lock, which comes first.
                row = connection.execute(_COMMIT, columns(units, owner, alone=True), prepare=True).fetchone()
        refused = set(row[0]) if row else set[int]()
        return [number not in refused for number in range(1, len(units) + 1)]

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """See `Store.heads`."""
        sql = "SELECT stream, version, hash FROM stream_heads WHERE stream = ANY(%b::text[])"
        return {stream: Head(version, digest) for stream, version, digest in self._rows(sql, (list(streams),))}

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        """See `Store.read`."""
        sql = (
            "SELECT originator_id, originator_version, topic, state FROM stored_events "
            "WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s"
        )
        return [Record(*row) for row in self._rows(sql, (stream, after, limit))]

    def read_all(self, streams: Sequence[str]) -> dict[str, list[Record]]:
        """See `Store.read_all`."""
        sql = (
            "SELECT originator_id, originator_version, topic, state FROM stored_events "
            "WHERE originator_id = ANY(%b::text[]) ORDER BY originator_id, originator_version"
        )
        found: dict[str, list[Record]] = {stream: [] for stream in streams}
        for row in self._rows(sql, (list(streams),)):
            found[row[0]].append(Record(*row))
        return found

    def follow(self, position: int, limit: int) -> list[Notification]:
        """See `Store.follow`."""
        sql = (
            "SELECT notification_id, originator_id, originator_version, topic, state FROM stored_events "
            "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
        )
        return [Notification(row[0], Record(*row[1:])) for row in self._rows(sql, (position, limit))]

    def follow_share(self, position: int, until: int, share: int, of: int) -> list[Notification]:
        """See `Store.follow_share`."""
        sql = (
            "SELECT notification_id, originator_id, originator_version, topic, state FROM stored_events "
            "WHERE notification_id > %s AND notification_id <= %s "
            "AND mod(get_byte(sha256(convert_to(originator_id, 'UTF8')), 0), %s) = %s ORDER BY notification_id"
        )
        return [Notification(row[0], Record(*row[1:])) for row in self._rows(sql, (position, until, of, share))]

    def last_position(self) -> int:
        """See `Store.last_position`."""
        return self._rows("SELECT coalesce(max(notification_id), 0) FROM stored_events", ())[0][0]

    def streams(self, tenant: str) -> list[str]:
        """See `Store.streams`."""
        sql = (
            "SELECT stream FROM stream_heads WHERE stream >= %s AND stream < %s "
            "UNION SELECT originator_id FROM stored_events WHERE originator_id >= %s AND originator_id < %s"
        )
        return run_streams(row[0] for row in self._rows(sql, (f"{tenant}/", f"{tenant}0") * 2))

    def starts(self, streams: Sequence[str]) -> dict[str, int]:
        """See `Store.starts`."""
        sql = (
            "SELECT originator_id, notification_id FROM stored_events "
            "WHERE originator_version = 1 AND originator_id = ANY(%b::text[])"
        )
        return dict(self._rows(sql, (list(streams),)))

    def large(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """See `Store.large`."""
        return dict(self._rows("SELECT hash, data FROM large_payloads WHERE hash = ANY(%b::text[])", (list(hashes),)))

    def runs(self, tenant: str, before: int | None, limit: int) -> list[StreamRow]:
        """See `Store.runs`."""
        sql = (
            "SELECT e.originator_id, h.version, e.notification_id FROM stored_events e "
            "JOIN stream_heads h ON h.stream = e.originator_id WHERE e.topic = 'run.started' "
            "AND e.originator_id >= %s AND e.originator_id < %s AND e.notification_id < %s "
            "ORDER BY e.notification_id DESC LIMIT %s"
        )
        # '0' follows '/' in ASCII, so these are the bounds of all names that begin with "tenant/".
        bounds = (f"{tenant}/", f"{tenant}0", 2**62 if before is None else before, limit)
        return [StreamRow(*row) for row in self._rows(sql, bounds)]

    def hint(self) -> None:
        """See `Store.hint`."""
        self._hints.give()

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """See `Store.on_hint`."""
        return self._hints.listen(hear)

    def close(self) -> None:
        """Close every connection."""
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
        self.datastore.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Refused: the library's own append knows neither heads nor the chain."""
        raise NotImplementedError("events are appended through commit()")

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with (
            reported(),
            self.datastore.get_connection() as connection,
            _WATCHDOG.over(connection.fileno),
        ):
            return connection.cursor(row_factory=tuple_row).execute(sql.encode(), parameters).fetchall()

    def _all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        with reported(), self.datastore.get_connection() as connection, connection.transaction():
            connection.execute("LOCK TABLE dispatch IN SHARE ROW EXCLUSIVE MODE")
            for sql, parameters in statements:
                connection.execute(sql.encode(), parameters)

    @contextmanager
    def _transaction(self, watched: bool = True) -> Generator[Transaction]:
        with (
            reported(),
            self.datastore.get_connection() as connection,
            _WATCHDOG.over(connection.fileno) if watched else nullcontext(),
            connection.transaction(),
        ):
            if connection not in self._prepared:
                register(connection)
                connection.execute(_QUICK_COMPRESSION)
                self._prepared.add(connection)

            def run(sql: str, given: Sequence[Any]) -> int:
                return connection.execute(sql.encode(), given or None).rowcount

            def each(sql: str, rows: Sequence[Sequence[Any]]) -> None:
                connection.cursor().executemany(sql.encode(), rows)

            def ask(sql: str, given: Sequence[Any]) -> list[tuple[Any, ...]]:
                return connection.cursor(row_factory=tuple_row).execute(sql.encode(), given or None).fetchall()

            yield Transaction(run, each, ask)

    @contextmanager
    def _exchange(self) -> Generator[Exchange]:
        with (
            reported(),
            self.datastore.get_connection() as connection,
            _WATCHDOG.over(connection.fileno),
            exchange_over(connection) as exchange,
        ):
            yield exchange

    @contextmanager
    def _locked(self, *locks: bytes, watched: bool = True) -> Generator[Transaction]:
        with self._transaction(watched) as change:
            for lock in locks:
                change.run(lock.decode(), ())
            yield change

    def _notify(self) -> None:
        with suppress(StoreError), self._write() as connection, _WATCHDOG.over(connection.fileno):
            connection.execute(NOTIFY, prepare=True)

    def _listening(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._url, autocommit=True, **_CONNECTION)
        with _WATCHDOG.over(connection.fileno):
            connection.execute(f"LISTEN {CHANNEL}".encode())
        return connection

    @contextmanager
    def _write(self) -> Generator[psycopg.Connection[tuple[Any, ...]]]:
        """The one connection that appends, opened when first needed and again after it broke."""
        with self._write_lock, reported():
            if self._writer is None or self._writer.closed:
                self._writer = psycopg.connect(self._url, autocommit=True, **_CONNECTION)
                _check_durability(self._writer, self._accept_loss)
                # Under a stricter level the check of the heads would see what stood before the append lock was granted.
                self._writer.execute("SET default_transaction_isolation = 'read committed'")
                # Planning refold_commit anew for every call takes longer than the rest of it; and a plan made while
                # the tables are small must not scan them when they are large.
                for name, value in _PLANNING.items():
                    self._writer.execute("SELECT set_config(%s, %s, false)", (name, value))
                register(self._writer)
            try:
                yield self._writer
            except GONE:
                # Whether the statement took effect is unknown now: the connection must not be used for another.
                self._writer.close()
                raise


def _check_durability(connection: psycopg.Connection[tuple[Any, ...]], accept_loss: bool) -> None:
    row = connection.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchone()
    fsync, synchronous = row or ("?", "?")
    if not accept_loss and (fsync != "on" or synchronous == "off"):
        connection.close()
        raise StoreRefusedError(
            f"PostgreSQL runs with fsync={fsync}, synchronous_commit={synchronous}: "
            "what it acknowledges could be lost. Turn both on, or set REFOLD_ACCEPT_LOSS=1"
        )
