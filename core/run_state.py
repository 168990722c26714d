"""What the log says of a run, whether it is a spec's (`spec_state`) or a function's (`code_state`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Any, Generic, Literal, NamedTuple

from typing_extensions import TypeVar

from .approvals import Approval
from .canonical import Payload
from .events import (
    ChildEnded,
    RunCancelled,
    RunCancelling,
    RunCompleted,
    RunContinued,
    RunEnd,
    RunFailed,
    RunParked,
    RunRejected,
    RunStarted,
    RunTimedOut,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepWaiting,
)
from .policy_events import PolicyDecided
from .step_events import StepEvent

Status = Literal["running", "waiting", "paused", "parked", "completed", "failed", "cancelled", "timed_out", "rejected"]
"""Where a run stands, as far as the log alone can say."""

Index = TypeVar("Index", bound=int | str, default=Any)
"""What numbers a run's steps: positions in a plan, or paths of calls."""

AnyStepEvent = StepEvent | PolicyDecided
"""An event that names a step."""


class Outcome(NamedTuple):
    """The one recorded outcome of a step."""

    status: Literal["completed", "failed", "skipped"]
    attempt: int
    inputs_hash: str | None
    output: Payload | None
    error_code: str | None
    message: str | None
    step_hash: str
    cost_cents: float
    """What all attempts cost together."""


class Pending(NamedTuple):
    """A step between attempts: the number of the next one, when it is due (microseconds), and the cost so far."""

    attempt: int
    due: int
    cost_cents: float


class Reused(NamedTuple):
    """Of a fork, where an outcome comes from: the number of the parent's event, and whether another output was given
    for the one recorded there."""

    version: int
    given: bool


FIRST = Pending(1, 0, 0)
"""A step that was never tried."""


class RunState(ABC, Generic[Index]):
    """All that the log says of one run.

    `attempted` holds the steps between attempts, `announced` those at-most-once ones that have begun, `waits` those
    that wait, `progress` what running ones told last. `cleared` holds the attempts that policies have let through and
    for which something is held, `deferred` those that must come later. `signals` holds by name those that came and
    that no step has used yet, `children` by run id how children ended, `approvals` by index what those of `waits` that
    wait for people have heard, `reused` the steps whose outcomes a fork took over. `deadline` is when the run times
    out, in microseconds since the epoch. `taken` is the version of the last inbox message taken.
    """

    __slots__ = (
        "announced",
        "approvals",
        "attempted",
        "attributes",
        "cancelling",
        "children",
        "cleared",
        "cost_cents",
        "deadline",
        "deferred",
        "end",
        "ended_steps",
        "inputs",
        "parked",
        "paused",
        "progress",
        "reused",
        "signals",
        "started",
        "taken",
        "waits",
    )

    def __init__(self, started: RunStarted, timeout_seconds: float | None):
        self.started = started
        self.inputs: dict[str, Any] = started.inputs.value
        self.attempted: dict[Index, Pending] = {}
        self.announced: set[Index] = set()
        self.waits: dict[Index, StepWaiting] = {}
        self.progress: dict[Index, Payload] = {}
        self.cleared: dict[Index, int] = {}
        self.deferred: dict[Index, int] = {}
        self.reused: dict[Index, Reused] = {}
        self.signals: dict[str, deque[Payload]] = {}
        self.children: dict[str, ChildEnded] = {}
        self.approvals: dict[Index, Approval] = {}
        self.attributes: dict[str, Any] = {}
        self.ended_steps = 0
        self.deadline = None if timeout_seconds is None else started.at + int(timeout_seconds * 1_000_000)
        self.cost_cents: float = 0
        self.paused = False
        self.parked: RunParked | None = None
        self.cancelling: RunCancelling | None = None
        self.taken = 0
        self.end: RunEnd | None = None

    @property
    def status(self) -> Status:
        """Where the run stands, as the log says it."""
        if self.end is not None:
            return _END_STATUS[type(self.end)]
        if self.parked is not None:
            return "parked"
        if self.paused:
            return "paused"
        return "waiting" if (self.waits or self.deferred) and self.only_waits() else "running"

    @property
    @abstractmethod
    def needs(self) -> str:
        """What a worker must offer to serve the run, as the canonical JSON of a sorted list (`refold.core.needs`)."""

    @property
    @abstractmethod
    def step_hashes(self) -> list[str | None]:
        """The hashes of the steps that count, in index order, None where nothing has ended."""

    @abstractmethod
    def only_waits(self) -> bool:
        """Whether every step that could run waits."""

    @abstractmethod
    def outcome(self, index: Index) -> Outcome | None:
        """The outcome of a step, None if it has none."""

    @abstractmethod
    def in_order(self, indexes: Iterable[Index]) -> list[Index]:
        """Those of `indexes` that count, in index order."""

    @abstractmethod
    def check_open(self, event: AnyStepEvent) -> Index:
        """The index of the step of `event`. Raises IntegrityError when nothing can happen to that step."""

    @abstractmethod
    def close(self, event: StepCompleted | StepFailed | StepSkipped, outcome: Outcome) -> None:
        """Record the one outcome of a step."""

    def forget(self, index: Index) -> None:
        """Drop what is only of interest until a step has its outcome."""
        self.ended_steps += 1
        self.attempted.pop(index, None)
        self.announced.discard(index)
        self.waits.pop(index, None)
        if self.approvals:
            self.approvals.pop(index, None)
        if self.progress:
            self.progress.pop(index, None)
        if self.cleared or self.deferred:
            self.attempt_over(index)

    def attempt_over(self, index: Index) -> None:
        """Drop what policies said of the attempt at a step."""
        self.cleared.pop(index, None)
        self.deferred.pop(index, None)


_END_STATUS: dict[type[RunEnd], Status] = {
    RunCompleted: "completed",
    RunFailed: "failed",
    RunRejected: "rejected",
    RunCancelled: "cancelled",
    RunTimedOut: "timed_out",
    RunContinued: "completed",
}
