"""Threads for synchronous skills.

They are daemons, unlike those of `concurrent.futures`: a skill that hangs is abandoned after its time-out, and must not
keep the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class ThreadPool:
    """Runs functions on idle threads, starting a new one when there is none."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = threading.Semaphore(0)

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job`, which must not raise, on a thread."""
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._work, name="refold-skill", daemon=True).start()

    async def run(self, job: Callable[[], T]) -> T:
        """What `job` returns or raises on a thread. Who is cancelled meanwhile leaves it to end by itself."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[T] = loop.create_future()

        def settle(value: Callable[[], None]) -> None:
            if not ended.done():
                value()

        def work() -> None:
            try:
                result = job()
            except BaseException as error:
                told = partial(ended.set_exception, error)
            else:
                told = partial(ended.set_result, result)
            with suppress(RuntimeError):  # The loop was closed: nobody is waiting any more.
                loop.call_soon_threadsafe(settle, told)

        self.submit(work)
        return await ended

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            job()
            del job
            self._idle.release()
