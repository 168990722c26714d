"""The fold proof: folding the events again gives the hashes that they record.

More is compared than hashes: whatever of an event follows from what came before it (an attempt's number, who is to blame
for a skip, a sum of costs, the inbox message that was taken) has to be what is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.canonical import Payload
from ..core.decide import cancel, end_by_steps, outcome_hash, time_out
from ..core.errors import RefoldError
from ..core.events import (
    SEMANTICS,
    Event,
    MessageRefused,
    MessageSent,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
    RunTimedOut,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from ..core.ids import check_seed, stream_of
from ..core.limits import Limits
from ..core.ports import Record
from ..core.state import RunState, evolve, start
from ..eventstore.codec import decode
from .findings import Finding

_NO_LIMITS = Limits(payload_bytes=2**62)
_NOTHING_FITS = Limits(payload_bytes=-1)

_StepEvent = StepStarted | StepAttemptFailed | StepCompleted | StepFailed | StepSkipped
_Taken = RunPaused | RunResumed | RunCancelled | MessageRefused
_ASKED_BY: dict[type[Event], str] = {RunPaused: "pause", RunResumed: "resume", RunCancelled: "cancel"}

Fault = tuple[str, str]
"""A finding's kind and reason."""


def prove_fold(
    stream: str, records: Sequence[Record], large: Mapping[str, bytes], messages: Sequence[Record] = ()
) -> tuple[RunState | None, list[Finding]]:
    """The state that the events fold to, and the first fault on the way; after a fault the fold cannot go on.

    `messages` are the records of the run's inbox; each must be a message, and what the run took must be among them.
    """
    sent: list[MessageSent] = []
    state: RunState | None = None
    for record in [*messages, *records]:
        try:
            event = decode(record, large)
            if record.stream != stream:
                fault = _received(sent, event)
            elif state is None:
                state = start(event)
                fault = _identity(state, stream)
            else:
                fault = _fault(state, event, sent)
                if fault is None:
                    evolve(state, event)
        except RefoldError as error:
            fault = "impossible", str(error)
        except Exception as error:  # The bytes may hold anything: what a fold of them raises is a finding too.
            fault = "impossible", f"{type(error).__name__}: {error}"
        if fault is not None:
            kind, reason = fault
            printable = reason.encode("utf-8", "backslashreplace").decode()
            return state, [Finding(record.stream, record.version, kind, printable)]
    return state, []


def _received(sent: list[MessageSent], event: Event) -> Fault | None:
    if not isinstance(event, MessageSent):
        return "impossible", f"{event.topic} in an inbox"
    sent.append(event)
    return None


def _identity(state: RunState, stream: str) -> Fault | None:
    started, spec = state.started, state.plan.spec
    if stream_of(started.tenant, started.run_id) != stream:
        return "identity", f"it starts run {started.tenant}/{started.run_id}, which is another one"
    check_seed(started.seed)
    if type(started.inputs.value) is not dict:
        return "impossible", "its inputs are no object"
    return (
        _differs("semantics", started.semantics, SEMANTICS)
        or _differs("workflow_type", started.workflow_type, spec.workflow_type, "identity")
        or _differs("workflow_version", started.workflow_version, spec.version, "identity")
    )


def _fault(state: RunState, event: Event, sent: Sequence[MessageSent]) -> Fault | None:
    """What is wrong with `event`, compared with what follows from the state before it."""
    if state.end is not None:
        return None  # evolve() refuses it, with the reason.
    if isinstance(event, StepStarted | StepAttemptFailed | StepCompleted | StepFailed | StepSkipped):
        return _step(state, event)
    if isinstance(event, RunCompleted | RunFailed):
        return _run_ended(state, event)
    fault = None
    if isinstance(event, RunPaused | RunResumed | RunCancelled | MessageRefused):
        fault = _message(state, event, sent)
    if isinstance(event, RunCancelled):
        return fault or _same(event, cancel(state, event.at, event.message, event.reason))
    if isinstance(event, RunTimedOut):
        if state.deadline is None or event.at < state.deadline:
            return "impossible", "the run had not reached its time limit"
        return _same(event, time_out(state, event.at))
    return fault


def _step(state: RunState, event: _StepEvent) -> Fault | None:
    index = event.index
    if not 0 <= index < len(state.outcomes):
        return None  # evolve() refuses it, with the reason.
    step = state.plan.steps[index]
    pending = state.attempted.get(index)
    fault = None
    if not isinstance(event, StepStarted):
        fault = _differs("skill_id", event.skill_id, step.skill_id)
    # An interrupted step was announced, perhaps by a declaration that its earlier attempts did not know.
    if not isinstance(event, StepSkipped) and not (isinstance(event, StepFailed) and event.error_code == "INTERRUPTED"):
        fault = fault or _differs("attempt", event.attempt, 1 if pending is None else pending.attempt)
    if fault is not None:
        return fault
    if isinstance(event, StepSkipped):
        hashed = outcome_hash(state, index, None, None, None, None)
        blamed = state.doomed.get(index, "nothing")
        return _differs("because", event.because, blamed) or _differs("step_hash", event.step_hash, hashed)
    if isinstance(event, StepCompleted | StepFailed):
        return _outcome(state, event)
    return None


def _outcome(state: RunState, event: StepCompleted | StepFailed) -> Fault | None:
    fault = None
    if event.inputs_hash is not None:
        inputs = Payload.of(state.plan.steps[event.index].inputs.resolve(state))
        fault = _differs("inputs_hash", event.inputs_hash, inputs.sha256)
    if isinstance(event, StepCompleted):
        fault = fault or _differs("output_hash", event.output_hash, event.output.sha256)
        hashed = outcome_hash(state, event.index, event.inputs_hash, True, event.output_hash, None)
    else:
        hashed = outcome_hash(state, event.index, event.inputs_hash, False, None, event.error_code)
    return fault or _differs("step_hash", event.step_hash, hashed)


def _message(state: RunState, event: _Taken, sent: Sequence[MessageSent]) -> Fault | None:
    if event.message != state.taken + 1 or event.message > len(sent):
        have = f"{state.taken} of {len(sent)} were taken before"
        return "impossible", f"it takes message {event.message} of the inbox; {have}"
    asked = sent[event.message - 1]
    kind = _ASKED_BY.get(type(event), asked.kind)
    if isinstance(event, RunPaused | RunResumed) and state.paused is isinstance(event, RunPaused):
        return "impossible", f"{event.topic} while the run is {state.status}"
    if isinstance(event, RunPaused | RunCancelled):
        return _differs("kind", asked.kind, kind) or _differs("reason", event.reason, asked.reason)
    return _differs("kind", asked.kind, kind)


def _run_ended(state: RunState, event: RunCompleted | RunFailed) -> Fault | None:
    if state.leading < state.counted:
        return None  # evolve() refuses it, with the reason.
    too_large = isinstance(event, RunFailed) and event.step_id is None and event.error_code == "OUTPUT_TOO_LARGE"
    again = end_by_steps(state, event.at, _NOTHING_FITS if too_large else _NO_LIMITS)
    if type(again) is not type(event):
        return "impossible", f"the steps lead to {again.topic}"
    if isinstance(event, RunCompleted):
        fault = _differs("output_hash", event.output_hash, event.output.sha256)
        return fault or _same(event, again)
    return _same(event, again)


def _same(event: Event, again: Event) -> Fault | None:
    """Compares an end of the run, field by field, with the one that follows from the state."""
    for name in ("error_code", "step_id", "cut", "output_hash", "workflow_hash", "cost_cents"):
        fault = _differs(name, getattr(event, name, None), getattr(again, name, None))
        if fault is not None:
            return fault
    return None


def _differs(name: str, recorded: object, again: object, kind: str = "hash") -> Fault | None:
    if recorded == again:
        return None
    return kind, f"{name} is recorded as {_shown(recorded)}, folding gives {_shown(again)}"


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:16]}…"
