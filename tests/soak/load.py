"""What a soak runs: workflows of every kind, started and signalled over HTTP, whatever happens to the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any

from refold import Client, StoreUnreachableError
from refold.replay.shadow_workload import KINDS, SIGNAL, Kind

AT_ONCE = 300
"""Runs that may be about to be started; more wait for these."""

PATIENCE_SECONDS = 300
"""For how long one call may be refused for want of a server or a database."""


class Load:
    """Starts `rate` runs a second, of each kind by turns, and remembers what was acknowledged."""

    def __init__(self, client: Client, rate: float, random: Random):
        self._client = client
        self._rate = rate
        self._random = random
        self._places = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()
        self.started: dict[str, Kind] = {}
        """The runs that were acknowledged, by their ids."""
        self.refusals: Counter[str] = Counter()
        self.errors: list[str] = []
        """What no client should have been told."""

    async def run(self) -> None:
        """Start runs until cancelled."""
        number = 0
        while True:
            await asyncio.sleep(1 / self._rate)
            await self._places.acquire()
            kind = KINDS[number % len(KINDS)]
            task = asyncio.create_task(self._one(f"{kind.name}-{number}", number, kind, self._random.random()))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            number += 1

    async def finish(self) -> None:
        """Return when what was begun is told to the server."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _one(self, run_id: str, seed: int, kind: Kind, pause: float) -> None:
        try:
            start = partial(self._client.start, kind.what, run_id=run_id, inputs=kind.inputs, seed=seed)
            handle = await self._insisting(start)
            self.started[run_id] = kind
            for number in range(kind.signals):
                await asyncio.sleep(pause)
                await self._insisting(partial(handle.signal, SIGNAL, {"number": number}, key=f"{run_id}-{number}"))
        except Exception as error:
            self.errors.append(f"{run_id}: {type(error).__name__}: {error}")
        finally:
            self._places.release()

    async def _insisting(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask until there is an answer: what is asked for twice happens once."""
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            try:
                return await ask()
            except StoreUnreachableError as error:
                self.refusals[type(error).__name__] += 1
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(0.5)
