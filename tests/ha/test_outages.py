"""A database that is away is asked for again and again, however long it has been away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress

import pytest

from refold import StoreUnreachableError
from refold.eventstore.postgres import PostgresStore

CALLS = 6


def test_however_long_a_server_is_away_each_call_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be found only long after its return: the pool's own pauses double without a limit."""
    monkeypatch.setattr("refold.eventstore.postgres.CONNECT_SECONDS", 1)
    with gone_server() as (url, came), closing(PostgresStore(url)) as store:
        for _ in range(CALLS):
            with pytest.raises(StoreUnreachableError):
                store.last_position()
        assert len(came) >= CALLS


@contextmanager
def gone_server() -> Generator[tuple[str, list[str]]]:
    """What ends each connection at once, and who came."""
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def turn_away() -> None:
            with suppress(OSError):
                while True:
                    connection, address = listening.accept()
                    connection.close()
                    came.append(str(address))

        thread = threading.Thread(target=turn_away)
        thread.start()
        try:
            port = listening.getsockname()[1]
            yield f"postgresql://nobody@127.0.0.1:{port}/none?sslmode=disable&gssencmode=disable", came
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
