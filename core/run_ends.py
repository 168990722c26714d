"""How a run can end: see `refold.core.events`, which has these classes too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from .canonical import Payload


@dataclass(frozen=True, slots=True)
class Cut:
    """How a run was ended from outside: by what, and after how many ended steps."""

    by: str
    after: int


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """The run ended well."""

    topic: ClassVar = "run.completed"
    schema: ClassVar = 1

    at: int
    output: Payload
    output_hash: str
    workflow_hash: str
    cost_cents: float


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ended by a failure: of the step `step_id`, or of its own output template (None)."""

    topic: ClassVar = "run.failed"
    schema: ClassVar = 1

    at: int
    step_id: str | None
    error_code: str
    message: str
    workflow_hash: str
    cost_cents: float


@dataclass(frozen=True, slots=True)
class RunRejected(RunFailed):
    """The run ended because what it asked for was refused, by a policy, the sandbox or a person: no fault of a system.

    As of a failure, `step_id` is the step that was refused, None for the run as a whole.
    """

    topic: ClassVar = "run.rejected"
    schema: ClassVar = 1


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """The run was cancelled by inbox message `message`."""

    topic: ClassVar = "run.cancelled"
    schema: ClassVar = 1

    at: int
    message: int
    reason: str
    cut: Cut
    error_code: str
    workflow_hash: str
    cost_cents: float


@dataclass(frozen=True, slots=True)
class RunTimedOut:
    """The run reached its `timeout_seconds`."""

    topic: ClassVar = "run.timed_out"
    schema: ClassVar = 1

    at: int
    cut: Cut
    error_code: str
    workflow_hash: str
    cost_cents: float


@dataclass(frozen=True, slots=True)
class RunContinued:
    """The run ended by having its work continued by the run `successor`, started in the same unit of commit."""

    topic: ClassVar = "run.continued"
    schema: ClassVar = 1

    at: int
    successor: str
    workflow_hash: str
    cost_cents: float


RunEnd = RunCompleted | RunFailed | RunRejected | RunCancelled | RunTimedOut | RunContinued
"""The last event of a run."""

END_TOPICS = frozenset(end.topic for end in get_args(RunEnd))
"""Their topics."""
