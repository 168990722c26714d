"""Two PostgreSQL servers, one following the other synchronously, of which the leading one is killed again and again.

    with replicated() as pair:
        WorkflowEngine(pair.url)        # names both servers: whoever takes writes is found
        pair.fail_over()                # the primary is gone, the standby leads; no standby any more
        pair.rebuild("basebackup")      # the former primary follows; returns when commits wait for it again

What Patroni or another keeper would do is done here step by step, and as Patroni does it by default: while there is no
standby, the primary does not wait for one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from .postgres import PATIENCE_SECONDS, PostgresServer, temporary_folder

_SETTINGS = """
wal_log_hints = on
wal_keep_size = 1GB
synchronous_commit = on
wal_receiver_timeout = 5s
wal_retrieve_retry_interval = 200ms
min_wal_size = 32MB
"""
"""In a file, for pg_rewind has the server recover by itself first: without what it is started with."""


class Node(PostgresServer):
    """One of the two, on a port of this machine."""

    def __init__(self, folder: Path, *, made: bool):
        """See `PostgresServer`."""
        self.port = _free_port()
        super().__init__(folder, made=made)
        if made:
            with (self.data / "postgresql.conf").open("a") as file:
                file.write(_SETTINGS)
        self.settings = (f"port={self.port}", "listen_addresses=127.0.0.1")

    @property
    def url(self) -> str:
        """Where the maintenance database is, over TCP."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def follow(self, leader: Node) -> None:
        """Follow `leader` from the next start on."""
        source = f"host=127.0.0.1 port={leader.port} user=postgres application_name=standby"
        self.settings = (*self.settings[:2], f"primary_conninfo={source}")
        (self.data / "standby.signal").touch()

    def wait_for_standby(self, waits: bool) -> None:
        """Whether commits wait until the standby has them on its disk."""
        self.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{'standby' if waits else ''}'")
        self.ask("SELECT pg_reload_conf()")


class Pair:
    """The two servers: `primary` leads."""

    def __init__(self, folder: Path):
        self.primary = Node(made(folder / "a"), made=True)
        self.standby = Node(made(folder / "b"), made=False)
        self.primary.start()
        self.rebuild("basebackup")

    @property
    def url(self) -> str:
        """The maintenance database of both."""
        ports = sorted((self.primary.port, self.standby.port))
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://postgres@{hosts}/postgres"

    def fail_over(self) -> None:
        """Kill the primary as a power cut would, and let the standby lead. Returns when it takes writes."""
        self.primary.kill()
        self.standby.wait_for_standby(False)
        self.standby.run("pg_ctl", "promote", "-D", self.standby.data, "-w", "-t", str(PATIENCE_SECONDS))
        self.primary, self.standby = self.standby, self.primary

    def rebuild(self, way: Literal["rewind", "basebackup"]) -> None:
        """Make the one that is down follow the other."""
        down, leader = self.standby, self.primary
        if way == "rewind":
            leader.ask("CHECKPOINT")  # which writes down the new timeline, that pg_rewind asks for
            down.run("pg_rewind", "-D", down.data, f"--source-server={leader.url}")
        else:
            shutil.rmtree(down.data, ignore_errors=True)
            down.run("pg_basebackup", "-D", down.data, "-d", leader.url, "-c", "fast", "--no-sync")
        down.follow(leader)
        down.start()
        leader.wait_for_standby(True)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while leader.ask("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
            assert time.monotonic() < give_up, "the standby does not follow"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop both."""
        self.primary.kill()
        self.standby.kill()


@contextmanager
def replicated() -> Generator[Pair]:
    """Two servers of one's own; stopped, and their data deleted, at the end."""
    with temporary_folder() as folder:
        pair = Pair(folder)
        try:
            yield pair
        finally:
            pair.stop()


def refold(
    url: str, *arguments: str | Path, folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command of ours with the database's URL in its environment."""
    command = [sys.executable, "-P", "-m", "refold", *arguments]
    inherited = {**os.environ, "REFOLD_DATABASE_URL": url, **environment}
    return subprocess.run(command, env=inherited, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def made(folder: Path) -> Path:
    """The folder, which is new."""
    folder.mkdir()
    return folder


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
