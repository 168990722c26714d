"""Real faults for a shadow simulation: processes are killed and stopped, and the database goes away."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from random import Random
from urllib.parse import unquote

from ..core.errors import CallError, Problem
from .shadow_crew import LEASE_SECONDS, Crew

FAULTS = ("kills", "stops", "projector", "locks")
"""Kills: a worker is ended by SIGKILL. Stops: a worker stands still (SIGSTOP) for longer than its leases last.
Projector: it is killed. Locks: nobody can write to the SQLite file for a while; on PostgreSQL all connections break, as
they do when the server is restarted."""

AWAY_SECONDS = 1.5
"""For how long a SQLite file is locked."""


def check_faults(names: Sequence[str]) -> None:
    """Raises CallError for a fault that there is not."""
    for name in names:
        if name not in FAULTS:
            raise CallError(Problem("", f"no fault is called {name[:40]!a}", f"use some of {','.join(FAULTS)}"))


async def inject(names: Sequence[str], crew: Crew, url: str, random: Random, done: Counter[str]) -> None:
    """Do each of `names` once, in random order and at random times, and count in `done` what was done."""
    for name in random.sample(list(names), len(names)):
        await asyncio.sleep(0.05 + random.random() * 0.5)
        place = random.randrange(len(crew.workers))
        if name == "kills":
            crew.kill_worker(place)
        elif name == "stops":
            crew.stop_worker(place)
            try:
                await asyncio.sleep(LEASE_SECONDS * 1.5)
            finally:
                crew.go_on(place)
        elif name == "projector":
            crew.kill_projector()
        else:
            await asyncio.to_thread(_take_away, url)
        done[name] += 1


def _take_away(url: str) -> None:
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite":
        with closing(sqlite3.connect(unquote(rest[3:]), isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(AWAY_SECONDS)
            connection.execute("ROLLBACK")
        return
    from psycopg import connect

    with connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
