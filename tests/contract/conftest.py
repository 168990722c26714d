"""The places where a store can be: every test that asks for `place` or `store` runs in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from refold import open_store
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.tests.support.postgres import fresh_database
from refold.tests.support.shared_postgres import shared_server_url

TABLES = (
    "stored_events, stream_heads, large_payloads, dispatch, workers, queries, notification_tracking, "
    "projections, projection_parts, parked, large_references, archived, archived_payloads, archive_moves, "
    "ledger_accounts, ledger_holds, data_keys, key_uses, "
    "webhook_outbox, webhook_endpoints, webhook_deliveries"
)


@dataclass
class Place:
    """Where a store is. Each `open` gives another handle on the same data, as another process would have it."""

    kind: str
    url: str
    opened: list[Store] = field(default_factory=list[Store])

    def open(self) -> Store:
        """A handle; closed after the test. In memory there is only one."""
        if self.kind == "memory" and self.opened:
            return self.opened[0]
        self.opened.append(MemoryStore() if self.kind == "memory" else open_store(self.url))
        return self.opened[-1]


@pytest.fixture(scope="session")
def migrated_postgres_url() -> Iterator[str]:
    """A database with the schema, which the tests of one process share; emptied before each."""
    with fresh_database(shared_server_url()) as url:
        open_store(url).close()
        yield url


@pytest.fixture
def postgres_place(migrated_postgres_url: str) -> Iterator[Place]:
    with psycopg.connect(migrated_postgres_url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY".encode())
        for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'p\\_%'").fetchall():
            if not name.startswith("pg_"):
                connection.execute(f"DROP TABLE {name}".encode())
    yield from _closed_afterwards(Place("postgres", migrated_postgres_url))


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[Place]:
    yield from _closed_afterwards(Place("sqlite", f"sqlite:///{tmp_path / 'store.db'}"))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        yield from _closed_afterwards(Place("memory", "memory:"))
    else:
        yield request.getfixturevalue(f"{request.param}_place")


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


def _closed_afterwards(place: Place) -> Iterator[Place]:
    yield place
    for store in place.opened:
        store.close()
