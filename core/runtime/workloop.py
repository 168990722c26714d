"""The worker's loop: claims runs that are due, works on them until they end or rest, and stops with grace."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ..canonical import canonical_json
from ..emergency import NO_STOPS, Stop
from ..errors import OwnershipLostError, RefoldError, RunOwnedError, StoreUnreachableError
from ..needs import Offer
from .answering import Answering
from .history import History
from .host import SET_ASIDE_SECONDS, Host
from .services import Services

CLAIM = 64
"""At most this many runs are claimed at once, so that several workers share a burst."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
"""Seconds between looks for work: the longer nothing was found, the longer."""

HOUSEKEEPING_SECONDS = 1.0
"""How often the worker reports itself and looks for owners that died."""

_log = logging.getLogger(__name__)


class WorkLoop:
    """One worker: at most `concurrency` runs of `queues` at a time.

    Of the workflow types in `pins` it serves the versions given there only.
    """

    def __init__(
        self,
        services: Services,
        history: History,
        host: Host,
        queues: Sequence[str],
        concurrency: int,
        version: str,
        pins: Mapping[str, Collection[str]],
    ):
        self._services = services
        self._history = history
        self._host = host
        self._queues = list(queues)
        self._concurrency = concurrency
        self._version = version
        self._pins = {name: frozenset(versions) for name, versions in pins.items()}
        self._answering = Answering(services, history, lambda needs: self._offer().serves(needs))
        self._runs: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._hinted = self._saturated = False
        self._draining = False
        self._freed = 0
        self._began = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def running(self) -> int:
        """How many runs are in memory."""
        return len(self._runs)

    def drain(self) -> None:
        """Claim nothing more; let running steps end and be recorded, and leave the runs to others.

        May be called from anywhere: from another thread, or in the middle of something from a signal handler.
        """
        self._draining = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._drain_runs)

    def _drain_runs(self) -> None:
        self._host.drain()
        self._stirred.set()

    def _hear(self) -> None:
        """There may be work. Called from any thread, and also after the loop has been closed."""
        if (loop := self._loop) is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._look_now)

    def _look_now(self) -> None:
        self._hinted = True
        self._stirred.set()
        self._answering.stir()

    async def run(self) -> None:
        """Work until drained. Survives an absent store: what it held is taken over or comes back."""
        self._loop = asyncio.get_running_loop()
        beside = [asyncio.create_task(self._keep_house()), asyncio.create_task(self._answering.run())]
        stop_listening = self._history.on_hint(self._hear)
        try:
            with self._heeding():
                await self._look_for_work()
                self._host.drain()
                if self._runs:
                    await asyncio.wait(self._runs)
        finally:
            self._loop = None
            await asyncio.to_thread(stop_listening)
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
            await self._history.leave()

    async def _look_for_work(self) -> None:
        pause = SHORTEST_PAUSE
        while not self._draining:
            # Before the look: what comes up during it may have come too late for it.
            self._stirred.clear()
            found = await self._claim()
            pause = SHORTEST_PAUSE if found or self._hinted else min(pause * 2, LONGEST_PAUSE)
            self._hinted = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), pause)

    @contextmanager
    def _heeding(self) -> Generator[None]:
        """Look out for emergency stops, and look for work after each change of them."""
        watch = self._services.emergency
        if watch is None:
            yield
            return

        told: list[Stop] = []

        def changed() -> None:
            if (found := watch.stops.all()) != told:
                _log.warning("%s", "; ".join(map(str, found)) or "no emergency stop is in force any more")
                told[:] = found
            self._hear()

        changed()
        end = watch.keep(changed)
        try:
            yield
        finally:
            end()

    async def _open_queues(self) -> list[str]:
        """The queues to claim from. None before it is known what is stopped."""
        watch = self._services.emergency
        if watch is None:
            return self._queues
        if not watch.ready:
            return []
        stops = watch.stops
        if stops.released > self._freed:
            await self._free_held()
            self._freed = stops.released
        return [queue for queue in self._queues if not stops.closes(queue)]

    async def _claim(self) -> int:
        free = min(self._concurrency - len(self._runs), CLAIM)
        self._saturated = free <= 0
        if self._saturated:
            return 0
        try:
            queues = await self._open_queues()
            if not queues:
                return 0
            serves = self._offer().serves
            claimed = await self._history.claim_due(queues, serves, free, self._services.lease_seconds)
        except StoreUnreachableError as error:
            _log.warning("looking for work: %s", error)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            return 0
        self._saturated = len(claimed.streams) == free
        for stream in claimed.streams:
            task = asyncio.create_task(self._work(stream, claimed.at))
            self._runs.add(task)
            task.add_done_callback(self._ended)
        return len(claimed.streams)

    def _offer(self) -> Offer:
        skills = self._services.skills
        workflows = frozenset(known.workflow_type for known in skills.workflows())
        return Offer(frozenset(skills.names()), workflows, self._pins)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._runs.discard(task)
        if self._saturated:  # Else the last look has found all there was.
            self._stirred.set()

    async def _work(self, stream: str, at: int) -> None:
        try:
            state = await self._host.enter(stream, lambda: self._host.work_on(stream, at))
            if state.end is None:  # A message that came in as it went to rest makes it due again.
                self._stirred.set()
        except (OwnershipLostError, RunOwnedError) as error:
            _log.info("%s: %s", stream, error)
        except StoreUnreachableError as error:
            _log.warning("%s: %s", stream, error)
        except Exception as error:  # one run that cannot be worked on must not stop the others, nor be tried for ever
            _log.error("%s is set aside for %d s: %s", stream, SET_ASIDE_SECONDS, error, exc_info=_unforeseen(error))
            await self._history.release(stream, self._host.set_aside_until(error))

    async def _keep_house(self) -> None:
        while True:
            try:
                await self._history.beat(self._report())
                if await self._free_held() or await self._history.bury_the_dead():
                    self._stirred.set()
            except RefoldError as error:
                _log.warning("housekeeping: %s", error)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)

    async def _free_held(self) -> int:
        """Make due what a released stop held back. Who went by an older look may put a run to rest later, and die."""
        released = 0 if self._services.emergency is None else self._services.emergency.stops.released
        return await self._history.free_held(released) if released else 0

    def _report(self) -> str:
        stops = NO_STOPS if self._services.emergency is None else self._services.emergency.stops
        return canonical_json(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "version": self._version,
                "queues": self._queues,
                "skills": self._services.skills.names(),
                "workflows": [known.workflow_type for known in self._services.skills.workflows()],
                "pins": {name: sorted(versions) for name, versions in self._pins.items()},
                "concurrency": self._concurrency,
                "running": len(self._runs),
                "draining": self._draining,
                "stops_seen": stops.version,
                "stopped_here": bool(stops.local),
                "up_seconds": round(time.monotonic() - self._began, 3),
            }
        ).decode()


def _unforeseen(error: Exception) -> Exception | None:
    return None if isinstance(error, RefoldError) else error
