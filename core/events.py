"""What can happen to a run and in a control stream, as frozen values in the past tense.

Each class has one short, stable topic under which it is stored for ever, and the version of its shape. A change of
shape raises the version and adds an upcaster (`refold.core.upcast`); a topic is never reused for another meaning.
`at` is when the event was recorded: microseconds since 1970-01-01 UTC. Hashes are lower-case hex SHA-256.
Fields of type `Payload` hold user data as canonical JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from .canonical import Payload

SEMANTICS = 1
"""The version of `decide`'s rules, recorded when a run starts: old runs are folded by the rules they ran under."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a run was ended from outside: by what, and after how many ended steps."""

    by: str
    after: int


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event of every run: all that determines it, and where it is to be worked on."""

    topic: ClassVar = "run.started"
    schema: ClassVar = 2

    at: int
    run_id: str
    tenant: str
    workflow_type: str
    workflow_version: str
    spec: Payload
    inputs: Payload
    seed: int
    agent_id: str | None
    semantics: int
    queue: str
    priority: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Written before an at-most-once step runs, so that after a crash it is known that it may have."""

    topic: ClassVar = "step.started"
    schema: ClassVar = 1

    at: int
    index: int
    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StepAttemptFailed:
    """An attempt failed and another one will follow at `retry_at` (microseconds since the epoch)."""

    topic: ClassVar = "step.attempt_failed"
    schema: ClassVar = 1

    at: int
    index: int
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
    """A step began to wait: for `signal`, or (None) for the time `until`, in microseconds since the epoch.

    When `until` has come (None: it never does) the step fails with the code `fails`, or without one completes with
    `output`.
    """

    topic: ClassVar = "step.waiting"
    schema: ClassVar = 1

    at: int
    index: int
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
    inputs_hash: str
    signal: str | None
    until: int | None
    fails: str | None
    output: Payload
    cost_cents: float


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """A step succeeded; this is its one recorded outcome."""

    topic: ClassVar = "step.completed"
    schema: ClassVar = 1

    at: int
    index: int
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
    inputs_hash: str
    output: Payload
    output_hash: str
    step_hash: str
    cost_cents: float


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step failed for good; `inputs_hash` is None when its inputs could not be resolved."""

    topic: ClassVar = "step.failed"
    schema: ClassVar = 1

    at: int
    index: int
    step_id: str
    skill_id: str
    skill_version: str
    attempt: int
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
class RunPaused:
    """Nothing new starts until the run is resumed; `message` is the inbox message that asked for it."""

    topic: ClassVar = "run.paused"
    schema: ClassVar = 1

    at: int
    message: int
    reason: str


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A paused run goes on; `message` is the inbox message that asked for it."""

    topic: ClassVar = "run.resumed"
    schema: ClassVar = 1

    at: int
    message: int


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """Inbox message `message` was a signal; it waits for the first step that waits for one of its name."""

    topic: ClassVar = "signal.received"
    schema: ClassVar = 1

    at: int
    message: int
    name: str
    body: Payload


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """An inbox message that changed nothing (a pause of a paused run), taken so that it is not read again."""

    topic: ClassVar = "message.refused"
    schema: ClassVar = 1

    at: int
    message: int
    reason: str


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
class MessageSent:
    """A message in a run's inbox: `kind` is cancel, pause, resume or signal; `key` makes sending it twice harmless.

    `name` and `body` are a signal's; of other kinds they are empty and null.
    """

    topic: ClassVar = "message.sent"
    schema: ClassVar = 2

    at: int
    kind: str
    key: str
    reason: str
    name: str
    body: Payload


@dataclass(frozen=True, slots=True)
class SpecRegistered:
    """In a tenant's control stream: from now on `workflow_type` and `version` stand for this spec, for ever.

    `spec` is the spec's stored form and `spec_hash` its SHA-256. `by` is who registered it, "" when nobody said.
    """

    topic: ClassVar = "spec.registered"
    schema: ClassVar = 1

    at: int
    tenant: str
    workflow_type: str
    version: str
    spec: Payload
    spec_hash: str
    by: str


RunEnd = RunCompleted | RunFailed | RunCancelled | RunTimedOut
"""The last event of a run."""

Event = (
    RunStarted
    | StepStarted
    | StepAttemptFailed
    | StepWaiting
    | StepCompleted
    | StepFailed
    | StepSkipped
    | RunPaused
    | RunResumed
    | SignalReceived
    | MessageRefused
    | RunEnd
    | MessageSent
    | SpecRegistered
)
"""Anything that can happen."""

EVENTS: dict[str, type[Event]] = {cls.topic: cls for cls in get_args(Event)}
"""Every event by its topic."""
