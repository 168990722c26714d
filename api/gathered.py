"""Questions of many clients, put to the store together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Generic, TypeVar

from .admission import Admission

K = TypeVar("K")
T = TypeVar("T")

MOST = 32
"""So many are put to the store at once."""


class Gathered(Generic[K, T]):
    """Those who ask while a question is under way are asked for together in the next one: where many ask, each costs a
    part of a trip to the store and of a change of threads; where one asks, nothing is different. Whoever asks is told
    what was found by a look that began afterwards. Used from one event loop.
    """

    def __init__(self, admission: Admission, look: Callable[[Sequence[K]], Sequence[T | Exception]]):
        """`look` finds out for each key, in order, what it is, or the error to be raised."""
        self._admission = admission
        self._look = look
        self._waiting: deque[tuple[K, asyncio.Future[T]]] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def get(self, key: K) -> T:
        """What is found for `key`. Raises what is found instead, and Refusal (503) when too much is under way."""
        return await self._admission.placed(partial(self._get, key))

    async def _get(self, key: K) -> T:
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, found))
        if self._asking is None:
            # It is nobody's in particular: a context of its own keeps it from counting as part of one request.
            self._asking = asyncio.get_running_loop().create_task(self._ask(), context=Context())
        return await found

    async def _ask(self) -> None:
        try:
            while self._waiting:
                asked = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                await self._answer([each for each in asked if not each[1].done()])
        finally:
            self._asking = None

    async def _answer(self, asked: Sequence[tuple[K, asyncio.Future[T]]]) -> None:
        if not asked:
            return
        answers: Sequence[T | Exception]
        try:
            answers = await self._admission.ask(partial(self._look, [key for key, _ in asked]))
        except Exception as error:
            answers = [error] * len(asked)
        for (_, found), answer in zip(asked, answers, strict=True):
            if found.done():
                continue
            if isinstance(answer, Exception):
                found.set_exception(answer)
            else:
                found.set_result(answer)
