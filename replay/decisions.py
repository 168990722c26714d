"""The proof of decisions: fed with the recorded outcomes, the plan asks for the same steps and comes to the same end.

For a spec: every outcome is of a step that `decide` has asked for by then, with the inputs that follow from the
outcomes before, and what follows without a skill (skipped steps, the run's end) is what is recorded. The plan is the
recorded one, or that of another version of the spec: then steps are found by their ids. A function is driven through
its history by `refold.core.runtime.replay.replay_code`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core.canonical import canonical_json
from ..core.decide import decide
from ..core.decision import is_judgement
from ..core.errors import RefoldError
from ..core.events import Event, RunCompleted, RunFailed, RunStarted, StepCompleted, StepFailed, StepReused, StepSkipped
from ..core.hashing import sha256_hex
from ..core.limits import Limits
from ..core.plan import Plan
from ..core.spec_state import SpecState
from ..core.state import evolve
from ..core.step_events import StepIndex
from .verdicts import Divergence

_NO_LIMITS = Limits(payload_bytes=2**62, parallel_steps=2**31)
_ADVICE = "let runs that have begun end with the spec that they began with, or fork them; new runs may take the new one"


def prove_decisions(started: RunStarted, events: Sequence[Event], plan: Plan, *, recorded: bool) -> Divergence | None:
    """The first event that `plan` does not ask for; None if it asks for all. `recorded` tells that it is the run's own.

    `events` are those of a spec's run that began with `started`, and whose fold was proved.
    """
    state = SpecState(started, plan)
    for number, event in enumerate(events[1:], 2):
        try:
            found = _unasked(state, event) if recorded else _otherwise(state, event)
            if found is None:
                evolve(state, _moved(state, event))
        except RefoldError as error:
            found = str(error)
        if found is not None:
            return _diverged(number, event, found)
        if isinstance(event, RunCompleted | RunFailed):
            break
    return None


def _unasked(state: SpecState, event: Event) -> str | None:
    """Why `decide` would not have asked for what has happened."""
    if isinstance(event, StepCompleted | StepFailed | StepReused):
        if not _is_open(state, event.index) or event.index in state.skippable:
            return f"step {event.step_id!r} was not to be run when it ended"
    elif isinstance(event, StepSkipped | RunCompleted | RunFailed) and not is_judgement(state, event):
        forced = decide(state, event.at, state.ready, _NO_LIMITS).events
        if type(event) not in map(type, forced):
            return f"{event.topic} was recorded where the rules ask for {forced[0].topic if forced else 'nothing'}"
    return None


def _is_open(state: SpecState, index: StepIndex) -> bool:
    """Whether the step's dependencies have ended, and it has not; as its place in `ready`, but found at once."""
    return isinstance(index, int) and not state.unmet[index] and state.outcomes[index] is None


def _otherwise(state: SpecState, event: Event) -> str | None:
    """What another plan asks for instead."""
    if isinstance(event, RunCompleted | RunFailed):
        if is_judgement(state, event):
            return None
        forced = decide(state, event.at, state.ready, _NO_LIMITS).events
        if not forced:
            left = ", ".join(state.plan.steps[index].step_id for index in state.ready[:5])
            return f"the run ended, but would still run {left}"
        return _end_differs(event, forced[0])
    moved = _moved(state, event)
    if not isinstance(moved, StepCompleted | StepFailed | StepReused):
        return None
    index = moved.index
    step = state.plan.steps[int(index)]
    if not _is_open(state, index):
        return f"step {step.step_id!r} would not run yet: it depends on steps that had not ended"
    if step.skill_id != moved.skill_id:
        return f"step {step.step_id!r} ran {moved.skill_id}, and would run {step.skill_id}"
    if moved.inputs_hash is not None:
        inputs = sha256_hex(canonical_json(step.inputs.resolve(state)))
        if inputs != moved.inputs_hash:
            return f"step {step.step_id!r} would have other inputs"
    return None


def _end_differs(event: RunCompleted | RunFailed, again: Event) -> str | None:
    for name in ("topic", "output_hash", "error_code"):
        then, now = getattr(event, name, None), getattr(again, name, None)
        if then != now:
            return f"the run would end with {name} {now} instead of {then}"
    return None


def _moved(state: SpecState, event: Event) -> Event:
    """The event with the index that its step has in the plan of `state`. Raises KeyError, told as a divergence."""
    step_id = getattr(event, "step_id", None)
    if not isinstance(step_id, str) or not hasattr(event, "index"):
        return event
    index = state.plan.index_of.get(step_id)
    if index is None:
        raise _Gone(f"the step {step_id!r} is no more")
    changed: Any = event
    return event if changed.index == index else replace(changed, index=index)


class _Gone(RefoldError):
    """A recorded step that the plan does not have."""


def _diverged(number: int, event: Event, why: str) -> Divergence:
    return Divergence(
        kind="CODE_CHANGE",
        message=f"event {number} ({event.topic}): {why}",
        event=number,
        step_id=getattr(event, "step_id", None),
        recorded=event.topic,
        now=why,
        recorded_hash=getattr(event, "step_hash", None) or getattr(event, "workflow_hash", None),
        cause="the spec's steps, their inputs or their order are others than those of the recorded run",
        advice=_ADVICE,
    )
