"""A server that stands still: alive, connected, and silent. Neither the driver nor TCP would ever give up on it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from refold.core.errors import StoreUnreachableError
from refold.eventstore import postgres
from refold.eventstore.postgres import PostgresStore
from refold.eventstore.watchdog import Watchdog
from refold.tests.support.postgres import PostgresServer, fresh_database, temporary_server
from refold.tests.support.units import Writer


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with temporary_server() as server:
        yield server


def test_a_call_to_a_server_that_stands_still_ends(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_WATCHDOG", Watchdog(1.0))
    with fresh_database(server.url) as url:
        store = PostgresStore(url)
        store.migrate()
        writer = Writer()
        store.commit([writer.one("default/a")], "me")
        assert len(store.read("default/a")) == 1
        processes = _processes(store)
        for process in processes:
            process.suspend()
        try:
            for attempt in (lambda: store.commit([writer.one("default/a")], "me"), lambda: store.read("default/a")):
                began = time.monotonic()
                with pytest.raises(StoreUnreachableError):
                    attempt()
                assert time.monotonic() - began < 15
        finally:
            for process in processes:
                process.resume()
        store.close()


def _processes(store: PostgresStore) -> list[psutil.Process]:
    """The server and all its children, found by one of them."""
    (row,) = store._rows("SELECT pg_backend_pid()", ())  # pyright: ignore[reportPrivateUsage]
    postmaster = psutil.Process(row[0]).parent()
    assert postmaster is not None
    return [postmaster, *postmaster.children(recursive=True)]
