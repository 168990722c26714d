"""Where a soak takes place: database, proxy, disks, and the processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from refold.compose import open_store
from refold.eventstore.store import Store
from refold.replay.shadow_workload import MODULE
from refold.tests.support.postgres import PostgresServer

from .disk import Disk, small_disk
from .places import PRODUCT, Place, command
from .proxy import Proxy

_FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
_DATABASE = "soak"
SHIFTED = "refold.tests.soak.shifted"
"""Runs the product with a clock that can be shifted."""


class Site:
    """All parts of a soak. `direct` is the environment for commands that go by the proxy."""

    def __init__(self, folder: Path, work: Path, server: PostgresServer, goldens: Disk, tables: Disk, proxy: Proxy):
        self.folder = folder
        self.work = work
        self.server = server
        self.goldens = goldens
        self.tables = tables
        self.proxy = proxy
        self.findings: list[str] = []
        """What must not have happened."""
        self.places: list[Place] = []
        self.ports: dict[str, int] = {}
        """Where each place tells its metrics."""
        self._offset = work / "clock"
        self.shift_clock(0)

    def place(self, name: str) -> Place:
        """The place of that name."""
        return next(each for each in self.places if each.name == name)

    def find(self, what: str) -> None:
        """Note what must not have happened."""
        self.findings.append(what)

    def shift_clock(self, seconds: int) -> None:
        """Set the clock of the worker that has one of its own."""
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._offset)

    @property
    def url(self) -> str:
        """The database itself."""
        return f"postgresql://postgres@/{_DATABASE}?host={quote(str(self.work / 'postgres'))}"

    @property
    def direct(self) -> dict[str, str]:
        """The environment of commands."""
        return {
            "REFOLD_DATABASE_URL": self.url,
            "REFOLD_GOLDENS": str(self.goldens.folder),
            "REFOLD_GOLDEN_KEYS": str(self.work / "keys.json"),
        }

    @property
    def can(self) -> set[str]:
        """What faults may need."""
        return {*(["disk"] if self.goldens.small and self.tables.small else []), *(["clock"] if _FAKETIME else [])}

    def store(self) -> Store:
        """The store, directly."""
        return open_store(self.url)

    def build(self, through: int, metrics: bool) -> None:
        """Make the places, whose processes reach the database through the proxy at the port `through`."""
        shared = {**self.direct, "REFOLD_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{through}/{_DATABASE}"}
        clock = {
            "LD_PRELOAD": str(_FAKETIME[-1]) if _FAKETIME else "",
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        commands = {name: ["worker", "--skills", MODULE] for name in ("worker-1", "worker-2", "worker-3")}
        commands["projector"] = ["projector"]
        commands["server"] = ["serve", "--port", "0"]
        for name, words in commands.items():
            self.ports[name] = port = free_port()
            if name == "server":
                words[-1] = str(port)
            elif metrics:
                words += ["--metrics", f"127.0.0.1:{port}"]
            shifted = name == "worker-3" and _FAKETIME
            environment, program = ({**shared, **clock}, SHIFTED) if shifted else (shared, PRODUCT)
            self.places.append(Place(name, command(*words, module=program), environment, self.folder / f"{name}.log"))

    @property
    def server_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.ports['server']}"

    async def prepare(self) -> None:
        """Make the tables and the first key of goldens."""
        for words in (["migrate"], ["golden", "rotate-key"]):
            process = await asyncio.create_subprocess_exec(*command(*words), env={**os.environ, **self.direct})
            assert await process.wait() == 0, words

    def end(self) -> list[str]:
        """End all processes with grace; what went wrong with that."""
        for place in self.places:
            place.tell_to_end()
        codes = {place.name: place.end() for place in self.places}
        return [f"{name}, told to end, ended with {code}" for name, code in codes.items() if code]

    def mend(self) -> None:
        """Whatever a fault may have left: as it was."""
        self.proxy.mend()
        self.goldens.empty()
        self.tables.empty()
        self.shift_clock(0)


@asynccontextmanager
async def site(folder: Path, megabytes: int, metrics: bool) -> AsyncGenerator[Site]:
    """A site without processes yet, with its database made; all of it ended and removed afterwards.

    Logs go to `folder`. The disks have `megabytes` each.
    """
    async with AsyncExitStack() as stack:
        work = _work_folder()
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        goldens = stack.enter_context(small_disk(work / "goldens", megabytes))
        tables = stack.enter_context(small_disk(work / "tables", megabytes))
        (work / "postgres").mkdir()
        server = PostgresServer(work / "postgres")
        server.start()
        stack.callback(server.stop)
        _make_database(server, tables.folder, (work / "postgres").stat())
        proxy = Proxy(str(work / "postgres" / ".s.PGSQL.5432"))
        port = await proxy.start()
        stack.push_async_callback(proxy.close)
        made = Site(folder, work, server, goldens, tables, proxy)
        made.build(port, metrics)
        try:
            yield made
        finally:
            for place in made.places:
                place.kill()


def _work_folder() -> Path:
    work = Path(tempfile.mkdtemp(prefix="refold-soak-", dir="/tmp"))
    work.chmod(0o755)  # the database's user comes through here
    return work


def _make_database(server: PostgresServer, disk: Path, owner: os.stat_result) -> None:
    """A database whose tables lie on the small disk; what PostgreSQL needs to stay alive does not."""
    place = disk / "space"
    place.mkdir()
    os.chown(place, owner.st_uid, owner.st_gid)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        connection.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE template0 TABLESPACE small".encode())


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]
