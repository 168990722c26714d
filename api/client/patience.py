"""How long, and how often, something is asked again that did not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import random

from ...core.errors import RefoldError

MOST_TIMES = 20
"""So often at most something is sent again that was put off (429, 503)."""

_SHORTEST, _LONGEST = 0.05, 1.0


class Patience:
    """Waits between attempts, longer each time and never as long as others do, for `seconds` in all."""

    def __init__(self, seconds: float, chance: Callable[[], float] = random):
        self._seconds = seconds
        self._chance = chance
        self.renew()

    def renew(self) -> None:
        """It was answered: from here on there is patience again."""
        self._until = time.monotonic() + self._seconds
        self._pause = _SHORTEST
        self._put_off = 0

    async def pause(self, error: RefoldError, told: float | None = None) -> None:
        """Wait: at least for the seconds that were `told`, if they were. Raises `error` when there is no patience
        left, or not so much."""
        if told is not None:
            self._put_off += 1
        least = self._pause / 2 if told is None else told
        wait = least + self._chance() * max(self._pause / 2, least)
        if self._put_off > MOST_TIMES or time.monotonic() + least > self._until:
            raise error
        await asyncio.sleep(wait)
        self._pause = min(self._pause * 2, _LONGEST)
