"""What can happen to a run and in a control stream, as frozen values in the past tense.

Each class has one short, stable topic under which it is stored for ever, and the version of its shape. A change of
shape raises the version and adds an upcaster (`refold.core.upcast`); a topic is never reused for another meaning.
`at` is when the event was recorded: microseconds since 1970-01-01 UTC. Hashes are lower-case hex SHA-256.
Fields of type `Payload` hold user data as canonical JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from .access_events import AccessEvent
from .approval_events import (
    ApprovalCommented,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOverdue,
    ApprovalRejected,
    ApprovalReminded,
    ApprovalRequested,
)
from .budget_events import BudgetToppedUp
from .canonical import Payload
from .checkpoint_events import CheckpointRefused
from .emergency_events import EmergencyEvent, EmergencyReleased, EmergencyStopped
from .erasure_events import DataErased
from .golden_events import (
    GoldenArchived,
    GoldenArchiveResigned,
    GoldenEvent,
    GoldenKeyRotated,
    GoldenResigned,
    GoldenRestored,
    GoldenRetentionSet,
)
from .job_events import (
    JobAsked,
    JobEnded,
    JobEvent,
    JobProgressed,
    JobResumed,
    JobSelected,
    JobStopAsked,
    JobStopped,
    JobTaken,
)
from .policy_events import PolicyAdopted, PolicyDecided, PolicyEvent
from .request_events import RequestKeyed
from .run_ends import (
    END_TOPICS,
    Cut,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunEnd,
    RunFailed,
    RunRejected,
    RunTimedOut,
)
from .step_events import (
    StepAttemptFailed,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepIndex,
    StepProgressed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from .store_events import ArchiveEvent, StoreArchived, StoreBroughtBack
from .webhook_events import WebhookEvent

__all__ = [
    "END_TOPICS",
    "EVENTS",
    "ORIGINS",
    "PLANNER",
    "SEMANTICS",
    "ApprovalCommented",
    "ApprovalDelegated",
    "ApprovalEscalated",
    "ApprovalExpired",
    "ApprovalGranted",
    "ApprovalOverdue",
    "ApprovalRejected",
    "ApprovalReminded",
    "ApprovalRequested",
    "AttributesSet",
    "BudgetToppedUp",
    "CheckpointRefused",
    "ChildEnded",
    "Cut",
    "DataErased",
    "EmergencyReleased",
    "EmergencyStopped",
    "Event",
    "Fork",
    "GoldenArchiveResigned",
    "GoldenArchived",
    "GoldenKeyRotated",
    "GoldenResigned",
    "GoldenRestored",
    "GoldenRetentionSet",
    "JobAsked",
    "JobEnded",
    "JobProgressed",
    "JobResumed",
    "JobSelected",
    "JobStopAsked",
    "JobStopped",
    "JobTaken",
    "MessageRefused",
    "MessageSent",
    "PatchApplied",
    "PolicyAdopted",
    "PolicyDecided",
    "RequestKeyed",
    "RunCancelled",
    "RunCancelling",
    "RunCompleted",
    "RunContinued",
    "RunEnd",
    "RunFailed",
    "RunParked",
    "RunPaused",
    "RunRejected",
    "RunResumed",
    "RunStarted",
    "RunTimedOut",
    "SignalReceived",
    "StepAttemptFailed",
    "StepCompleted",
    "StepFailed",
    "StepIndex",
    "StepProgressed",
    "StepReused",
    "StepSkipped",
    "StepStarted",
    "StepWaiting",
    "StoreArchived",
    "StoreBroughtBack",
]

PLANNER = "planner"
"""Where plans come from that nobody trusts."""

ORIGINS = ("", PLANNER)
"""Where a run's workflow may come from."""

SEMANTICS = 1
"""The version of `decide`'s rules, recorded when a run starts: old runs are folded by the rules they ran under."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a run was forked from: the run `run_id`, as it stood after its event `version`, of the chain hash `hash`.

    `began` is when the first run of this descent began, in microseconds since the epoch, and `by` who forked it, ""
    when nobody said.
    """

    run_id: str
    version: int
    hash: str
    began: int
    by: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event of every run: all that determines it, and where it is to be worked on.

    `spec` is None when the workflow is a function, whose source then had the hash `source`, and `timeout_seconds` its
    time limit. `parent` is the run that started this one, and `awaited` the id under which it waits for its end;
    `continues` is the run whose work this one continues, and `forked` says whose outcomes it took over, which follow as
    `step.reused`. `origin` is "planner" for a plan of an untrusted planner, else "", and `policy` a policy that holds
    for this run besides that of the process. `trace` is the W3C `traceparent` of whoever started the run, if there was
    one; it is for traces alone, and no part of what determines the run.
    """

    topic: ClassVar = "run.started"
    schema: ClassVar = 6

    at: int
    run_id: str
    tenant: str
    workflow_type: str
    workflow_version: str
    spec: Payload | None
    source: str | None
    timeout_seconds: float | None
    inputs: Payload
    seed: int
    agent_id: str | None
    semantics: int
    queue: str
    priority: int
    parent: str | None
    awaited: str | None
    continues: str | None
    forked: Fork | None = None
    origin: str = ""
    policy: Payload | None = None
    trace: str | None = None


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
class RunParked:
    """Code and history disagree: the run needs a person, and rests until it is resumed.

    `details` says what was recorded and what the code asks for.
    """

    topic: ClassVar = "run.parked"
    schema: ClassVar = 1

    at: int
    error_code: str
    message: str
    details: Payload


@dataclass(frozen=True, slots=True)
class RunCancelling:
    """Inbox message `message` asked a function to stop: what it awaits is given up, and it cleans up and ends."""

    topic: ClassVar = "run.cancelling"
    schema: ClassVar = 1

    at: int
    message: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """Inbox message `message` told that the run `child` has ended, completed (`error_code` is None) or not."""

    topic: ClassVar = "child.ended"
    schema: ClassVar = 1

    at: int
    message: int
    child: str
    status: str
    output: Payload
    error_code: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class AttributesSet:
    """The run set attributes (an object, laid over those it had) by which it can be found."""

    topic: ClassVar = "attributes.set"
    schema: ClassVar = 1

    at: int
    attributes: Payload


@dataclass(frozen=True, slots=True)
class PatchApplied:
    """The code passed `patched(patch)` for the first time, and took the new way."""

    topic: ClassVar = "patch.applied"
    schema: ClassVar = 1

    at: int
    patch: str


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message in a run's inbox; `key` makes sending it twice harmless.

    `kind` is cancel, terminate, pause, resume, signal, child, approval, or continued, which closes the inbox: `reason`
    is the run to which all else goes. `name` and `body` are a signal's, or tell which child ended and how; `body` says
    who decided what of an approval. Of other kinds they are empty and null.
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


Event = (
    RunStarted
    | StepEvent
    | RunPaused
    | RunResumed
    | RunParked
    | RunCancelling
    | SignalReceived
    | ChildEnded
    | AttributesSet
    | PatchApplied
    | MessageRefused
    | RunEnd
    | MessageSent
    | SpecRegistered
    | PolicyEvent
    | RequestKeyed
    | GoldenEvent
    | CheckpointRefused
    | ArchiveEvent
    | DataErased
    | BudgetToppedUp
    | EmergencyEvent
    | ApprovalEvent
    | WebhookEvent
    | AccessEvent
    | JobEvent
)
"""Anything that can happen."""

EVENTS: dict[str, type[Event]] = {cls.topic: cls for cls in get_args(Event)}
"""Every event by its topic."""
