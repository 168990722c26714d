"""Load on an HTTP server, from a process of its own: so many clients on kept-alive connections, each asking again as
soon as it is answered. `http_load.py PORT CLIENTS REQUESTS` reads requests from stdin, as they go over the wire and
with lengths before them, and prints a line of JSON: answers a second, and how long they took.

It reads no more of an answer than its length, so that it takes little of the processor from the server beside it.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from collections import Counter
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE_SECONDS = 60


class Load(NamedTuple):
    """What came of it. Times are in milliseconds."""

    per_second: float
    p50: float
    p99: float
    statuses: dict[str, int]


def load(port: int, clients: int, requests: list[bytes]) -> Load:
    """Have `clients` at once send the `requests`, each once, in turn."""
    waiting = iter(requests)
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}
    parts: dict[int, bytes] = {}
    took: list[float] = []
    statuses: Counter[str] = Counter()
    for _ in range(min(clients, len(requests))):
        connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    began = time.perf_counter()
    for number, connection in sockets.items():
        sent[number], parts[number] = time.perf_counter(), b""
        connection.sendall(next(waiting))
    open_ = len(sockets)
    while open_:
        ready = poll.poll(_PATIENCE_SECONDS)
        if not ready:
            raise SystemExit("the server does not answer")
        for number, _ in ready:
            data = sockets[number].recv(262_144)
            if not data:
                raise SystemExit("the server closed a connection")
            answer = parts[number] + data if parts[number] else data
            head = answer.find(b"\r\n\r\n")
            length = _LENGTH.search(answer, 0, head) if head >= 0 else None
            if length is None or len(answer) < head + 4 + int(length[1]):
                parts[number] = answer
                continue
            now = time.perf_counter()
            took.append(now - sent[number])
            statuses[answer[9:12].decode()] += 1
            following = next(waiting, None)
            if following is None:
                open_ -= 1
                continue
            sent[number], parts[number] = now, b""
            sockets[number].sendall(following)
    seconds = time.perf_counter() - began
    for connection in sockets.values():
        connection.close()
    took.sort()
    return Load(len(took) / seconds, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000, dict(statuses))


def main() -> None:
    """Read requests, send them, tell."""
    port, clients = map(int, sys.argv[1:3])
    data = sys.stdin.buffer.read()
    requests: list[bytes] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        requests.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    print(json.dumps(load(port, clients, requests)._asdict()))


if __name__ == "__main__":
    main()
