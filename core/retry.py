"""How long to wait before the next attempt: exponential backoff whose jitter follows from the seed."""

from __future__ import annotations

from dataclasses import dataclass

from .seeds import unit_interval


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

    def delay(self, seed: int, attempt: int) -> float:
        """Seconds to wait after the failed attempt number `attempt` (from 1) of the step with seed `seed`."""
        # Past 2^64 the exponent only matters as "larger than max_seconds", and floats must not overflow.
        growth = min(self.multiplier ** min(attempt - 1, 64), 1e12)
        pause = min(self.initial_seconds * growth, self.max_seconds)
        return pause * (1.0 - self.jitter * unit_interval(f"retry:{seed}:{attempt}"))
