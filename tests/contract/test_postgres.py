"""What is particular to PostgreSQL: settings that could lose data, locks, lost connections, and the readable view."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from refold import open_store
from refold.core.errors import StoreRefusedError, StoreUnreachableError
from refold.eventstore import postgres
from refold.eventstore.postgres import PostgresStore
from refold.eventstore.tiered import TieredStore
from refold.tests.contract.conftest import Place
from refold.tests.support.postgres import PostgresServer
from refold.tests.support.units import Writer, said, started

APPEND_LOCK = 7310203118230113


@pytest.fixture
def store(postgres_place: Place) -> PostgresStore:
    opened = postgres_place.open()
    assert isinstance(opened, TieredStore) and isinstance(opened.hot, PostgresStore)
    return opened.hot


@pytest.fixture
def url(postgres_place: Place) -> str:
    return postgres_place.url


def raw(url: str) -> psycopg.Connection[Any]:
    """A connection past the store."""
    return psycopg.connect(url, autocommit=True)


def wait_until(condition: Callable[[], object]) -> None:
    """Look again and again until it holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def someone_waits_for_the_append_lock(connection: psycopg.Connection[Any]) -> int | None:
    """The backend that waits, if one does."""
    row = connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    return row and row[0]


def test_a_database_that_acknowledges_before_it_writes_is_refused(postgres_url: str) -> None:
    with raw(postgres_url) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit TO off".encode())
    with pytest.raises(StoreRefusedError, match=r"synchronous_commit=off.*REFOLD_ACCEPT_LOSS"):
        open_store(postgres_url)


def test_a_server_without_fsync_is_refused_unless_loss_is_accepted(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw(postgres_server.url) as connection:
        connection.execute("ALTER SYSTEM SET fsync TO off")
        connection.execute("SELECT pg_reload_conf()")
    with raw(postgres_server.url) as connection:
        wait_until(lambda: connection.execute("SHOW fsync").fetchone() == ("off",))
    with pytest.raises(StoreRefusedError, match="fsync=off"):
        open_store(postgres_server.url)
    monkeypatch.setenv("REFOLD_ACCEPT_LOSS", "1")
    accepted = open_store(postgres_server.url)
    assert accepted.commit([Writer().one("default/a")], "me") == [True]
    accepted.close()


def test_the_view_shows_events_as_a_person_reads_them(store: PostgresStore, url: str) -> None:
    inputs = {"text": "\0a\0\0b \N{PILE OF POO}", "letters": "\\u0000", "both": "\\\0"}
    store.commit([Writer().unit(("default/run", [started("run", inputs=inputs), said("why\0not")]))], "me")
    with raw(url) as connection:
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
        reason = connection.execute("SELECT data ->> 'reason' FROM events WHERE version = 2").fetchone()
    position, stream, version, topic, recorded_at, data, predecessor, build = rows[0]
    assert (position, stream, version, topic, predecessor) == (1, "default/run", 1, "run.started", None)
    assert (recorded_at.timestamp(), build) == (1_700_000_000.0, "build under test")
    assert data["inputs"] == {"text": "␀a␀␀b \N{PILE OF POO}", "letters": "\\u0000", "both": "\\␀"}
    assert reason == ("why␀not",)
    assert len(rows[1][6]) == 64


def test_a_vacuum_does_not_hold_up_an_append(store: PostgresStore, url: str) -> None:
    unit = Writer().one("default/a")
    with raw(url) as connection, connection.transaction():
        connection.execute("LOCK TABLE stored_events, stream_heads IN SHARE UPDATE EXCLUSIVE MODE")  # as VACUUM does
        assert store.commit([unit], "me") == [True]


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_the_check_sees_what_was_committed_while_it_waited(url: str, level: str) -> None:
    """Under a stricter isolation level than the default its snapshot would predate the lock."""
    with raw(url) as rival:
        name = rival.info.dbname
        rival.execute(f"ALTER DATABASE {name} SET default_transaction_isolation TO '{level}'".encode())
        store = open_store(url)
        answers: list[list[bool]] = []
        try:
            units = [Writer().one("default/a"), Writer().one("default/b")]
            with raw(url) as watcher, rival.transaction():
                rival.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
                waiting = threading.Thread(target=lambda: answers.append(store.commit(units, "me")))
                waiting.start()
                wait_until(lambda: someone_waits_for_the_append_lock(watcher))
                rival.execute("INSERT INTO stream_heads VALUES ('default/a', 1, 'the rival was faster')")
            waiting.join()
        finally:
            rival.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation".encode())
            store.close()
    assert answers == [[False, True]]


def test_a_writer_that_does_not_let_go_is_reported(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = postgres._CONNECTION["options"].replace(f"lock_timeout={postgres.LOCK_SECONDS}s", "lock_timeout=50ms")
    monkeypatch.setitem(postgres._CONNECTION, "options", options)
    store, unit = open_store(url), Writer().one("default/a")
    with raw(url) as rival:
        rival.execute("SELECT pg_advisory_lock(%s)", (APPEND_LOCK,))
        with pytest.raises(StoreUnreachableError, match="lock timeout"):
            store.commit([unit], "me")
        assert store.follow(0, 10) == [], "readers must not wait for a writer"
    assert store.commit([unit], "me") == [True]
    store.close()


def test_a_killed_connection_is_reported_and_the_next_commit_has_a_new_one(store: PostgresStore, url: str) -> None:
    writer = Writer()
    store.commit([writer.one("default/a")], "me")
    with raw(url) as rival:
        rival.execute("SELECT pg_terminate_backend(%s)", (_writer_of(store).info.backend_pid,))
        unit = writer.one("default/a")
        with pytest.raises(StoreUnreachableError):
            store.commit([unit], "me")
    assert store.commit([unit], "me") == [True]


def test_killed_readers_are_replaced(store: PostgresStore, url: str) -> None:
    store.commit([Writer().one("default/a")], "me")
    store.read("default/a")
    with raw(url) as rival:
        others = "pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        rival.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM (SELECT {others}) AS others".encode())
    assert len(store.read("default/a")) == 1


def test_a_server_that_turned_read_only_is_left_for_its_successor(store: PostgresStore) -> None:
    """After a failover the old connection may still work, on a server that takes no more writes."""
    writer = Writer()
    store.commit([writer.one("default/a")], "me")
    _writer_of(store).execute("SET default_transaction_read_only = on")
    unit = writer.one("default/a")
    with pytest.raises(StoreUnreachableError, match="read-only"):
        store.commit([unit], "me")
    assert store.commit([unit], "me") == [True]


def test_no_server_is_a_clear_error_without_the_password() -> None:
    store = PostgresStore("postgresql://somebody:geheim@127.0.0.1:1/nowhere")
    for attempt in (lambda: store.commit([], "me"), store.migrate):
        with pytest.raises(StoreUnreachableError, match="refused") as found:
            attempt()
        assert "geheim" not in str(found.value)
    store.close()


def test_the_librarys_database_functions_stay_off(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They append without our lock, under one name for all applications, and drop what projections have tracked."""
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    store = open_store(postgres_url)
    assert store.commit([Writer().one("default/a")], "me") == [True]
    assert len(store.hot.select_events("default/a")) == 1  # pyright: ignore[reportAttributeAccessIssue]
    store.close()
    with raw(postgres_url) as connection:
        ours = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname"
        assert connection.execute(ours.encode()).fetchall() == [("refold_commit",), ("refold_settle",)]


def test_a_database_without_the_schema_says_what_to_do(postgres_url: str) -> None:
    store = open_store(postgres_url, migrate=False)
    for attempt in (lambda: store.commit([Writer().one("a")], "me"), lambda: store.follow(0, 1)):
        with pytest.raises(StoreRefusedError, match="refold migrate"):
            attempt()
    store.close()


def _writer_of(store: PostgresStore) -> psycopg.Connection[Any]:
    writer = store._writer  # pyright: ignore[reportPrivateUsage]
    assert writer is not None
    return writer
