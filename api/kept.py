"""What takes long to find out, kept for a moment for all who ask for the same."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

SLOW_SECONDS = 0.1
"""What took less is found out anew for whoever asks."""

FRESH_SECONDS, STALE_SECONDS = 1.0, 3.0
"""For so long what was found is told as it is; then, up to the other, once more while it is found out anew."""

MOST_KEPT = 256
"""So many things are kept, of those that were asked for last."""


@dataclass
class _Entry(Generic[T]):
    looking: asyncio.Task[T] | None = None
    found: T | None = None
    until: float = 0.0


class Kept(Generic[T]):
    """Whoever asks while it is being found out is told what comes of that. Used from one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()

    async def get(self, key: Hashable, look: Callable[[], Awaitable[T]]) -> T:
        """What `look` finds, or found a moment ago under the same key. Raises what it raises."""
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        if len(self._entries) > MOST_KEPT:
            self._entries.popitem(last=False)
        now = self._clock()
        if entry.found is not None and now < entry.until:
            return entry.found
        if entry.looking is None or entry.looking.done():
            # It is nobody's in particular: a context of its own keeps it from counting as part of one request.
            entry.looking = asyncio.get_running_loop().create_task(self._look(entry, look), context=Context())
            entry.looking.add_done_callback(_heard)
        if entry.found is not None and now < entry.until + STALE_SECONDS - FRESH_SECONDS:
            return entry.found
        return await asyncio.shield(entry.looking)

    async def soon(self, key: Hashable, look: Callable[[], Awaitable[T]], seconds: float) -> T | None:
        """The same, waited for no longer than `seconds`: then what was found last, however old, or None. It is found
        out all the same, for whoever asks next."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self.get(key, look)
        entry = self._entries.get(key)
        return None if entry is None else entry.found

    async def _look(self, entry: _Entry[T], look: Callable[[], Awaitable[T]]) -> T:
        began = self._clock()
        found = await look()
        ended = self._clock()
        entry.found, entry.until = (found, ended + FRESH_SECONDS) if ended - began >= SLOW_SECONDS else (None, 0.0)
        return found


def _heard(look: asyncio.Task[T]) -> None:
    """Nobody may be left who wants to know how it failed."""
    if not look.cancelled():
        look.exception()
