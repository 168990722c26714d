"""Skills that go wrong for real, each in the way that its code stands for, and what makes them do so."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any

from refold import skill
from refold.core.exceptions_mapped import code_of_status
from refold.ops.certify_faults import Bench


def bug(_: Bench) -> None:
    """Adds what cannot be added."""
    given: Any = None
    assert given + 1


async def cancelled(_: Bench) -> None:
    """Is cancelled by what it called."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def called_too_long(_: Bench) -> None:
    """Gives up what it called."""
    async with asyncio.timeout(0.01):
        await asyncio.Event().wait()


def malformed(_: Bench) -> None:
    """Reads what is no JSON."""
    json.loads('{"a": ')


def program(_: Bench) -> None:
    """Calls a program that fails."""
    subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=True)


def refused(_: Bench) -> None:
    """Calls where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with socket.create_connection(free.getsockname(), timeout=5):
            pass


def interrupted(_: Bench) -> None:
    """Calls a server that breaks off."""
    with _server(_break_off) as address, socket.create_connection(address, timeout=5) as call:
        call.sendall(b"hello")
        call.recv(1)


def unknown_host(_: Bench) -> None:
    """Asks for a name that is none, without asking anybody else."""
    socket.getaddrinfo("no address", 80, flags=socket.AI_NUMERICHOST)


def no_tls(_: Bench) -> None:
    """Speaks TLS to a server that does not."""
    context = ssl.create_default_context()
    with _server(_say_no) as address, socket.create_connection(address, timeout=5) as call:
        context.wrap_socket(call, server_hostname="localhost").close()


def no_database(bench: Bench) -> None:
    """Opens a database in a folder that is not there."""
    sqlite3.connect(bench.folder / "nowhere" / "x.db")


def locked(bench: Bench) -> None:
    """Writes while another does."""
    with _database(bench) as one, _database(bench) as other:
        one.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO things VALUES (7)")


def taken(bench: Bench) -> None:
    """Writes a key twice."""
    with _database(bench) as database:
        database.executemany("INSERT INTO things VALUES (?)", [(1,), (1,)])


def no_table(bench: Bench) -> None:
    """Reads a table that is not there."""
    with _database(bench) as database:
        database.execute("SELECT * FROM nothing")


def read_only(bench: Bench) -> None:
    """Writes where it may only read."""
    with _database(bench):
        pass
    with closing(sqlite3.connect(f"file:{bench.folder / 'own.db'}?mode=ro", uri=True)) as database:
        database.execute("INSERT INTO things VALUES (1)")


def full_database(bench: Bench) -> None:
    """Writes more than the database may hold."""
    with _database(bench) as database:
        database.execute("PRAGMA max_page_count = 3")
        database.execute("CREATE TABLE texts (text)")
        database.execute("INSERT INTO texts VALUES (?)", ("x" * 100_000,))


def no_database_file(bench: Bench) -> None:
    """Reads a file that is no database."""
    (bench.folder / "own.db").write_text("nothing that SQLite knows, " * 100)
    with closing(sqlite3.connect(bench.folder / "own.db")) as database:
        database.execute("SELECT * FROM things")


def missing(bench: Bench) -> None:
    """Reads a file that is not there."""
    (bench.folder / "nowhere").read_text()


def full_disk(_: Bench) -> None:
    """Writes where there is never room."""
    with open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")


def no_memory(_: Bench) -> None:
    """Wants more memory than there is."""
    bytearray(2**62)


def no_descriptors(_: Bench) -> None:
    """Opens a file when no more may be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


SKILLS: dict[str, Callable[[Bench], Any]] = {
    "SKILL_BUG": bug,
    "SKILL_CANCELLED": cancelled,
    "CALL_TIMEOUT": called_too_long,
    "DATA_MALFORMED": malformed,
    "SUBPROCESS_FAILED": program,
    "NETWORK_UNREACHABLE": refused,
    "NETWORK_INTERRUPTED": interrupted,
    "HOST_UNKNOWN": unknown_host,
    "TLS_FAILED": no_tls,
    "DATABASE_UNREACHABLE": no_database,
    "DATABASE_CONFLICT": locked,
    "DATABASE_CONSTRAINT": taken,
    "DATABASE_STATEMENT": no_table,
    "DATABASE_DENIED": read_only,
    "DATABASE_FULL": full_database,
    "DATABASE_ERROR": no_database_file,
    "FILE_MISSING": missing,
    "DISK_FULL": full_disk,
    "MEMORY_EXHAUSTED": no_memory,
    "DESCRIPTORS_EXHAUSTED": no_descriptors,
}
"""By the code that the step must get."""

STATUSES = {code_of_status(status): status for status in (401, 429)}
"""What `http_call` gets from a server, by the code that the step must get."""


async def fail_by_skill(bench: Bench, code: str) -> str | None:
    """Run a step of the skill for this code; the code that it got."""
    function = SKILLS[code]

    async def later() -> None:
        await function(bench)

    def at_once() -> None:
        function(bench)

    wrong = later if asyncio.iscoroutinefunction(function) else at_once
    # Beside the event loop's own thread nothing may be opened meanwhile.
    inline = code == "DESCRIPTORS_EXHAUSTED"
    bench.skills.register(skill("goes_wrong", inline=inline)(wrong))
    return await bench.run({"step_id": "faulty", "skill_id": "goes_wrong"})


@contextmanager
def _database(bench: Bench) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(bench.folder / "own.db", isolation_level=None, timeout=0)) as database:
        database.execute("CREATE TABLE IF NOT EXISTS things (id INTEGER PRIMARY KEY)")
        yield database


@contextmanager
def _server(answer: Callable[[socket.socket], None]) -> Generator[tuple[str, int]]:
    """The address of a server that takes one call, reads a little, and answers it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            call, _ = server.accept()
            with call:
                call.recv(1)
                answer(call)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[:2]
        thread.join(5)


def _break_off(call: socket.socket) -> None:
    # Without lingering, closing a socket resets it: socket(7), SO_LINGER.
    call.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _say_no(call: socket.socket) -> None:
    call.sendall(b"no TLS is spoken here\r\n")
