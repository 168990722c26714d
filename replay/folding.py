"""The fold proof: folding the events again gives the hashes that they record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.canonical import Payload
from ..core.decide import cancel, end_by_steps, outcome_hash, time_out
from ..core.errors import RefoldError
from ..core.events import (
    Event,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunStarted,
    RunTimedOut,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from ..core.ids import stream_of
from ..core.limits import Limits
from ..core.ports import Record
from ..core.state import RunState, evolve, start
from ..eventstore.codec import decode
from .findings import Finding

_NO_LIMITS = Limits(payload_bytes=2**62)


def prove_fold(
    stream: str, records: Sequence[Record], large: Mapping[str, bytes]
) -> tuple[RunState | None, list[Finding]]:
    """The state that the events fold to, and the first fault on the way; after a fault the fold cannot go on."""
    state: RunState | None = None
    for record in records:
        try:
            event = decode(record, large)
            if state is None:
                state = start(event)
                fault = _identity(state, stream)
            else:
                fault = _fault(state, event)
                evolve(state, event)
        except RefoldError as error:
            return state, [Finding(stream, record.version, "impossible", str(error))]
        if fault is not None:
            return state, [Finding(stream, record.version, *fault)]
    return state, []


Fault = tuple[str, str]
"""A finding's kind and reason."""


def _identity(state: RunState, stream: str) -> Fault | None:
    started = state.started
    if stream_of(started.tenant, started.run_id) != stream:
        return "identity", f"it starts run {started.tenant}/{started.run_id}, which is another one"
    if state.plan.spec.workflow_type != started.workflow_type:
        return "identity", f"it names type {started.workflow_type!r}, its spec {state.plan.spec.workflow_type!r}"
    return None


def _fault(state: RunState, event: Event) -> Fault | None:
    """What is wrong with `event`, compared with what follows from the state before it."""
    if isinstance(event, StepCompleted):
        return _step_completed(state, event)
    if isinstance(event, StepFailed):
        hashed = outcome_hash(state, event.index, event.inputs_hash, False, None, event.error_code)
        return _differs("step_hash", event.step_hash, hashed)
    if isinstance(event, StepSkipped):
        return _differs("step_hash", event.step_hash, outcome_hash(state, event.index, None, None, None, None))
    if isinstance(event, RunCompleted | RunFailed):
        return _run_ended(state, event)
    if isinstance(event, RunCancelled):
        again = cancel(state, event.at, event.message, event.reason)
        return _differs("workflow_hash", event.workflow_hash, again.workflow_hash)
    if isinstance(event, RunTimedOut):
        return _differs("workflow_hash", event.workflow_hash, time_out(state, event.at).workflow_hash)
    if isinstance(event, RunStarted):
        return "impossible", "a run starts once"
    return None


def _step_completed(state: RunState, event: StepCompleted) -> Fault | None:
    step = state.plan.steps[event.index]
    if step.skill_id != event.skill_id:
        return "hash", f"it ran skill {event.skill_id!r}, the spec says {step.skill_id!r}"
    inputs = Payload.of(step.inputs.resolve(state))
    hashed = outcome_hash(state, event.index, event.inputs_hash, True, event.output_hash, None)
    return (
        _differs("inputs_hash", event.inputs_hash, inputs.sha256)
        or _differs("output_hash", event.output_hash, event.output.sha256)
        or _differs("step_hash", event.step_hash, hashed)
    )


def _run_ended(state: RunState, event: RunCompleted | RunFailed) -> Fault | None:
    if state.leading < state.counted:
        return None  # evolve() refuses it, with the reason.
    again = end_by_steps(state, event.at, _NO_LIMITS)
    if isinstance(event, RunFailed) and event.error_code == "OUTPUT_TOO_LARGE" and event.step_id is None:
        return None if isinstance(again, RunCompleted) else ("impossible", "the output could not be made at all")
    if type(again) is not type(event):
        return "impossible", f"the steps lead to {again.topic}"
    if isinstance(event, RunCompleted) and isinstance(again, RunCompleted):
        fault = _differs("output_hash", event.output_hash, event.output.sha256) or _differs(
            "output_hash", event.output_hash, again.output_hash
        )
        if fault is not None:
            return fault
    return _differs("workflow_hash", event.workflow_hash, again.workflow_hash)


def _differs(name: str, recorded: str, again: str) -> Fault | None:
    if recorded == again:
        return None
    return "hash", f"{name} is recorded as {recorded[:16]}…, folding gives {again[:16]}…"
