"""The real clock, and real timers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..ports import Timer


class SystemClock:
    """The operating system's time of day; fulfils `refold.core.ports.Clock`."""

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000


class LoopTimers:
    """The event loop's own timers; fulfils `refold.core.ports.Timers`."""

    def after(self, microseconds: int, callback: Callable[[], object]) -> Timer:
        """See `Timers.after`."""
        return asyncio.get_running_loop().call_later(max(0, microseconds) / 1_000_000, callback)
