"""How long to wait before the next attempt: exponential backoff whose jitter follows from the seed."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import CallError, Problem
from .seeds import unit_interval

MAX_SECONDS = 100 * 366 * 86_400
"""The longest pause between attempts: a century."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy.

    `max_attempts` counts the first attempt too (1: no retry). The pause before attempt n+1 is
    `initial_seconds * multiplier**(n-1)`, at most `max_seconds`, less a random share of up to `jitter` (0 to 1) of it.
    """

    max_attempts: int = 1
    initial_seconds: float = 1.0
    multiplier: float = 2.0
    max_seconds: float = 60.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        bounds = {
            "max_attempts": (1, 1001),
            "initial_seconds": (0, MAX_SECONDS),
            "multiplier": (1, 1000),
            "max_seconds": (0, MAX_SECONDS),
            "jitter": (0, 1),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            whole = type(value) is int or (type(value) is float and name != "max_attempts")
            if not whole or not least <= value <= most:  # NaN fails the comparison, too
                raise CallError(Problem("", f"Retry: {name} is {value!r}, wanted {least} to {most}", "choose another"))

    def delay(self, seed: int, attempt: int) -> float:
        """Seconds to wait after the failed attempt number `attempt` (from 1) of the step with seed `seed`."""
        # A thousand to the 64th is far beyond any max_seconds, and no float overflows on the way.
        growth = min(self.multiplier ** min(attempt - 1, 64), 1e12)
        pause = min(self.initial_seconds * growth, self.max_seconds)
        return pause * (1.0 - self.jitter * unit_interval(f"retry:{seed}:{attempt}"))
