"""Migrations: each is applied once, in order, by one of those who come at once; what is not ours is refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refold import open_store
from refold.core.errors import StoreRefusedError
from refold.eventstore import migrate
from refold.eventstore.migrate import Migration, migrations, pending
from refold.eventstore.postgres import PostgresStore
from refold.eventstore.sqlite import SQLiteStore
from refold.eventstore.tiered import TieredStore
from refold.tests.support.units import Writer

MIGRATE = "import sys; from refold import open_store; open_store(sys.argv[1]).close()"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return request.getfixturevalue("postgres_url")


def execute(url: str, sql: str) -> list[Any]:
    """Past the store."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def bare(url: str) -> SQLiteStore | PostgresStore:
    store = open_store(url, migrate=False)
    assert isinstance(store, TieredStore) and isinstance(store.hot, SQLiteStore | PostgresStore)
    return store.hot


def migrated(url: str) -> SQLiteStore | PostgresStore:
    """As `open_store`, but closed when it is refused."""
    store = bare(url)
    try:
        store.migrate()
    except StoreRefusedError:
        store.close()
        raise
    return store


def with_one_more(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """As if the next version of the program had another migration."""
    known: Callable[[str], tuple[Migration, ...]] = migrate.migrations

    def more(dialect: str) -> tuple[Migration, ...]:
        return (*known(dialect), Migration(len(known(dialect)) + 1, "more", sql, "checksum"))

    monkeypatch.setattr(migrate, "migrations", more)


def test_the_migrations_of_both_databases_are_numbered_without_a_gap() -> None:
    for dialect in ("sqlite", "postgres"):
        assert [each.number for each in migrations(dialect)] == list(range(1, len(migrations(dialect)) + 1))
        assert all(len(each.checksum) == 64 and each.name and each.sql for each in migrations(dialect))


def test_a_dry_run_says_what_it_would_do_and_does_not_do_it(url: str) -> None:
    store = bare(url)
    todo = store.migrate(dry_run=True)
    assert [each.number for each in todo] == [1]
    with pytest.raises(StoreRefusedError, match="refold migrate"):
        store.follow(0, 1)
    assert store.migrate() == todo
    assert list(store.migrate(dry_run=True)) == [] == list(store.migrate())
    store.close()


def test_a_migration_is_recorded_with_its_checksum_and_time(url: str) -> None:
    migrated(url).close()
    ((number, name, checksum, applied_at),) = execute(
        url, "SELECT number, name, checksum, applied_at FROM refold_migrations"
    )
    assert (number, name, checksum) == (1, "log", migrations(url.partition(":")[0].removesuffix("ql"))[0].checksum)
    assert applied_at is not None


def test_a_migration_that_was_applied_with_other_contents_is_refused(url: str) -> None:
    migrated(url).close()
    execute(url, "UPDATE refold_migrations SET checksum = 'other'")
    with pytest.raises(StoreRefusedError, match="migration 1 was applied with other contents"):
        migrated(url)


def test_a_database_of_a_newer_program_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        with_one_more(newer, "CREATE TABLE more (x int);")
        store = migrated(url)
        store.commit([Writer().one("default/a")], "me")
        store.close()
    with pytest.raises(StoreRefusedError, match="is at migration 2, this program knows 1: upgrade Refold"):
        migrated(url)


def test_the_next_migration_is_applied_to_a_database_with_data(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = migrated(url)
    store.commit([Writer().one("default/a")], "me")
    store.close()
    with_one_more(monkeypatch, "-- more;\nCREATE TABLE more (x text); INSERT INTO more VALUES (';--'); -- done;\n")
    again = migrated(url)
    assert len(again.follow(0, 10)) == 1
    assert [tuple(row) for row in execute(url, "SELECT x FROM more")] == [(";--",)]
    again.close()


def test_a_migration_that_fails_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        with_one_more(broken, "CREATE TABLE more (x int); INSERT INTO nowhere VALUES (1);")
        with pytest.raises(StoreRefusedError):
            migrated(url)
    store = bare(url)
    assert [each.number for each in store.migrate(dry_run=True)] == [1], "half of it was kept"
    store.migrate()
    store.close()


def test_of_many_processes_that_migrate_at_once_one_does_it_and_all_go_on(url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-P", "-c", MIGRATE, url], stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, errors
    assert len(execute(url, "SELECT * FROM refold_migrations")) == 1


def test_a_gap_in_what_was_applied_is_filled() -> None:
    assert [each.number for each in pending("sqlite", {})] == [1]
    assert list(pending("sqlite", {1: migrations("sqlite")[0].checksum})) == []
