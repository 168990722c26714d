"""A run's state, and `evolve`: the only thing that changes it.

The state is a fold of the run's events and of nothing else: no clock, no configuration, nothing about tasks that
happen to be running. Folding the same events anywhere gives the same state.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from .canonical import Payload
from .errors import IntegrityError
from .events import (
    Event,
    MessageRefused,
    RunCancelled,
    RunCompleted,
    RunEnd,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    RunTimedOut,
    SignalReceived,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from .plan import Plan, plan_of
from .references import FAILED

Status = Literal["running", "waiting", "paused", "completed", "failed", "cancelled", "timed_out"]
"""Where a run stands, as far as the log alone can say."""


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


FIRST = Pending(1, 0, 0)
"""A step that was never tried."""


class RunState:
    """All that the log says of one run.

    `outcomes[i]` is the outcome of the step of index i, or None. `ready` lists, sorted, the indexes whose
    dependencies have ended and which have no outcome yet. `doomed` maps steps that must not run to the dependency to
    blame, and `skippable` holds those of them whose turn has come. `leading` counts the steps that have ended without
    a gap from index 0. `abort_at` is the lowest index that failed with `abort`, and `counted` how many steps, from
    index 0, belong to the result: all, or those up to there. `deadline` is when the run times out, in microseconds
    since the epoch. `waits` holds the steps that wait, `signals` by name those that came and that no step has used
    yet. `taken` is the version of the last inbox message taken.
    """

    __slots__ = (
        "abort_at",
        "announced",
        "attempted",
        "cost_cents",
        "counted",
        "deadline",
        "doomed",
        "end",
        "ended_steps",
        "inputs",
        "leading",
        "outcomes",
        "paused",
        "plan",
        "ready",
        "signals",
        "skippable",
        "started",
        "taken",
        "unmet",
        "waits",
    )

    def __init__(self, started: RunStarted, plan: Plan):
        self.started = started
        self.plan = plan
        self.inputs: dict[str, Any] = started.inputs.value
        self.outcomes: list[Outcome | None] = [None] * len(plan.steps)
        self.unmet = [len(step.dependencies) for step in plan.steps]
        self.ready = [step.index for step in plan.steps if not step.dependencies]
        self.doomed: dict[int, str] = {}
        self.skippable: set[int] = set()
        self.attempted: dict[int, Pending] = {}
        self.announced: set[int] = set()
        self.waits: dict[int, StepWaiting] = {}
        self.signals: dict[str, deque[Payload]] = {}
        self.leading = 0
        self.ended_steps = 0
        self.abort_at: int | None = None
        self.counted = len(plan.steps)
        seconds = plan.spec.timeout_seconds
        self.deadline = None if seconds is None else started.at + int(seconds * 1_000_000)
        self.cost_cents: float = 0
        self.paused = False
        self.taken = 0
        self.end: RunEnd | None = None

    @property
    def status(self) -> Status:
        """Where the run stands, as the log says it."""
        if self.end is not None:
            return _END_STATUS[type(self.end)]
        if self.paused:
            return "paused"
        idle = self.waits and all(index in self.waits or index in self.attempted for index in self.ready)
        return "waiting" if idle else "running"

    @property
    def step_hashes(self) -> list[str | None]:
        """The hashes of the counted steps in index order, None where nothing has ended."""
        return [outcome and outcome.step_hash for outcome in self.outcomes[: self.counted]]

    def output(self, step_id: str) -> Any:
        """A step's output as references see it: `FAILED` for one that failed and let the run go on, or was skipped."""
        outcome = self.outcomes[self.plan.index_of[step_id]]
        return FAILED if outcome is None or outcome.output is None else outcome.output.value


def start(event: Event) -> RunState:
    """The state after a run's first event. Raises IntegrityError if that is not `run.started`."""
    if not isinstance(event, RunStarted):
        raise IntegrityError(f"a run must begin with run.started, not {event.topic}")
    return RunState(event, plan_of(event.spec.data))


def evolve(state: RunState, event: Event) -> None:
    """Apply `event` to `state`, in place.

    Raises IntegrityError for an event that cannot follow: an unknown step, a second outcome, anything after the end.
    """
    if state.end is not None:
        raise IntegrityError(f"{event.topic} after the run has ended")
    handler = _HANDLERS.get(type(event))
    if handler is None:
        raise IntegrityError(f"{event.topic} cannot occur here")
    handler(state, event)


def fold(events: Iterable[Event]) -> RunState:
    """The state after `events`. Raises IntegrityError when they are no possible history."""
    iterator = iter(events)
    first = next(iterator, None)
    if first is None:
        raise IntegrityError("no events")
    state = start(first)
    for event in iterator:
        evolve(state, event)
    return state


def _open_step(state: RunState, index: int, step_id: str, topic: str) -> None:
    steps = state.plan.steps
    if not 0 <= index < len(steps) or steps[index].step_id != step_id:
        raise IntegrityError(f"{topic} names step {step_id!r} at index {index}, which the plan does not have")
    if state.outcomes[index] is not None:
        raise IntegrityError(f"{topic}: step {step_id!r} already has an outcome")
    if state.unmet[index]:
        raise IntegrityError(f"{topic}: step {step_id!r} has dependencies that have not ended")


def _close(state: RunState, index: int, outcome: Outcome, blame: str | None) -> None:
    """Record `outcome` of the step; `blame` is the step to name when dependents must be skipped."""
    state.outcomes[index] = outcome
    state.ended_steps += 1
    state.attempted.pop(index, None)
    state.announced.discard(index)
    state.waits.pop(index, None)
    state.skippable.discard(index)
    ready = state.ready
    del ready[bisect_left(ready, index)]
    for dependent in state.plan.steps[index].dependents:
        if blame is not None:
            # The lowest of several is to blame, whichever ended first.
            known = state.doomed.get(dependent)
            if known is None or index < state.plan.index_of[known]:
                state.doomed[dependent] = blame
        state.unmet[dependent] -= 1
        if not state.unmet[dependent]:
            insort(ready, dependent)
            if dependent in state.doomed:
                state.skippable.add(dependent)
    outcomes, leading = state.outcomes, state.leading
    while leading < len(outcomes) and outcomes[leading] is not None:
        leading += 1
    state.leading = leading


def _step_started(state: RunState, event: StepStarted) -> None:
    _open_step(state, event.index, event.step_id, event.topic)
    state.announced.add(event.index)


def _step_waiting(state: RunState, event: StepWaiting) -> None:
    _open_step(state, event.index, event.step_id, event.topic)
    if event.index in state.waits:
        raise IntegrityError(f"{event.topic}: step {event.step_id!r} waits already")
    state.waits[event.index] = event
    state.announced.discard(event.index)
    state.cost_cents += event.cost_cents


def _signal_received(state: RunState, event: SignalReceived) -> None:
    state.signals.setdefault(event.name, deque()).append(event.body)
    state.taken = event.message


def _consume(state: RunState, event: StepCompleted) -> None:
    """Check that a wait ended with what it waited for, and use the signal up."""
    wait = state.waits[event.index]
    if wait.signal is None:
        wanted = wait.output
    elif state.signals.get(wait.signal):
        wanted = state.signals[wait.signal].popleft()
    else:
        raise IntegrityError(f"{event.topic}: the signal {wait.signal!r} had not come")
    if event.output_hash != wanted.sha256:
        raise IntegrityError(f"{event.topic}: the output is not what step {event.step_id!r} waited for")


def _step_attempt_failed(state: RunState, event: StepAttemptFailed) -> None:
    _open_step(state, event.index, event.step_id, event.topic)
    spent = state.attempted.get(event.index, FIRST).cost_cents + event.cost_cents
    state.attempted[event.index] = Pending(event.attempt + 1, event.retry_at, spent)
    state.announced.discard(event.index)
    state.cost_cents += event.cost_cents


def _step_completed(state: RunState, event: StepCompleted) -> None:
    index = event.index
    _open_step(state, index, event.step_id, event.topic)
    spent = state.attempted.get(index, FIRST).cost_cents + event.cost_cents
    if index in state.waits:
        spent += state.waits[index].cost_cents
        _consume(state, event)
    _close(
        state,
        index,
        Outcome("completed", event.attempt, event.inputs_hash, event.output, None, None, event.step_hash, spent),
        None,
    )
    state.cost_cents += event.cost_cents


def _step_failed(state: RunState, event: StepFailed) -> None:
    index = event.index
    _open_step(state, index, event.step_id, event.topic)
    on_error = state.plan.steps[index].on_error
    spent = state.attempted.get(index, FIRST).cost_cents + event.cost_cents
    if index in state.waits:
        spent += state.waits[index].cost_cents
    outcome = Outcome(
        "failed", event.attempt, event.inputs_hash, None, event.error_code, event.message, event.step_hash, spent
    )
    _close(state, index, outcome, event.step_id if on_error == "skip" else None)
    if on_error == "abort" and (state.abort_at is None or index < state.abort_at):
        state.abort_at = index
        state.counted = index + 1
    state.cost_cents += event.cost_cents


def _step_skipped(state: RunState, event: StepSkipped) -> None:
    _open_step(state, event.index, event.step_id, event.topic)
    if event.index not in state.skippable:
        raise IntegrityError(f"{event.topic}: step {event.step_id!r} has no reason to be skipped")
    outcome = Outcome("skipped", 0, None, None, None, f"depends on {event.because}", event.step_hash, 0)
    _close(state, event.index, outcome, event.step_id)


def _paused(state: RunState, event: RunPaused) -> None:
    state.paused = True
    state.taken = event.message


def _resumed(state: RunState, event: RunResumed) -> None:
    state.paused = False
    state.taken = event.message


def _message_refused(state: RunState, event: MessageRefused) -> None:
    state.taken = event.message


def _completed(state: RunState, event: RunCompleted | RunFailed) -> None:
    if state.leading < state.counted:
        raise IntegrityError(f"{event.topic} while step {state.plan.steps[state.leading].step_id!r} has no outcome")
    state.end = event


def _cancelled(state: RunState, event: RunCancelled) -> None:
    state.taken = event.message
    state.end = event


def _timed_out(state: RunState, event: RunTimedOut) -> None:
    state.end = event


_END_STATUS: dict[type[RunEnd], Status] = {
    RunCompleted: "completed",
    RunFailed: "failed",
    RunCancelled: "cancelled",
    RunTimedOut: "timed_out",
}

_HANDLERS: dict[type[Any], Callable[[RunState, Any], None]] = {
    StepStarted: _step_started,
    StepWaiting: _step_waiting,
    StepAttemptFailed: _step_attempt_failed,
    StepCompleted: _step_completed,
    StepFailed: _step_failed,
    StepSkipped: _step_skipped,
    RunPaused: _paused,
    RunResumed: _resumed,
    SignalReceived: _signal_received,
    MessageRefused: _message_refused,
    RunCompleted: _completed,
    RunFailed: _completed,
    RunCancelled: _cancelled,
    RunTimedOut: _timed_out,
}
