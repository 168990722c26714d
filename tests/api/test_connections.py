"""What a connection may cost: clients that are slow, send too much, do not read, or are too many."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from refold.compose import open_store
from refold.ops.http_connection import ConnectionLimits
from refold.ops.serve import Serving
from refold.tests.support.served import served

SOON = ConnectionLimits(connections=3, head_bytes=10_000, head_seconds=0.2, write_seconds=0.2, idle_seconds=1)
PATIENT = ConnectionLimits(connections=3, head_bytes=10_000)
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
START = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def server(limits: ConnectionLimits) -> Iterator[str]:
    with served(open_store("memory:"), serving=Serving(connections=limits)) as url:
        yield url


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    while chunk := connection.recv(65536):
        found += chunk
    return found


@pytest.mark.parametrize("sent", [b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", HEALTH + b"GE"])
def test_a_head_that_does_not_end_is_a_408(sent: bytes) -> None:
    with server(SOON) as url, connect(url) as connection:
        connection.sendall(sent)
        answers = everything(connection)
        assert answers.count(b"HTTP/1.1 ") == 1 + sent.startswith(HEALTH)
        assert b"HTTP/1.1 408 " in answers and answers.endswith(b"}")


@pytest.mark.parametrize("sent", [b"", b"\r\n", HEALTH + b"\r\n\r\n"])
def test_a_connection_over_which_nothing_is_asked_is_closed(sent: bytes) -> None:
    with server(SOON) as url, connect(url) as connection:
        connection.sendall(sent)
        assert everything(connection).count(b"HTTP/1.1 200 ") == sent.startswith(HEALTH)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_001, 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_001 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5_001, 431),
        (b"GET /" + b"x" * 66_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded: yes\r\n\r\n", 400),
        (START.replace(b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"), 400),
        (START.replace(b"Content-Length: 2", b"Transfer-Encoding: gzip, chunked"), 400),
    ],
)
def test_a_head_that_is_too_large_or_ambiguous_is_refused(sent: bytes, status: int) -> None:
    with server(PATIENT) as url, connect(url) as connection:
        connection.sendall(sent)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 %d " % status) and b"problem+json" in answer, answer


def test_trailers_are_not_taken() -> None:
    head = START.partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"
    with server(PATIENT) as url, connect(url) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_what_follows_a_request_does_not_take_the_place_of_its_answer() -> None:
    with server(PATIENT) as url, connect(url) as connection:
        connection.sendall(HEALTH + b"nonsense\r\n\r\n")
        answers = everything(connection)
        assert answers.startswith(b"HTTP/1.1 200 ") and b"healthy" in answers


def test_requests_sent_ahead_are_answered_in_order_and_not_without_end() -> None:
    ahead = b"".join(HEALTH.replace(b"/health", b"/none/%d" % n) if n % 2 else HEALTH for n in range(60))
    with server(PATIENT) as url, connect(url) as connection:
        connection.sendall(ahead + HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        statuses = [part[:3] for part in everything(connection).split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"404"] * 30 + [b"200"]
    with server(PATIENT) as url, connect(url) as connection:
        connection.sendall(HEALTH * 150)
        with pytest.raises(ConnectionError):
            while connection.recv(65536):
                pass
            raise ConnectionError("closed")


def test_more_connections_than_there_may_be_are_told_to_come_back() -> None:
    with server(PATIENT) as url:
        kept = [connect(url) for _ in range(3)]
        for connection in kept:
            connection.sendall(HEALTH)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        with connect(url) as fourth:
            answer = everything(fourth)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in answer and b"SERVER_BUSY" in answer
        for connection in kept:
            connection.close()


def test_a_client_that_does_not_read_is_cut_off() -> None:
    with server(SOON) as url, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        parts = urlsplit(url)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(HEALTH.replace(b"/health", b"/v1/openapi.json") * 90)
        with connect(url) as other:  # It is not kept waiting, and the others' place is free again.
            other.sendall(HEALTH)
            assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(b"\r\n")
