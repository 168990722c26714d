"""What a step's declaration and its skill's come to together: cost, retries, time limit."""

from __future__ import annotations

from typing import Any, Protocol

from ..decision import Named
from ..retry import Retry
from ..spec import RetrySettings
from .skill import Skill


class Step(Named, Protocol):
    """A step as outcomes and retries see it; None where the skill's own declaration counts."""

    @property
    def max_retries(self) -> int | None:
        """How often a failed attempt is repeated."""
        ...

    @property
    def backoff(self) -> RetrySettings | None:
        """The pauses between attempts."""
        ...

    @property
    def timeout_seconds(self) -> float | None:
        """The time limit of an attempt."""
        ...

    @property
    def estimated_cost_cents(self) -> float | None:
        """What an attempt may cost."""
        ...

    @property
    def retry(self) -> Retry | None:
        """A whole policy in the place of both."""
        ...


def cost_of(step: Step, skill: Skill[..., Any] | None) -> float:
    """What one attempt is expected to cost, in cents: what the skill declares, else what the step estimates."""
    if skill is not None and skill.cost_cents is not None:
        return skill.cost_cents
    return step.estimated_cost_cents or 0


def retry_policy(step: Step, skill: Skill[..., Any] | None) -> Retry:
    """The step's own retries where the spec gives any, else the skill's default; none for at-most-once skills."""
    if skill is not None and skill.at_most_once:
        return Retry()
    if step.retry is not None:
        return step.retry
    default = skill.retry if skill is not None and skill.retry is not None else Retry()
    retries = default.max_attempts - 1 if step.max_retries is None else step.max_retries
    if step.backoff is not None:
        return step.backoff.retry(retries)
    return Retry(retries + 1, default.initial_seconds, default.multiplier, default.max_seconds, default.jitter)


def time_limit(step: Step, skill: Skill[..., Any] | None) -> float | None:
    """The time limit of an attempt, in seconds: the step's own, else what the skill declares."""
    if step.timeout_seconds is not None or skill is None:
        return step.timeout_seconds
    return skill.timeout_seconds
