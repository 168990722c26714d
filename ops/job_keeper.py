"""Sees to it that somebody works on jobs while a server is up: a process of its own, so that no request waits for it.

It is started when a job waits, and ends by itself when none has for a while. For a store in memory, which no other
process can see, a thread does the same.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from ..api.jobs.working import JobWorker
from ..compose import WorkflowEngine
from ..core.errors import StoreError
from ..core.ids import JOBS
from ..eventstore.owner import is_dead
from ..eventstore.store import Store
from .job_means import means_of

LOOK_SECONDS = 0.5
"""How often it is looked whether a job waits."""

_PATIENCE_SECONDS = 5.0
_MEMORY = "memory:"

_log = logging.getLogger(__name__)


class JobKeeper:
    """Keeps jobs of `store`, which lies at `url`, going on; a context manager."""

    def __init__(self, store: Store, url: str):
        self._store = store
        self._url = url
        self._closed = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._drain: Callable[[], object] = lambda: None
        work = self._work_here if url.startswith(_MEMORY) else self._keep
        self._thread = Thread(target=work, name="jobs", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process that works on jobs; None while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def __enter__(self) -> JobKeeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Work on nothing any more: what is under way is taken up by others, or when a server is there again."""
        self._closed.set()
        self._drain()
        self._thread.join(_PATIENCE_SECONDS)
        self._end()

    def _keep(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            try:
                if self.pid is None and self._waits():
                    self._end()
                    self._start()
            except StoreError as error:
                _log.warning("jobs wait for a moment: %s", error)
            except OSError as error:
                _log.error("no process can be started for jobs: %s", error)

    def _waits(self) -> bool:
        dispatch = self._store.dispatch
        if dispatch.due_needs([JOBS]):
            return True
        dead = [lease for lease in dispatch.leases() if lease.stream.startswith(f"{JOBS}/") and _died(lease.owner)]
        return bool(dead)

    def _start(self) -> None:
        command = [sys.executable, "-P", "-m", "refold.ops.job_worker"]
        # The URL may hold a password, which everybody could read in a command. A Ctrl-C is for the server.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(self._url.encode() + b"\n")
                self._process.stdin.flush()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()

    def _work_here(self) -> None:
        async def work() -> None:
            async with WorkflowEngine(self._store, parks=True) as engine:
                worker, loop = JobWorker(means_of(engine, self._url)), asyncio.get_running_loop()
                self._drain = lambda: loop.is_closed() or loop.call_soon_threadsafe(worker.drain)
                if not self._closed.is_set():
                    await worker.run()

        asyncio.run(work())


def _died(owner: str | None) -> bool:
    return owner is not None and is_dead(owner)
