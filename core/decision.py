"""What the rules of specs and those of functions have in common: decisions, ended waits, ends, and their hashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .approvals import Approval, due_events, failure_of
from .canonical import Payload
from .events import (
    Cut,
    Event,
    RunCancelled,
    RunFailed,
    RunRejected,
    RunStarted,
    RunTimedOut,
    StepCompleted,
    StepFailed,
    StepWaiting,
)
from .failures import REJECTIONS
from .hashing import step_hash, workflow_hash
from .run_state import FIRST, RunState
from .seeds import step_seed
from .step_events import StepIndex


@dataclass(slots=True)
class Execute:
    """Run attempt number `attempt` of the step at `index`."""

    index: StepIndex
    attempt: int


class Decision(NamedTuple):
    """Either `events` to record (apply them and ask again), or what to run now and when to look again.

    `wake` is the earliest time, in microseconds since the epoch, at which the decision may change by itself. `begins`
    are runs to start in the same unit of commit as the events.
    """

    events: Sequence[Event] = ()
    execute: Sequence[Execute] = ()
    wake: int | None = None
    begins: Sequence[RunStarted] = ()


_JUDGED = "SANDBOX_REJECTED"

NOTHING = Decision()
"""Nothing is to be done until something happens."""


class Named(Protocol):
    """A step as outcomes name it."""

    @property
    def index(self) -> StepIndex:
        """Its number in the run."""
        ...

    @property
    def step_id(self) -> str:
        """Its name."""
        ...

    @property
    def skill_id(self) -> str:
        """What it runs."""
        ...


def executions(
    state: RunState, at: int, open_steps: Sequence[StepIndex], running: Collection[StepIndex], slots: int
) -> Decision:
    """Which of `open_steps`, given in index order, to run in so many free slots, and when the next timer ends."""
    wake = state.deadline
    for index in state.in_order(state.waits) if state.waits else ():
        until = wakes_at(state, index)
        if until is not None and (wake is None or until < wake):
            wake = until
    execute: list[Execute] = []
    for index in open_steps:
        if len(execute) >= slots:
            break
        if index in running or index in state.waits:
            continue
        pending = state.attempted.get(index, FIRST)
        if pending.due <= at:
            execute.append(Execute(index, pending.attempt))
        elif wake is None or pending.due < wake:
            wake = pending.due
    return Decision((), execute, wake)


def wakes_at(state: RunState, index: StepIndex) -> int | None:
    """When something about a wait comes about by itself, in microseconds since the epoch; None if nothing does."""
    approval = state.approvals.get(index)
    return state.waits[index].until if approval is None else approval.next_due


def ended_waits(state: RunState, at: int) -> list[Event]:
    """Outcomes of the waiting steps whose signal, child or approval has come or whose time is up, in index order, and
    what time has brought about for approvals that are open.

    Each signal ends one wait.
    """
    events: list[Event] = []
    used: Counter[str] = Counter()
    for index in state.in_order(state.waits):
        wait = state.waits[index]
        arrived = () if wait.signal is None else state.signals.get(wait.signal, ())
        ended = None if wait.child is None else state.children.get(wait.child)
        approval = state.approvals.get(index)
        if approval is not None:
            events.extend(_of_approval(state, at, wait, approval))
        elif wait.signal is not None and len(arrived) > used[wait.signal]:
            events.append(_wait_completed(state, at, wait, arrived[used[wait.signal]]))
            used[wait.signal] += 1
        elif ended is not None and ended.error_code is None:
            events.append(_wait_completed(state, at, wait, ended.output))
        elif ended is not None:
            reason = f"run {ended.child} {ended.status.replace('_', ' ')} with {ended.error_code}: {ended.reason}"
            events.append(_wait_failed(state, at, wait, "CHILD_FAILED", reason))
        elif wait.until is not None and at >= wait.until:
            events.append(_time_is_up(state, at, wait))
    return events


def _of_approval(state: RunState, at: int, wait: StepWaiting, approval: Approval) -> Sequence[Event]:
    if approval.standing == "open":
        return due_events(approval, at)
    if approval.standing == "granted":
        return [_wait_completed(state, at, wait, approval.output)]
    return [_wait_failed(state, at, wait, *failure_of(approval))]


def _time_is_up(state: RunState, at: int, wait: StepWaiting) -> StepCompleted | StepFailed:
    if wait.fails is None:
        return _wait_completed(state, at, wait, wait.output)
    message = "the wait took longer than it may"
    if wait.signal is not None:
        message = f"no signal {wait.signal!r} came in time"
    elif wait.child is not None:
        message = f"the run {wait.child} did not end in time"
    return _wait_failed(state, at, wait, wait.fails, message)


def _wait_failed(state: RunState, at: int, wait: StepWaiting, code: str, message: str) -> StepFailed:
    return step_failed(state, at, wait, wait.skill_version, wait.attempt, wait.inputs, wait.inputs_hash, code, message)


def _wait_completed(state: RunState, at: int, wait: StepWaiting, output: Payload) -> StepCompleted:
    hashed = outcome_hash(state, wait, wait.inputs_hash, True, output.sha256, None)
    return StepCompleted(
        at=at,
        index=wait.index,
        step_id=wait.step_id,
        skill_id=wait.skill_id,
        skill_version=wait.skill_version,
        attempt=wait.attempt,
        inputs=wait.inputs,
        inputs_hash=wait.inputs_hash,
        output=output,
        output_hash=output.sha256,
        step_hash=hashed,
        cost_cents=0,
    )


def interrupted(state: RunState, at: int, step: Named) -> StepFailed:
    """The outcome of an at-most-once step that a crash cut off."""
    return step_failed(state, at, step, "", 1, None, None, "INTERRUPTED", "cut off while running; not run again")


def outcome_hash(
    state: RunState,
    step: Named,
    inputs_hash: str | None,
    success: bool | None,
    output_hash: str | None,
    error_code: str | None,
) -> str:
    """The step hash of an outcome of `step` in this run."""
    index = step.index
    seed = step_seed(state.started.seed, index)
    return step_hash(step.step_id, index, step.skill_id, seed, inputs_hash, success, output_hash, error_code)


def step_failed(
    state: RunState,
    at: int,
    step: Named,
    skill_version: str,
    attempt: int,
    inputs: Payload | None,
    inputs_hash: str | None,
    error_code: str,
    message: str,
    cost_cents: float = 0,
) -> StepFailed:
    """The event that a step failed for good."""
    return StepFailed(
        at=at,
        index=step.index,
        step_id=step.step_id,
        skill_id=step.skill_id,
        skill_version=skill_version,
        attempt=attempt,
        inputs=inputs,
        inputs_hash=inputs_hash,
        error_code=error_code,
        message=message,
        step_hash=outcome_hash(state, step, inputs_hash, False, None, error_code),
        cost_cents=cost_cents,
    )


def cancel(state: RunState, at: int, message: int, reason: str) -> RunCancelled:
    """The event that ends the run by the inbox message of version `message`."""
    code = "RUN_CANCELLED"
    cut = Cut("cancel", state.ended_steps)
    return RunCancelled(at, message, reason, cut, code, hash_of_run(state, False, code), state.cost_cents)


def time_out(state: RunState, at: int) -> RunTimedOut:
    """The event that ends the run by its own time limit."""
    code = "RUN_TIMEOUT"
    cut = Cut("timeout", state.ended_steps)
    return RunTimedOut(at, cut, code, hash_of_run(state, False, code), state.cost_cents)


def run_failed(state: RunState, at: int, step_id: str | None, code: str, message: str) -> RunFailed:
    """The event that ends the run by a failure, or by a refusal where the code is one."""
    kind = RunRejected if code in REJECTIONS else RunFailed
    return kind(at, step_id, code, message, hash_of_run(state, False, code), state.cost_cents)


def is_judgement(state: RunState, event: Event) -> bool:
    """Whether `event` ends a run before its first step, because the sandbox refuses its plan."""
    refused = isinstance(event, RunRejected) and event.error_code == _JUDGED and event.step_id is None
    return refused and not (state.ended_steps or state.attempted or state.waits or state.announced or state.taken)


def was_judged(state: RunState) -> bool:
    """Whether the run ended before its first step, because the sandbox refused its plan."""
    end = state.end
    return isinstance(end, RunRejected) and end.error_code == _JUDGED and end.step_id is None and not state.ended_steps


def hash_of_run(state: RunState, success: bool, error_code: str | None) -> str:
    """The workflow hash of a run that ends like this."""
    started = state.started
    return workflow_hash(started.run_id, started.workflow_type, started.seed, state.step_hashes, success, error_code)
