"""One look for all who want to see the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Looks that are shared: whoever asks gets what was found by a look that began afterwards, so never anything stale.

    At most one look is under way; those who ask meanwhile share the next one. Used from one event loop.
    """

    def __init__(self, look: Callable[[], Awaitable[T]]):
        self._look = look
        self._under_way: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def look(self) -> T:
        """What is found. Raises what the look raises."""
        if self._next is None:
            # It is nobody's in particular: a context of its own keeps it from counting as part of one request.
            self._next = asyncio.get_running_loop().create_task(self._after(self._under_way), context=Context())
            self._next.add_done_callback(_heard)
        return await asyncio.shield(self._next)

    async def _after(self, earlier: asyncio.Task[T] | None) -> T:
        if earlier is not None:
            await asyncio.wait((earlier,))
        self._under_way, self._next = self._next, None
        return await self._look()


def _heard(look: asyncio.Task[T]) -> None:
    """Nobody may be left who wants to know how it failed."""
    if not look.cancelled():
        look.exception()
