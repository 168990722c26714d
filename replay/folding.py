"""The fold proof: folding the events again gives the hashes that they record.

More is compared than hashes: whatever of an event follows from what came before it (an attempt's number, who is to
blame for a skip, a sum of costs, the inbox message that was taken) has to be what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.canonical import canonical_json
from ..core.decide import cancel, end_by_steps, outcome_hash, time_out
from ..core.errors import IntegrityError, RefoldError
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
    SignalReceived,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from ..core.hashing import sha256_hex
from ..core.ids import check_seed, stream_of
from ..core.limits import Limits
from ..core.ports import Record
from ..core.state import FIRST, RunState, evolve, start
from ..eventstore.codec import decode, open_all
from .chain import Opened
from .findings import Finding

_NO_LIMITS = Limits(payload_bytes=2**62)
_NOTHING_FITS = Limits(payload_bytes=-1)

_Taken = RunPaused | RunResumed | RunCancelled | SignalReceived | MessageRefused
_ASKED_BY: dict[type[Event], str] = {
    RunPaused: "pause",
    RunResumed: "resume",
    RunCancelled: "cancel",
    SignalReceived: "signal",
}

Fault = tuple[str, str]
"""A finding's kind and reason."""


def prove_fold(
    stream: str,
    records: Sequence[Record],
    large: Mapping[str, bytes],
    messages: Sequence[Record] = (),
    opened: Opened | None = None,
) -> tuple[RunState | None, list[Finding]]:
    """The state that the events fold to, and the first fault on the way; after a fault the fold cannot go on.

    `messages` are the records of the run's inbox; each must be a message, and what the run took must be among them.
    `opened` are the envelopes of `records`, where the caller has them; they are used up.
    """
    sent: list[MessageSent] = []
    state: RunState | None = None
    envelopes = [*open_all(messages), *(open_all(records) if opened is None else opened)]
    for record, envelope in zip([*messages, *records], envelopes, strict=True):
        try:
            if isinstance(envelope, IntegrityError):
                raise envelope
            event = decode(record, large, envelope)
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
    if event.kind != "signal" and (event.name or event.body.value is not None):
        return "impossible", f"a {event.kind} carries nothing but its reason"
    if event.kind not in _ASKED_BY.values():
        return "impossible", f"nobody sends messages of the kind {event.kind!r}"
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
    check = _STEP_CHECKS.get(type(event))
    if check is not None:
        index: int = getattr(event, "index", -1)
        # evolve() refuses a step that the plan does not have, with the reason.
        return check(state, event) if 0 <= index < len(state.outcomes) else None
    if isinstance(event, RunCompleted | RunFailed):
        return _run_ended(state, event)
    fault = None
    if isinstance(event, _Taken):
        fault = _message(state, event, sent)
    if isinstance(event, RunCancelled):
        return fault or _same(event, cancel(state, event.at, event.message, event.reason))
    if isinstance(event, RunTimedOut):
        if state.deadline is None or event.at < state.deadline:
            return "impossible", "the run had not reached its time limit"
        return _same(event, time_out(state, event.at))
    return fault


def _completed(state: RunState, event: StepCompleted) -> Fault | None:
    index = event.index
    step = state.plan.steps[index]
    inputs_hash = sha256_hex(canonical_json(step.inputs.resolve(state)))
    attempt = state.attempted.get(index, FIRST).attempt
    output_hash = sha256_hex(canonical_json(event.output.value))
    hashed = outcome_hash(state, index, inputs_hash, True, output_hash, None)
    recorded = (event.skill_id, event.attempt, event.inputs_hash, event.output_hash, event.step_hash)
    again = (step.skill_id, attempt, inputs_hash, output_hash, hashed)
    if recorded == again:  # The hot path of verification: one comparison for nearly all events.
        return _too_early(state, event) if index in state.waits else None
    names = ("skill_id", "attempt", "inputs_hash", "output_hash", "step_hash")
    return next(filter(None, map(_differs, names, recorded, again)), None)


def _too_early(state: RunState, event: StepCompleted | StepFailed) -> Fault | None:
    """What is wrong with the end of a wait that only time can have brought about."""
    wait = state.waits[event.index]
    if isinstance(event, StepCompleted) and wait.signal is not None:
        return None  # evolve() asks for the signal.
    if wait.until is None or event.at < wait.until:
        return "impossible", "it ends a wait before its time"
    return _differs("error_code", getattr(event, "error_code", None), wait.fails)


def _waiting(state: RunState, event: StepWaiting) -> Fault | None:
    step = state.plan.steps[event.index]
    inputs_hash = sha256_hex(canonical_json(step.inputs.resolve(state)))
    return (
        _differs("skill_id", event.skill_id, step.skill_id)
        or _attempt(state, event)
        or _differs("inputs_hash", event.inputs_hash, inputs_hash)
        or _ending(event, step.timeout_seconds)
    )


def _ending(event: StepWaiting, limit: float | None) -> Fault | None:
    """What is wrong with how a wait may end."""
    if event.signal is None and event.until is None:
        return "impossible", "it waits for nothing"
    usual = None if event.signal is None else "SIGNAL_TIMEOUT"
    if event.fails == usual or (event.fails == "STEP_TIMEOUT" and limit is not None):
        return None
    return "impossible", f"such a wait does not fail with {event.fails!r}"


def _failed(state: RunState, event: StepFailed) -> Fault | None:
    step = state.plan.steps[event.index]
    fault = _differs("skill_id", event.skill_id, step.skill_id)
    if event.index in state.waits:
        fault = fault or _too_early(state, event)
    # An interrupted step was announced, perhaps by a declaration that its earlier attempts did not know.
    if event.error_code != "INTERRUPTED":
        fault = fault or _attempt(state, event)
    if fault is None and event.inputs_hash is not None:
        inputs_hash = sha256_hex(canonical_json(step.inputs.resolve(state)))
        fault = _differs("inputs_hash", event.inputs_hash, inputs_hash)
    hashed = outcome_hash(state, event.index, event.inputs_hash, False, None, event.error_code)
    return fault or _differs("step_hash", event.step_hash, hashed)


def _skipped(state: RunState, event: StepSkipped) -> Fault | None:
    return (
        _differs("skill_id", event.skill_id, state.plan.steps[event.index].skill_id)
        or _differs("because", event.because, state.doomed.get(event.index, "nothing"))
        or _differs("step_hash", event.step_hash, outcome_hash(state, event.index, None, None, None, None))
    )


def _attempt_failed(state: RunState, event: StepAttemptFailed) -> Fault | None:
    skill_id = state.plan.steps[event.index].skill_id
    return _differs("skill_id", event.skill_id, skill_id) or _attempt(state, event)


def _attempt(state: RunState, event: StepStarted | StepAttemptFailed | StepWaiting | StepFailed) -> Fault | None:
    return _differs("attempt", event.attempt, state.attempted.get(event.index, FIRST).attempt)


_STEP_CHECKS: dict[type[Event], Callable[[RunState, Any], Fault | None]] = {
    StepStarted: _attempt,
    StepAttemptFailed: _attempt_failed,
    StepWaiting: _waiting,
    StepCompleted: _completed,
    StepFailed: _failed,
    StepSkipped: _skipped,
}


def _message(state: RunState, event: _Taken, sent: Sequence[MessageSent]) -> Fault | None:
    if event.message != state.taken + 1 or event.message > len(sent):
        have = f"{state.taken} of {len(sent)} were taken before"
        return "impossible", f"it takes message {event.message} of the inbox; {have}"
    asked = sent[event.message - 1]
    in_vain = asked.kind == ("pause" if state.paused else "resume")
    if in_vain is not isinstance(event, MessageRefused):
        return "impossible", f"{event.topic} for a {asked.kind} while the run is {state.status}"
    if isinstance(event, MessageRefused):
        return None
    fault = _differs("kind", asked.kind, _ASKED_BY[type(event)])
    if isinstance(event, RunPaused | RunCancelled):
        fault = fault or _differs("reason", event.reason, asked.reason)
    return fault


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
