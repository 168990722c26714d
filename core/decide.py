"""What to do next in a spec's run, as a pure function of its state: the rules of the engine.

The rules give what serial execution would give, always taking the lowest index whose dependencies have ended: on an
abort lower indexes are let finish and the lowest aborting step decides; how fast anything was plays no part.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .code_state import CodeState
from .decision import (
    NOTHING,
    Decision,
    ended_waits,
    executions,
    hash_of_run,
    interrupted,
    outcome_hash,
    run_failed,
    time_out,
    wakes_at,
)
from .errors import NotCanonicalError
from .events import Event, RunCompleted, RunFailed, StepSkipped
from .limits import Limits, exceeds
from .ports import NEVER
from .references import FAILED, TextTooLongError, UnresolvedReferenceError
from .run_state import RunState
from .sensitive import sinks_output, spec_output
from .spec_state import SpecState
from .step_events import StepIndex


def decide(state: SpecState, at: int, running: Collection[StepIndex], limits: Limits) -> Decision:
    """What follows from `state` at the time `at`, while the steps of the indexes `running` are being executed."""
    if state.end is not None:
        return NOTHING
    if state.leading >= state.counted:
        return Decision(events=(end_by_steps(state, at, limits),))
    deadline = state.deadline
    if deadline is not None and at >= deadline:
        return Decision(events=(time_out(state, at),))
    if state.paused or state.parked is not None:
        return Decision(wake=deadline)
    if state.skippable or state.announced:
        events = _forced_outcomes(state, at, running)
        if events:
            return Decision(events=events)
    if state.waits:
        ended = ended_waits(state, at)
        if ended:
            return Decision(events=ended)
    if len(state.ready) == len(running) and not state.attempted:
        return NOTHING if deadline is None else Decision(wake=deadline)
    ready = state.ready if state.abort_at is None else state.in_order(state.ready)
    return executions(state, at, ready, running, limits.parallel_steps - len(running))


def due_of(state: RunState) -> int:
    """From when on the run can be worked on, as its log alone says: its start if there is something to do now.

    What a function would do now only running it can tell: unless it waits for something, it is taken to be due.
    """
    started = state.started.at
    if isinstance(state, SpecState):
        decision = decide(state, started, (), Limits())
        if decision.events or decision.execute:
            return started
        return NEVER if decision.wake is None else decision.wake
    if state.paused or state.parked is not None:
        return NEVER if state.deadline is None else state.deadline
    # Taken on behalf of nobody (a resume of a paused run takes all that had come), it wants somebody to go on.
    if any(state.signals.get(wait.signal or "") or wait.child in state.children for wait in state.waits.values()):
        return started
    if any(approval.standing != "open" for approval in state.approvals.values()):
        return started
    timers = [until for index in state.waits if (until := wakes_at(state, index)) is not None]
    timers += [pending.due for pending in state.attempted.values()]
    if state.deadline is not None:
        timers.append(state.deadline)
    rests = isinstance(state, CodeState) and (state.waits or state.attempted)
    return min(timers, default=NEVER) if rests else started


def _forced_outcomes(state: SpecState, at: int, running: Collection[StepIndex]) -> list[Event]:
    """Outcomes that need no execution: steps to skip, and at-most-once steps that a crash cut off."""
    events: list[Event] = []
    for index in state.in_order(state.skippable):
        step = state.plan.steps[index]
        hashed = outcome_hash(state, step, None, None, None, None)
        events.append(StepSkipped(at, index, step.step_id, step.skill_id, state.doomed[index], hashed))
    for index in state.in_order(state.announced):
        if index not in running:
            events.append(interrupted(state, at, state.plan.steps[index]))
    return events


def end_by_steps(state: SpecState, at: int, limits: Limits) -> RunCompleted | RunFailed:
    """The event that ends a run all of whose counted steps have ended."""
    if state.abort_at is not None:
        outcome = state.outcomes[state.abort_at]
        code = (outcome and outcome.error_code) or "INTERNAL_ERROR"
        message = (outcome and outcome.message) or ""
        return run_failed(state, at, state.plan.steps[state.abort_at].step_id, code, message)
    try:
        value = _output_value(state)
        if exceeds(value, limits.payload_bytes):
            return run_failed(state, at, None, "OUTPUT_TOO_LARGE", f"output: more than {limits.payload_bytes} bytes")
        template = state.plan.output
        output = sinks_output(state, value) if template is None else spec_output(state, template, value)
    except UnresolvedReferenceError as error:
        return run_failed(state, at, None, "REFERENCE_UNRESOLVED", f"output: {error}")
    except NotCanonicalError as error:
        return run_failed(state, at, None, "OUTPUT_INVALID", f"output: {error}")
    except TextTooLongError as error:
        return run_failed(state, at, None, "OUTPUT_TOO_LARGE", f"output: {error}")
    if len(output) > limits.payload_bytes:
        reason = f"output: {len(output)} bytes, more than {limits.payload_bytes}"
        return run_failed(state, at, None, "OUTPUT_TOO_LARGE", reason)
    return RunCompleted(at, output, output.sha256, hash_of_run(state, True, None), state.cost_cents)


def _output_value(state: SpecState) -> Any:
    """The run's output: its template resolved, or by step id the outputs of the steps nobody depends on."""
    plan = state.plan
    if plan.output is not None:
        return plan.output.resolve(state)
    outputs = {plan.steps[index].step_id: state.output(plan.steps[index].step_id) for index in plan.sinks}
    return {step_id: None if value is FAILED else value for step_id, value in outputs.items()}
