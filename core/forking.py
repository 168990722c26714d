"""Forks: what a run that goes another way takes over from its parent, as a pure function of the parent's events.

Of a spec everything is taken over that is neither the step forked from, nor downstream of it or of a changed value; a
failure that aborted the run is not. Of a function it is the calls whose paths come before the one forked from, in the
order in which they ended, with the patches and attributes that came with them. `docs/forks.md` says what can be
changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from .canonical import Payload, canonical_json
from .changes import Changes, replaced
from .code_state import CodeState
from .decision import outcome_hash
from .errors import CallError, Problem
from .events import (
    AttributesSet,
    Event,
    Fork,
    PatchApplied,
    RunCancelling,
    RunFailed,
    RunRejected,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepReused,
)
from .hashing import sha256_hex
from .paths import is_path, order_of
from .plan import PlannedStep, merge_inputs
from .references import INPUTS, TextTooLongError, UnresolvedReferenceError
from .run_state import RunState
from .sensitive import hide
from .spec_state import SpecState
from .state import evolve, fold, start

_Outcome = StepCompleted | StepFailed | StepReused


class Parent(NamedTuple):
    """The run that is forked: its events up to the head as it was read, and that event's chain hash."""

    events: Sequence[Event]
    hash: str

    def state(self) -> RunState:
        """Where it stands."""
        return fold(self.events)


class Wanted(NamedTuple):
    """What the fork is to be: its id, when and by whom it is made, and where it is worked on (None: as the parent).

    Without `from_step` only what follows from the changes runs again.
    """

    run_id: str
    from_step: str | None
    changes: Changes
    at: int
    by: str = ""
    queue: str | None = None


def first_failed(state: RunState) -> str | None:
    """The step at which to fork a failed run in order to try again; None for a function that failed by itself: all its
    calls are kept. Raises CallError for a run that has not failed, or that no step made fail."""
    end = state.end
    if not isinstance(end, RunFailed):
        reason = f"run {state.started.run_id!r} is {state.status}: only a failed run has a failed step to retry"
        raise CallError(Problem("", reason, "fork it from a step of your choice: refold fork RUN --from-step STEP"))
    if end.step_id is None and isinstance(state, SpecState) and isinstance(end, RunRejected):
        reason = f"run {state.started.run_id!r} was rejected before its first step: {end.message}"
        raise CallError(Problem("", reason, "change what was refused, and start it anew"))
    if end.step_id is None and isinstance(state, SpecState):
        reason = f"run {state.started.run_id!r} failed by its own output, after all its steps had ended"
        raise CallError(Problem("", reason, "mend the spec's output, and start it anew"))
    known = not isinstance(state, CodeState) or any(each.step_id == end.step_id for each in state.calls.values())
    return end.step_id if known else None


def forked(parent: Parent, wanted: Wanted, before: str | None = None) -> list[Event]:
    """The first events of the fork: `run.started` and what it takes over.

    Of a function only calls whose paths come before `before` are taken over, and those that were given an output.
    Raises CallError with the pointer of each change that cannot be.
    """
    state = parent.state()
    started = _started(parent, state, wanted)
    fork = start(started)
    if isinstance(state, SpecState) and isinstance(fork, SpecState):
        return [started, *_of_spec(parent, state, fork, wanted)]
    if isinstance(state, CodeState):
        return [started, *_of_function(parent, state, fork, wanted, before)]
    raise TypeError(type(state).__name__)


def path_of(state: CodeState, step: str) -> str:
    """The path of a recorded call, given by its step id or as a path. Raises CallError for one that is none."""
    for path, called in state.calls.items():
        if step in (path, called.step_id):
            return path
    known = ", ".join(called.step_id for called in list(state.calls.values())[:20]) or "none"
    raise CallError(Problem("", f"the run has recorded no call {step!r}", f"it has: {known}"))


def _started(parent: Parent, state: RunState, wanted: Wanted) -> RunStarted:
    old = state.started
    inputs = old.inputs
    if wanted.changes.inputs and inputs.hidden is not None:
        pointer = wanted.changes.inputs[0].pointer
        raise CallError(Problem(pointer, "the run's inputs are sensitive, and cannot be changed", "start a new run"))
    for pointer, path, value in wanted.changes.inputs:
        # A function's parameters may have defaults, which are not recorded.
        new = replaced(inputs.value, path, value, pointer, may_add=isinstance(state, CodeState) and len(path) == 1)
        if not isinstance(new, dict):
            raise CallError(Problem(pointer, "the inputs must be an object", "give names with values"))
        inputs = Payload.of(cast("dict[str, Any]", new))
    if isinstance(state, SpecState) and wanted.changes.inputs:
        inputs = Payload.of(merge_inputs(state.plan, inputs.value))
    began = old.at if old.forked is None else old.forked.began
    return replace(
        old,
        at=wanted.at,
        run_id=wanted.run_id,
        inputs=inputs,
        queue=old.queue if wanted.queue is None else wanted.queue,
        parent=None,
        awaited=None,
        continues=None,
        forked=Fork(old.run_id, len(parent.events), parent.hash, began, wanted.by),
        trace=None,
    )


def _recorded(events: Iterable[Event]) -> Iterator[tuple[int, _Outcome]]:
    for number, event in enumerate(events, 1):
        if isinstance(event, RunCancelling):
            return  # From here on a function only cleans up.
        if isinstance(event, _Outcome):
            yield number, event


def _reused(number: int, event: _Outcome, at: int) -> StepReused:
    if isinstance(event, StepReused):
        return replace(event, at=at, version=number, given=False)
    completed = isinstance(event, StepCompleted)
    return StepReused(
        at,
        event.index,
        event.step_id,
        event.skill_id,
        event.skill_version,
        event.attempt,
        event.inputs,
        event.inputs_hash,
        event.output if completed else _NULL,
        None if completed else event.error_code,
        "" if completed else event.message,
        event.step_hash,
        number,
        event.at,
        False,
    )


_NULL = Payload.of(None)


def _given(state: RunState, event: StepReused, inputs_hash: str, changes: Changes) -> StepReused:
    """The outcome with the output that was given for it."""
    output = event.output
    for pointer, path, value in changes.outputs[event.step_id]:
        if event.error_code is not None and path:
            raise CallError(Problem(pointer, f"step {event.step_id!r} failed and has no output", "give all of it"))
        made = Payload.of(replaced(output.revealed().value, path, value, pointer))
        output = made if output.hidden is None else hide(made, event.step_id)
    hashed = outcome_hash(state, event, inputs_hash, True, output.sha256, None)
    return replace(
        event, inputs_hash=inputs_hash, output=output, error_code=None, message="", step_hash=hashed, given=True
    )


def _of_spec(parent: Parent, state: SpecState, fork: SpecState, wanted: Wanted) -> Iterator[StepReused]:
    plan, changes = state.plan, wanted.changes
    recorded = {event.index: (number, event) for number, event in _recorded(parent.events)}
    if wanted.from_step is not None and wanted.from_step not in plan.index_of:
        known = ", ".join(step.step_id for step in plan.steps[:20])
        raise CallError(Problem("", f"the spec has no step {wanted.from_step!r}", f"it has: {known}"))
    for step_id in changes.outputs:
        _check_ended(step_id, plan.index_of.get(step_id) in recorded, changes)
    again = _again(state, fork, wanted)
    for index in sorted(index for index in recorded if isinstance(index, int)):
        step = plan.steps[index]
        if step.step_id in changes.outputs and (index in again or again.intersection(step.dependencies)):
            pointer = changes.outputs[step.step_id][0].pointer
            reason = f"step {step.step_id!r} runs again, or one that it depends on does"
            raise CallError(Problem(pointer, reason, "fork from a later step, or give outputs of earlier ones"))
        if index in again:
            continue
        event = _reused(*recorded[index], wanted.at)
        if step.step_id in changes.outputs:
            event = _given(fork, event, _inputs_hash(fork, step, changes), changes)
        evolve(fork, event)
        yield event


def _check_ended(step_id: str, ended: bool, changes: Changes) -> None:
    if not ended:
        reason = f"step {step_id!r} has no recorded outcome, and only that can be replaced"
        fix = "name a step that has completed or failed; of one that was skipped, give what it depends on"
        raise CallError(Problem(changes.outputs[step_id][0].pointer, reason, fix))


def _again(state: SpecState, fork: RunState, wanted: Wanted) -> set[int]:
    """The indexes of the steps that are not taken over."""
    plan, given = state.plan, {state.plan.index_of[step_id] for step_id in wanted.changes.outputs}
    old, new = state.inputs, fork.inputs
    changed = {name for name in {*old, *new} if name not in old or name not in new or _differ(old[name], new[name])}
    todo = [step.index for step in plan.steps if _refers(step, changed) or _aborted(state, step)]
    todo = [index for index in todo if index not in given]
    todo += [dependent for index in given for dependent in plan.steps[index].dependents if dependent not in given]
    if wanted.from_step is not None:
        todo.append(plan.index_of[wanted.from_step])
    again: set[int] = set()
    while todo:
        index = todo.pop()
        if index not in again:
            again.add(index)
            todo += plan.steps[index].dependents
    return again


def _differ(old: Any, new: Any) -> bool:
    return canonical_json(old) != canonical_json(new)


def _refers(step: PlannedStep, changed: set[str]) -> bool:
    templates = [step.inputs] if step.idempotency_key is None else [step.inputs, step.idempotency_key]
    found = [each for template in templates for each in template.references if each.root == INPUTS]
    return bool(changed) and any(not each.path or each.path[0] in changed for each in found)


def _aborted(state: SpecState, step: PlannedStep) -> bool:
    outcome = state.outcomes[step.index]
    return outcome is not None and outcome.status == "failed" and step.on_error == "abort"


def _inputs_hash(fork: SpecState, step: PlannedStep, changes: Changes) -> str:
    try:
        return sha256_hex(canonical_json(step.inputs.resolve(fork)))
    except (UnresolvedReferenceError, TextTooLongError) as error:
        pointer = changes.outputs[step.step_id][0].pointer
        reason = f"the inputs of step {step.step_id!r} cannot be resolved any more: {error}"
        raise CallError(Problem(pointer, reason, "give outputs that have what it refers to")) from None


def _of_function(
    parent: Parent, state: CodeState, fork: RunState, wanted: Wanted, before: str | None
) -> Iterator[Event]:
    changes = wanted.changes
    given = {path_of(state, step): step for step in changes.outputs}
    limits = [path_of(state, wanted.from_step)] if wanted.from_step is not None else []
    limits += [] if before is None else [before]
    limit = min(map(order_of, limits), default=None)
    for path, step in given.items():
        _check_ended(step, path in state.outcomes, changes)
        if limit is not None and order_of(path) >= limit:
            reason = f"the call {step!r} runs again, for it does not come before {min(limits, key=order_of)}"
            raise CallError(Problem(changes.outputs[step][0].pointer, reason, "fork from a later call"))
    recorded = dict(_recorded(parent.events))
    takes = True  # What stands before any outcome comes of the function's beginning.
    # What was set after something had changed may not be what the function would set now; it will set it again.
    unchanged = not changes.inputs
    for number, event in enumerate(parent.events, 1):
        if isinstance(event, RunCancelling):
            return
        if takes and (isinstance(event, PatchApplied) or (unchanged and isinstance(event, AttributesSet))):
            yield replace(event, at=wanted.at)
        if number not in recorded:
            continue
        path = str(recorded[number].index)
        takes = is_path(path) and (limit is None or order_of(path) < limit)
        if takes:
            reused = _reused(number, recorded[number], wanted.at)
            step = given.get(path)
            unchanged = unchanged and step is None
            own = Changes(changes.inputs, {reused.step_id: changes.outputs[step]}) if step is not None else changes
            yield reused if step is None else _given(fork, reused, reused.inputs_hash or "", own)
