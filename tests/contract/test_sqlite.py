"""What is particular to SQLite: durability read back, positions for ever, and files that cannot be written."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from refold import open_store
from refold.core.errors import IntegrityError, StoreRefusedError, StoreUnreachableError
from refold.eventstore import sqlite_connection
from refold.eventstore.sqlite import SQLiteStore
from refold.eventstore.sqlite_connection import BUSY_SECONDS, PATIENT_SECONDS, make_durable
from refold.eventstore.store import Store
from refold.eventstore.tiered import TieredStore
from refold.tests.contract.conftest import Place
from refold.tests.support.units import Writer, contents, said, started

WANTED = {"journal_mode": "wal", "synchronous": 2}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(sqlite_place: Place) -> SQLiteStore:
    opened = sqlite_place.open()
    assert isinstance(opened, TieredStore) and isinstance(opened.hot, SQLiteStore)
    return opened.hot


def raw(path: Path) -> closing[sqlite3.Connection]:
    """A connection past the store, as an operator or an attacker has it."""
    return closing(sqlite3.connect(path, isolation_level=None))


def test_every_connection_is_durable(store: SQLiteStore) -> None:
    with store._read() as reader:  # pyright: ignore[reportPrivateUsage]
        for connection in (reader, store._writer):  # pyright: ignore[reportPrivateUsage]
            found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in WANTED}
            assert found == WANTED


def test_a_writer_waits_longer_than_sqlite_itself_and_is_as_patient_again_afterwards(
    store: SQLiteStore, path: Path
) -> None:
    writer = Writer()
    with raw(path) as other, ThreadPoolExecutor(1) as thread:
        other.execute("BEGIN IMMEDIATE")
        committed = thread.submit(store.commit, [writer.unit(("default/a", [said()]))], "me")
        with pytest.raises(TimeoutError):
            committed.result(PATIENT_SECONDS * 1.5)
        other.execute("COMMIT")
        assert committed.result(BUSY_SECONDS) == [True]
    connection = store._writer  # pyright: ignore[reportPrivateUsage]
    assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == PATIENT_SECONDS * 1000


def test_a_database_that_cannot_keep_a_write_ahead_log_is_refused() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(StoreRefusedError, match="journal_mode=memory"),
    ):
        make_durable(connection)


def test_vacuum_and_deleting_the_newest_event_never_move_a_position(store: SQLiteStore, path: Path) -> None:
    writer = Writer()
    store.commit([writer.unit(("default/a", [said()] * 5))], "me")
    with raw(path) as connection:
        connection.execute("DELETE FROM stored_events WHERE originator_version IN (2, 3, 5)")
        connection.execute("VACUUM")
    assert [each.position for each in store.follow(0, 10)] == [1, 4]
    store.commit([writer.one("default/a")], "me")
    assert [each.position for each in store.follow(0, 10)] == [1, 4, 6], (
        "the position of a deleted event was given again"
    )


def test_following_leaves_no_reader_open_that_would_let_the_log_file_grow(store: SQLiteStore, path: Path) -> None:
    store.commit([Writer().unit(("default/a", [said("x" * 1_000)] * 100))], "me")
    store.follow(0, 10)
    store.read("default/a")
    with raw(path) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    assert path.with_name("store.db-wal").stat().st_size == 0


def test_the_view_shows_events_as_a_person_reads_them(store: SQLiteStore, path: Path) -> None:
    inputs = {"text": "a\0b \N{PILE OF POO}"}
    unit = Writer().unit(("default/run", [started("run", inputs=inputs), said("why\0not")]))
    store.commit([unit], "me")
    with raw(path) as connection:
        rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    position, stream, version, topic, recorded_at, data, predecessor, build = rows[0]
    assert (position, stream, version, topic, predecessor) == (1, "default/run", 1, "run.started", None)
    assert (recorded_at, build) == ("2023-11-14T22:13:20.000Z", "build under test")
    assert json.loads(data)["inputs"] == inputs
    assert json.loads(rows[1][5])["reason"] == "why\0not"
    assert len(rows[1][6]) == 64


def test_a_full_disk_is_reported_and_nothing_is_stored_by_halves(store: SQLiteStore) -> None:
    writer = Writer()
    store.commit([writer.one("default/a")], "me")
    before = contents(store)
    connection = store._writer  # pyright: ignore[reportPrivateUsage]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    big = writer.unit(("default/a", [said("x" * 10_000)] * 50))
    with pytest.raises(StoreUnreachableError, match="database or disk is full"):
        store.commit([big], "me")
    assert contents(store) == before
    connection.execute(f"PRAGMA max_page_count = {pages + 1_000}")
    assert store.commit([big], "me") == [True], "it does not go on when there is room again"


def test_a_file_that_may_not_be_written_is_reported_at_once(store: SQLiteStore) -> None:
    store._writer.execute("PRAGMA query_only = 1")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(StoreRefusedError, match="readonly database"):
        store.commit([Writer().one("default/a")], "me")


def test_a_writer_that_does_not_let_go_is_reported(
    store: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connection, "BUSY_SECONDS", 0.05)
    store._writer.execute("PRAGMA busy_timeout = 50")  # pyright: ignore[reportPrivateUsage]
    unit = Writer().one("default/a")
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnreachableError, match="locked"):
            store.commit([unit], "me")
        assert store.follow(0, 10) == [], "readers must not wait for a writer"
        other.execute("ROLLBACK")
    assert store.commit([unit], "me") == [True]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachableError, match=r"nowhere/store\.db: unable to open"):
        open_store(f"sqlite:///{tmp_path}/nowhere/store.db")


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 100)
    with pytest.raises(IntegrityError, match=r"store\.db: file is not a database"):
        open_store(f"sqlite:///{path}")


def test_a_file_without_the_schema_says_what_to_do(path: Path) -> None:
    store = open_store(f"sqlite:///{path}", migrate=False)
    for attempt in (lambda: store.commit([Writer().one("a")], "me"), lambda: store.follow(0, 1)):
        with pytest.raises(StoreRefusedError, match="refold migrate"):
            attempt()
    store.close()


@pytest.mark.parametrize("name", ["a b.db", "100%.db", "what?.db", "a#b.db", "ü\N{PILE OF POO}.db", "%41.db"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    open_store(f"sqlite:///{quote(str(tmp_path / name))}").close()
    assert (tmp_path / name).exists()


def test_rows_that_somebody_filled_with_nonsense_can_still_be_read(store: SQLiteStore, path: Path) -> None:
    """SQLite's columns take any type and any bytes; whoever verifies must be able to look at them."""
    store.commit([Writer().unit(("default/a", [said()] * 4))], "me")
    state = store.read("default/a")[3].state
    with raw(path) as connection:
        for version, change in enumerate(("topic = x'ff00'", "state = 12", "topic = CAST(x'c328' AS TEXT)"), 1):
            connection.execute(f"UPDATE stored_events SET {change} WHERE originator_version = {version}")
        connection.execute("UPDATE stored_events SET state = CAST(state AS TEXT) WHERE originator_version = 4")
        connection.execute("UPDATE stream_heads SET hash = x'ff', version = 'many'")
    records = store.read("default/a")
    assert [type(record.topic) for record in records] == [str] * 4
    assert [type(record.state) for record in records] == [bytes] * 4
    assert records[3].state == state
    assert store.heads(["default/a"])["default/a"].version == 0
    assert len(store.follow(0, 10)) == 4


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(path: Path, replaced: bool) -> None:
    store = open_store(f"sqlite:///{path}")
    writer = Writer()
    store.commit([writer.one("default/a")], "me")
    path.unlink()
    if replaced:
        path.write_bytes(b"")
    with pytest.raises(StoreRefusedError, match="removed or replaced"):
        store.commit([writer.one("default/a")], "me")


def test_an_altered_payload_of_another_type_is_still_read(path: Path) -> None:
    store = open_store(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("INSERT INTO large_payloads VALUES ('abc', 'text instead of bytes')")
        raw.commit()
    assert store.large(["abc"]) == {"abc": b"text instead of bytes"}


def test_looking_whether_to_migrate_needs_no_write_lock(path: Path) -> None:
    open_store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        open_store(f"sqlite:///{path}").close()


def test_a_store_may_be_closed_while_other_threads_are_using_it(path: Path) -> None:
    """Closed under a running call, a SQLite connection takes the whole process down."""
    for turn in range(30):
        store = open_store(f"sqlite:///{path}")

        def use(store: Store = store) -> str:
            try:
                while True:
                    store.dispatch.renew(["default/a"], "me", 1)
                    store.read("default/a")
            except StoreRefusedError as error:
                return str(error)

        with ThreadPoolExecutor(4) as pool:
            users = [pool.submit(use) for _ in range(4)]
            store.commit([Writer(f"w{turn}").one(f"default/{turn}")], "me")
            store.close()
            assert {user.result(20) for user in users} == {"the store is closed"}
        store.close()
