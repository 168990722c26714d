"""What can happen to a step: see `refold.core.events`, which has these classes too.

In a run of a spec `index` is the step's position in the plan and `inputs` is None, for the inputs follow from the spec
and the outputs before. In a run of a function `index` is the path of the call (`refold.core.paths`), and the inputs are
recorded, so that a history that the code no longer fits can say in what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .canonical import Payload

StepIndex = int | str
"""A step's position in its plan, or the path of its call in a function."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Written before an at-most-once step runs, so that after a crash it is known that it may have."""

    topic: ClassVar = "step.started"
    schema: ClassVar = 2

    at: int
    index: int | str
    step_id: str
    skill_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StepProgressed:
    """A running step told how far it is; the next attempt, should there be one, is told the same."""

    topic: ClassVar = "step.progressed"
    schema: ClassVar = 1

    at: int
    index: int | str
    step_id: str
    skill_id: str
    attempt: int
    details: Payload


@dataclass(frozen=True, slots=True)
class StepAttemptFailed:
    """An attempt failed and another one will follow at `retry_at` (microseconds since the epoch)."""

    topic: ClassVar = "step.attempt_failed"
    schema: ClassVar = 2

    at: int
    index: int | str
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
    error_code: str
    message: str
    cost_cents: float
    retry_at: int


@dataclass(frozen=True, slots=True)
class StepWaiting:
    """A step began to wait: for `signal`, for the end of the run `child`, or (both None) for the time `until`.

    `until` is in microseconds since the epoch; a child is started in the same unit of commit.

    When `until` has come (None: it never does) the step fails with the code `fails`, or without one completes with
    `output`.
    """

    topic: ClassVar = "step.waiting"
    schema: ClassVar = 2

    at: int
    index: int | str
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
    inputs: Payload | None
    inputs_hash: str
    signal: str | None
    child: str | None
    until: int | None
    fails: str | None
    output: Payload
    cost_cents: float


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """A step succeeded; this is its one recorded outcome."""

    topic: ClassVar = "step.completed"
    schema: ClassVar = 2

    at: int
    index: int | str
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
    inputs: Payload | None
    inputs_hash: str
    output: Payload
    output_hash: str
    step_hash: str
    cost_cents: float


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed for good; `inputs_hash` is None when its inputs could not be resolved."""

    topic: ClassVar = "step.failed"
    schema: ClassVar = 2

    at: int
    index: int | str
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
    inputs: Payload | None
    inputs_hash: str | None
    error_code: str
    message: str
    step_hash: str
    cost_cents: float


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """A step did not run because the step `because`, on which it depends, failed with `skip` or was skipped."""

    topic: ClassVar = "step.skipped"
    schema: ClassVar = 1

    at: int
    index: int
    step_id: str
    skill_id: str
    because: str
    step_hash: str


@dataclass(frozen=True, slots=True)
class StepReused:
    """An outcome that the run's parent had recorded (`RunStarted.forked`), taken over instead of brought about again.

    `version` is the number of the parent's event, and `ended_at` when the step had ended, in whichever run that was;
    costs were the parent's. A failure has an `error_code`, and null as its output. With `given` the output is none
    that a skill gave but the one that whoever forked gave instead.
    """

    topic: ClassVar = "step.reused"
    schema: ClassVar = 1

    at: int
    index: int | str
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
    inputs: Payload | None
    inputs_hash: str | None
    output: Payload
    error_code: str | None
    message: str
    step_hash: str
    version: int
    ended_at: int
    given: bool

    def outcome(self) -> StepCompleted | StepFailed:
        """The outcome, as if the run itself had brought it about at no cost."""
        about = (self.at, self.index, self.step_id, self.skill_id, self.skill_version, self.attempt, self.inputs)
        if self.error_code is not None:
            return StepFailed(*about, self.inputs_hash, self.error_code, self.message, self.step_hash, 0)
        return StepCompleted(*about, self.inputs_hash or "", self.output, self.output.sha256, self.step_hash, 0)


StepEvent = (
    StepStarted
    | StepProgressed
    | StepAttemptFailed
    | StepWaiting
    | StepCompleted
    | StepFailed
    | StepSkipped
    | StepReused
)
"""Anything that can happen to a step."""
