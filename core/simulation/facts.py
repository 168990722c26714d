"""What a simulation is told of the world: what steps declare, for whom they would run, and how accounts stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from ..ledger import Account
from ..retry import Retry


class StepFacts(NamedTuple):
    """What a step and its skill declare together.

    `known` says whether the skill is known here; if not, its cost and its effect are not known either. `cents` is what
    an attempt costs, `priced` whether anybody said so. `effect` says whether this very call changes the world outside:
    None where only the run will tell. `pause_seconds` is how long the step only waits, None if it does not.
    """

    known: bool
    cents: float
    priced: bool
    retry: Retry
    timeout_seconds: float | None
    side_effect: bool
    effect: bool | None
    pause_seconds: float | None

    @property
    def longest_seconds(self) -> float | None:
        """The longest it can take with all its attempts and pauses, None without a time limit."""
        if self.pause_seconds is not None:
            return self.pause_seconds
        if self.timeout_seconds is None:
            return None
        return self.timeout_seconds * self.retry.max_attempts + longest_pauses(self.retry)


@lru_cache(maxsize=1024)
def longest_pauses(retry: Retry) -> float:
    """All pauses between the attempts together, in seconds, none of them shortened by jitter."""
    steady = Retry(retry.max_attempts, retry.initial_seconds, retry.multiplier, retry.max_seconds, 0)
    return sum(steady.delay(0, attempt) for attempt in range(1, retry.max_attempts))


@dataclass(frozen=True, slots=True)
class Circumstances:
    """For whom and when a plan would run. `at` is in microseconds since the epoch, and decides on which day's and
    month's budgets count. `account` tells how an account of the ledger stands, None if nothing was ever asked of it;
    without it all accounts count as unused.
    """

    tenant: str = "default"
    agent_id: str | None = None
    source: str = ""
    queue: str = "default"
    at: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    account: Callable[[str], Account | None] | None = None


class Sample(NamedTuple):
    """How long something took, `size` times recorded: the median and the 95th percentile, in seconds, and how many
    attempts it took on average."""

    size: int
    median: float
    slow: float
    attempts: float


class Records(NamedTuple):
    """What recorded runs tell, by step of the workflow and by skill; `runs` is how many were looked at."""

    runs: int = 0
    by_step: Mapping[str, Sample] = {}
    by_skill: Mapping[str, Sample] = {}
