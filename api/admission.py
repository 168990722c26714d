"""How many requests are under way at once: so many have a place, others wait in a line of bounded length and time.

A request takes its place when it first asks the store, so one whose body is still on its way has none, and gives it
back when its answer begins or while it waits for something to happen. Whoever comes back from such a wait goes to the
head of the line, since it was let in before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from .problems import Refusal
from .visits import CURRENT, Visit

T = TypeVar("T")

BUSY = "SERVER_BUSY"
"""The failure code of a request that found no place in time."""


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    """How many requests are under way at once, how many wait for that and for how many seconds; and how many threads
    ask the store, each for one request at a time, which waits for one as long."""

    places: int = 128
    line: int = 512
    seconds: float = 10.0
    threads: int = 6


class Admission:
    """The places, the line before them, and the threads that ask. Used from one event loop."""

    def __init__(self, limits: PlaceLimits | None = None):
        self.limits = limits or PlaceLimits()
        self.taken = 0
        self.refused = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._threads = ThreadPoolExecutor(self.limits.threads, thread_name_prefix="refold-io-http")
        self._asking = 0

    @property
    def waiting(self) -> int:
        """How many stand in the line."""
        return sum(not each.done() for each in self._line)

    @property
    def asking(self) -> int:
        """How many calls the threads have, or have before them."""
        return self._asking

    def begin(self) -> Visit:
        """A request comes in, in the current task."""
        visit = Visit(self.leave)
        CURRENT.set(visit)
        return visit

    def leave(self, visit: Visit) -> None:
        """Give the place back, if it has one. It gets another when it asks again."""
        if not visit.holds:
            return
        visit.holds = False
        self.taken -= 1
        while self._line and self.taken < self.limits.places:
            first = self._line.popleft()
            if not first.done():
                self.taken += 1
                first.set_result(None)

    async def ask(self, call: Callable[[], T]) -> T:
        """What `call` answers, on one of the threads, with a place taken. Raises Refusal (503) when there is none, or
        no thread, in time."""
        return await self.placed(partial(self._on_thread, call))

    async def placed(self, wait: Callable[[], Awaitable[T]]) -> T:
        """What comes of `wait`, with a place taken. Raises Refusal (503) when there is none in time."""
        visit = CURRENT.get()
        if visit is not None and not visit.holds:
            await self._enter(visit)
        try:
            return await wait()
        finally:
            if visit is not None and visit.answered:
                self.leave(visit)

    def close(self) -> None:
        """Begin nothing more on the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _enter(self, visit: Visit) -> None:
        if visit.gone:
            raise self._busy("the client has gone")
        if self.taken < self.limits.places:
            self.taken += 1
        else:
            await self._wait_for_a_place(visit)
        visit.holds = visit.let_in = True

    async def _wait_for_a_place(self, visit: Visit) -> None:
        if len(self._line) >= self.limits.line:
            self._line = deque(each for each in self._line if not each.done())
            if len(self._line) >= self.limits.line and not visit.let_in:
                raise self._busy("too many requests wait already")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._line.appendleft if visit.let_in else self._line.append)(place)
        visit.on_gone = place.cancel
        try:
            async with asyncio.timeout(self.limits.seconds):
                await place
        except TimeoutError:
            self._hand_on(place)
            raise self._busy(f"no place became free within {self.limits.seconds:g} s") from None
        except asyncio.CancelledError:
            self._hand_on(place)
            if visit.gone:
                raise self._busy("the client has gone") from None
            raise
        finally:
            visit.on_gone = None

    def _hand_on(self, place: asyncio.Future[None]) -> None:
        """Somebody else gets a place that came in the moment in which it was given up."""
        if place.done() and not place.cancelled():
            unwanted = Visit(self.leave)
            unwanted.holds = True
            self.leave(unwanted)

    async def _on_thread(self, call: Callable[[], T]) -> T:
        begun = self._threads.submit(partial(copy_context().run, call))
        answer = asyncio.wrap_future(begun)
        self._asking += 1
        try:
            await asyncio.wait((answer,), timeout=self.limits.seconds)
            if not answer.done() and begun.cancel():
                raise self._busy(f"the store was busy for {self.limits.seconds:g} s")
            return await answer
        finally:
            self._asking -= 1

    def _busy(self, why: str) -> Refusal:
        self.refused += 1
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, why, code=BUSY, headers={"retry-after": "1"})
