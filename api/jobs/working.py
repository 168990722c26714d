"""Works on jobs: of each lane on one at a time, until nobody has asked for any more for a while.

A job that its process leaves behind, in whatever way, is taken up by another one where its log says it was.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...core.errors import OwnershipLostError, RefoldError, StoreError
from ...core.job_log import LANES
from ...core.runtime.job_control import HeldJob
from .bulk import tell_runs
from .means import Means, StopAskedError, Working
from .rebuilds import rebuild
from .replays import prove

LOOK_SECONDS = 0.25
"""How often a job is looked at whether it is to stop, and whether another one waits."""

MOST_FRUITLESS = 5
"""A job is taken up so often without any progress before it has failed."""

_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class JobWorker:
    """Works on the jobs of a store with `means`. Used from one event loop."""

    def __init__(self, means: Means):
        self._means = means
        self._drained = asyncio.Event()
        self._busy = 0
        self._idle_since = time.monotonic()

    def drain(self) -> None:
        """Have `run` return when the pieces under way are done; what is left of the jobs is taken up by others."""
        self._drained.set()

    async def run(self, idle_seconds: float | None = None) -> None:
        """Work until drained, or until nobody has asked for anything for `idle_seconds`."""
        async with asyncio.TaskGroup() as group:
            for lane in LANES:
                group.create_task(self._work(lane, idle_seconds))

    async def once(self) -> None:
        """Work on all jobs that wait, and return."""
        for lane in LANES:
            while (held := await self._means.engine.jobs.take(lane, self._means.by)) is not None:
                await self._serve(held)

    async def _work(self, lane: str, idle_seconds: float | None) -> None:
        while not self._drained.is_set():
            pause = LOOK_SECONDS
            try:
                if (held := await self._means.engine.jobs.take(lane, self._means.by)) is not None:
                    await self._serve_counted(held)
                    continue
            except StoreError as error:
                _log.warning("jobs wait for a moment: %s", error)
                pause = _PAUSE_SECONDS
            idle = time.monotonic() - self._idle_since
            if idle_seconds is not None and not self._busy and idle >= idle_seconds:
                self.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), pause)

    async def _serve_counted(self, held: HeldJob) -> None:
        self._busy += 1
        try:
            await self._serve(held)
        finally:
            self._busy -= 1
            self._idle_since = time.monotonic()

    async def _serve(self, held: HeldJob) -> None:
        """Work on a job until it ends, is to stop, or is another's."""
        work = Working(held, self._means)
        watching = asyncio.create_task(self._watch(work))
        try:
            await self._brought_to_an_end(work)
        except OwnershipLostError:
            _log.info("the job %s is worked on by another process", held.id)
        except StoreError as error:
            _log.warning("the job %s is left alone for a moment: %s", held.id, error)
            await asyncio.sleep(_PAUSE_SECONDS)
            with suppress(StoreError):
                await self._means.engine.jobs.release(held.stream)
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _brought_to_an_end(self, work: Working) -> None:
        held = work.held
        try:
            if held.job.status == "stopping":
                await held.stopped()
            elif held.job.fruitless > MOST_FRUITLESS:
                await held.fail(RefoldError.code, "the processes that work on it end again and again")
            else:
                await held.complete(await self._result(work))
        except StopAskedError:
            if held.job.status == "stopping":
                await held.stopped()
            else:  # This process is to end: others go on with it.
                await self._means.engine.jobs.release(held.stream)
        except StoreError:
            raise
        except RefoldError as error:
            await held.fail(error.code, str(error))
        except Exception as error:
            _log.error("the job %s failed", held.id, exc_info=error)
            await held.fail(RefoldError.code, f"a fault of ours: {type(error).__name__}")

    async def _result(self, work: Working) -> Mapping[str, Any]:
        match work.held.job.asked.kind:
            case "bulk":
                return await tell_runs(work)
            case "replay":
                return await asyncio.to_thread(prove, work)
            case _:
                return await asyncio.to_thread(rebuild, work)

    async def _watch(self, work: Working) -> None:
        """Keep the lease, and have the work stop when that is asked for, or the job is another's."""
        while True:
            try:
                if not await work.held.look() or self._drained.is_set():
                    work.to_stop = True
            except OwnershipLostError:
                work.to_stop = True
                return
            except StoreError as error:
                _log.warning("the job %s: %s", work.held.id, error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), LOOK_SECONDS)
            if self._drained.is_set():
                work.to_stop = True
                await asyncio.sleep(LOOK_SECONDS)
