"""What to do next, as a pure function of the state: the rules of the engine.

The rules give what serial execution would give, always taking the lowest index whose dependencies have ended: on an
abort lower indexes are let finish and the lowest aborting step decides; how fast anything was plays no part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .canonical import Payload
from .errors import NotCanonicalError
from .events import (
    Cut,
    Event,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunTimedOut,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepWaiting,
)
from .hashing import step_hash, workflow_hash
from .limits import Limits, exceeds
from .ports import NEVER
from .references import FAILED, TextTooLongError, UnresolvedReferenceError
from .seeds import step_seed
from .state import FIRST, RunState


@dataclass(slots=True)
class Execute:
    """Run attempt number `attempt` of the step at `index`."""

    index: int
    attempt: int


class Decision(NamedTuple):
    """Either `events` to record (apply them and ask again), or what to run now and when to look again.

    `wake` is the earliest time, in microseconds since the epoch, at which the decision may change by itself.
    """

    events: Sequence[Event] = ()
    execute: Sequence[Execute] = ()
    wake: int | None = None


_NOTHING = Decision()


def decide(state: RunState, at: int, running: Collection[int], limits: Limits) -> Decision:
    """What follows from `state` at the time `at`, while the steps of the indexes `running` are being executed."""
    if state.end is not None:
        return _NOTHING
    if state.leading >= state.counted:
        return Decision(events=(end_by_steps(state, at, limits),))
    deadline = state.deadline
    if deadline is not None and at >= deadline:
        return Decision(events=(time_out(state, at),))
    if state.paused:
        return Decision(wake=deadline)
    if state.skippable or state.announced:
        events = _forced_outcomes(state, at, running)
        if events:
            return Decision(events=events)
    if state.waits:
        ended = _ended_waits(state, at)
        if ended:
            return Decision(events=ended)
    if len(state.ready) == len(running) and not state.attempted:
        return _NOTHING if deadline is None else Decision(wake=deadline)
    return _executions(state, at, running, limits.parallel_steps - len(running), deadline)


def due_of(state: RunState) -> int:
    """From when on the run can be worked on, as its log alone says: its start if there is something to do now."""
    decision = decide(state, state.started.at, (), Limits())
    if decision.events or decision.execute:
        return state.started.at
    return NEVER if decision.wake is None else decision.wake


def _executions(state: RunState, at: int, running: Collection[int], slots: int, wake: int | None) -> Decision:
    execute: list[Execute] = []
    horizon = state.counted
    attempted = state.attempted
    for index, wait in state.waits.items():
        if index < horizon and wait.until is not None and (wake is None or wait.until < wake):
            wake = wait.until
    for index in state.ready:
        if index >= horizon or len(execute) >= slots:
            break
        if index in running or index in state.waits:
            continue
        pending = attempted.get(index, FIRST)
        if pending.due <= at:
            execute.append(Execute(index, pending.attempt))
        elif wake is None or pending.due < wake:
            wake = pending.due
    return Decision((), execute, wake)


def _ended_waits(state: RunState, at: int) -> list[StepCompleted | StepFailed]:
    """Outcomes of the waiting steps whose signal has come or whose time is up, by index; each signal ends one wait."""
    events: list[StepCompleted | StepFailed] = []
    used: Counter[str] = Counter()
    for index in sorted(state.waits):
        wait = state.waits[index]
        if index >= state.counted:
            break
        arrived = () if wait.signal is None else state.signals.get(wait.signal, ())
        if wait.signal is not None and len(arrived) > used[wait.signal]:
            events.append(_wait_completed(state, at, wait, arrived[used[wait.signal]]))
            used[wait.signal] += 1
        elif wait.until is not None and at >= wait.until:
            events.append(_time_is_up(state, at, wait))
    return events


def _time_is_up(state: RunState, at: int, wait: StepWaiting) -> StepCompleted | StepFailed:
    if wait.fails is None:
        return _wait_completed(state, at, wait, wait.output)
    message = "the wait took longer than it may" if wait.signal is None else f"no signal {wait.signal!r} came in time"
    return step_failed(
        state, at, wait.index, wait.skill_version, wait.attempt, wait.inputs_hash, wait.fails, message, 0
    )


def _wait_completed(state: RunState, at: int, wait: StepWaiting, output: Payload) -> StepCompleted:
    hashed = outcome_hash(state, wait.index, wait.inputs_hash, True, output.sha256, None)
    return StepCompleted(
        at=at,
        index=wait.index,
        step_id=wait.step_id,
        skill_id=wait.skill_id,
        skill_version=wait.skill_version,
        attempt=wait.attempt,
        inputs_hash=wait.inputs_hash,
        output=output,
        output_hash=output.sha256,
        step_hash=hashed,
        cost_cents=0,
    )


def _forced_outcomes(state: RunState, at: int, running: Collection[int]) -> tuple[Event, ...]:
    """Outcomes that need no execution: steps to skip, and at-most-once steps that a crash cut off."""
    horizon = state.counted
    events: list[Event] = []
    for index in sorted(state.skippable):
        if index < horizon:
            step = state.plan.steps[index]
            hashed = outcome_hash(state, index, None, None, None, None)
            events.append(StepSkipped(at, index, step.step_id, step.skill_id, state.doomed[index], hashed))
    for index in sorted(state.announced):
        if index < horizon and index not in running:
            events.append(
                step_failed(state, at, index, "", 1, None, "INTERRUPTED", "cut off while running; not run again", 0)
            )
    return tuple(events)


def outcome_hash(
    state: RunState,
    index: int,
    inputs_hash: str | None,
    success: bool | None,
    output_hash: str | None,
    error_code: str | None,
) -> str:
    """The step hash of an outcome of the step at `index` of this run."""
    step = state.plan.steps[index]
    seed = step_seed(state.started.seed, index)
    return step_hash(step.step_id, index, step.skill_id, seed, inputs_hash, success, output_hash, error_code)


def step_failed(
    state: RunState,
    at: int,
    index: int,
    skill_version: str,
    attempt: int,
    inputs_hash: str | None,
    error_code: str,
    message: str,
    cost_cents: float,
) -> StepFailed:
    """The event of a step that failed for good."""
    step = state.plan.steps[index]
    return StepFailed(
        at=at,
        index=index,
        step_id=step.step_id,
        skill_id=step.skill_id,
        skill_version=skill_version,
        attempt=attempt,
        inputs_hash=inputs_hash,
        error_code=error_code,
        message=message,
        step_hash=outcome_hash(state, index, inputs_hash, False, None, error_code),
        cost_cents=cost_cents,
    )


def cancel(state: RunState, at: int, message: int, reason: str) -> RunCancelled:
    """The event that ends the run by the inbox message of version `message`."""
    code = "RUN_CANCELLED"
    cut = Cut("cancel", state.ended_steps)
    return RunCancelled(at, message, reason, cut, code, _hash(state, False, code), state.cost_cents)


def time_out(state: RunState, at: int) -> RunTimedOut:
    """The event that ends the run by its own time limit."""
    code = "RUN_TIMEOUT"
    return RunTimedOut(at, Cut("timeout", state.ended_steps), code, _hash(state, False, code), state.cost_cents)


def _hash(state: RunState, success: bool, error_code: str | None) -> str:
    started = state.started
    return workflow_hash(started.run_id, started.workflow_type, started.seed, state.step_hashes, success, error_code)


def end_by_steps(state: RunState, at: int, limits: Limits) -> RunCompleted | RunFailed:
    """The event that ends a run all of whose counted steps have ended."""
    if state.abort_at is not None:
        outcome = state.outcomes[state.abort_at]
        code = (outcome and outcome.error_code) or "INTERNAL_ERROR"
        message = (outcome and outcome.message) or ""
        return _failed(state, at, state.plan.steps[state.abort_at].step_id, code, message)
    try:
        value = _output_value(state)
        if exceeds(value, limits.payload_bytes):
            return _failed(state, at, None, "OUTPUT_TOO_LARGE", f"output: more than {limits.payload_bytes} bytes")
        output = Payload.of(value)
    except UnresolvedReferenceError as error:
        return _failed(state, at, None, "REFERENCE_UNRESOLVED", f"output: {error}")
    except NotCanonicalError as error:
        return _failed(state, at, None, "OUTPUT_INVALID", f"output: {error}")
    except TextTooLongError as error:
        return _failed(state, at, None, "OUTPUT_TOO_LARGE", f"output: {error}")
    if len(output) > limits.payload_bytes:
        reason = f"output: {len(output)} bytes, more than {limits.payload_bytes}"
        return _failed(state, at, None, "OUTPUT_TOO_LARGE", reason)
    return RunCompleted(at, output, output.sha256, _hash(state, True, None), state.cost_cents)


def _failed(state: RunState, at: int, step_id: str | None, code: str, message: str) -> RunFailed:
    return RunFailed(at, step_id, code, message, _hash(state, False, code), state.cost_cents)


def _output_value(state: RunState) -> Any:
    """The run's output: its template resolved, or by step id the outputs of the steps nobody depends on."""
    plan = state.plan
    if plan.output is not None:
        return plan.output.resolve(state)
    outputs = {plan.steps[index].step_id: state.output(plan.steps[index].step_id) for index in plan.sinks}
    return {step_id: None if value is FAILED else value for step_id, value in outputs.items()}
