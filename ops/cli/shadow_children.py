"""What the worker and projector processes of a shadow simulation do."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ...compose import Worker, database_url, open_store, tune_process
from ...core.errors import CallError, Problem, StoreUnreachableError
from ...eventstore.store import Store
from ...projections.goldens import GoldenPlace
from ...projections.projector import Projector, known_projections
from ...replay.shadow_workload import MODULE
from ..shadow_crew import LEASE_SECONDS
from .faults import OK, Hidden
from .logs import log_to_stderr
from .reading import read_skills

_PAUSE_SECONDS = 0.2
_CONCURRENCY = 50


def be_child(role: str, goldens: str, keys: str, modules: Sequence[str], database: str | None) -> int:
    """Work or project until stdin ends; returns the exit code."""
    url = database_url(database)
    log_to_stderr(Hidden([url]))
    skills = read_skills([MODULE, *modules])
    tune_process()
    with closing(_opened(url)) as store:
        if role == "worker":
            worker = Worker(store, skills, concurrency=_CONCURRENCY, lease_seconds=LEASE_SECONDS)
            asyncio.run(_until_stdin_ends(worker.run, worker.drain))
        elif role == "projector":
            place = GoldenPlace(store, Path(goldens), Path(keys))
            projector = Projector(store, list(known_projections(place).values()), lease_seconds=2 * LEASE_SECONDS)
            asyncio.run(_until_stdin_ends(projector.run, projector.drain))
        else:
            raise CallError(Problem("", f"there is no role {role[:40]!a}", "worker or projector"))
    return OK


def _opened(url: str) -> Store:
    """The store, as soon as it is there: it may be away just now."""
    while True:
        try:
            return open_store(url)
        except StoreUnreachableError:
            time.sleep(_PAUSE_SECONDS)


async def _until_stdin_ends(work: Callable[[], Coroutine[Any, Any, None]], drain: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def ended() -> None:
        # Once: a pipe that has ended is readable for ever.
        loop.remove_reader(sys.stdin)
        drain()

    loop.add_reader(sys.stdin, ended)
    await work()
