"""The fold proof: folding the events again gives the hashes that they record.

More is compared than hashes: whatever of an event follows from what came before it (an attempt's number, who is to
blame for a skip, a sum of costs, the inbox message that was taken) has to be what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from ..core.approvals import EXPIRED
from ..core.canonical import Payload, canonical_json
from ..core.code_state import CodeState
from ..core.decide import end_by_steps
from ..core.decision import Named, cancel, hash_of_run, is_judgement, outcome_hash, run_failed, time_out
from ..core.errors import IntegrityError, RefoldError
from ..core.events import (
    ORIGINS,
    SEMANTICS,
    Event,
    MessageSent,
    PolicyDecided,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunTimedOut,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from ..core.hashing import sha256_hex
from ..core.ids import check_seed, stream_of
from ..core.inbox import KINDS, Taken, take
from ..core.limits import Limits
from ..core.plan import PlannedStep
from ..core.policy.document import Policy
from ..core.policy_events import VERDICTS
from ..core.ports import Record
from ..core.run_state import FIRST, RunState
from ..core.spec_state import SpecState
from ..core.state import evolve, start
from ..core.step_events import StepIndex
from ..core.traces import parse_traceparent
from ..eventstore.codec import decode, open_all
from .approval_faults import is_unasked, unasked_fault
from .chain import Opened
from .findings import Finding

_NO_LIMITS = Limits(payload_bytes=2**62)
_NOTHING_FITS = Limits(payload_bytes=-1)

Fault = tuple[str, str]
"""A finding's kind and reason."""


def prove_fold(
    stream: str,
    records: Sequence[Record],
    large: Mapping[str, bytes],
    messages: Sequence[Record] = (),
    opened: Opened | None = None,
    taken: list[Event] | None = None,
) -> tuple[RunState | None, list[Finding]]:
    """The state that the events fold to, and the first fault on the way; after a fault the fold cannot go on.

    `messages` are the records of the run's inbox; each must be a message, and what the run took must be among them.
    `opened` are the envelopes of `records`, where the caller has them; they are used up.
    The events are put into `taken`.
    """
    sent: list[MessageSent] = []
    state: RunState | None = None
    envelopes = [*open_all(messages), *(open_all(records) if opened is None else opened)]
    for record, envelope in zip([*messages, *records], envelopes, strict=True):
        event: Event | None = None
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
        if taken is not None and event is not None and record.stream == stream:
            taken.append(event)
    return state, []


def _received(sent: list[MessageSent], event: Event) -> Fault | None:
    if not isinstance(event, MessageSent):
        return "impossible", f"{event.topic} in an inbox"
    if event.kind not in KINDS:
        return "impossible", f"nobody sends messages of the kind {event.kind!r}"
    if event.kind not in ("signal", "child", "approval") and (event.name or event.body.value is not None):
        return "impossible", f"a {event.kind} carries nothing but its reason"
    sent.append(event)
    return None


def _identity(state: RunState, stream: str) -> Fault | None:
    started = state.started
    if stream_of(started.tenant, started.run_id) != stream:
        return "identity", f"it starts run {started.tenant}/{started.run_id}, which is another one"
    check_seed(started.seed)
    if type(started.inputs.value) is not dict:
        return "impossible", "its inputs are no object"
    fault = _differs("semantics", started.semantics, SEMANTICS)
    if fault is None and started.awaited is not None and started.parent is None:
        return "impossible", "nobody can wait for it: it has no parent"
    if fault is None and started.origin not in ORIGINS:
        return "impossible", f"plans do not come from {started.origin!r}"
    if fault is None and started.policy is not None:
        Policy.parse(started.policy.value)
    if fault is None and started.trace is not None and parse_traceparent(started.trace) is None:
        return "impossible", "it was started in a trace that is none"
    if fault is None and started.forked is not None and started.run_id == started.forked.run_id:
        return "impossible", "it cannot be a fork of itself"
    if fault is None and isinstance(state, SpecState):
        if started.source is not None or started.timeout_seconds is not None:
            return "impossible", "a spec has no source, and its own time limit"
        spec = state.plan.spec
        fault = _differs("workflow_type", started.workflow_type, spec.workflow_type, "identity") or _differs(
            "workflow_version", started.workflow_version, spec.version, "identity"
        )
    return fault


def _fault(state: RunState, event: Event, sent: Sequence[MessageSent]) -> Fault | None:
    """What is wrong with `event`, compared with what follows from the state before it."""
    if state.end is not None:
        return None  # evolve() refuses it, with the reason.
    check = _STEP_CHECKS.get(type(event))
    if check is not None:
        if isinstance(state, SpecState) and getattr(event, "inputs", None) is not None:
            return "impossible", "the inputs of a spec's steps follow from the spec and are not recorded"
        step = _step_of(state, event)
        # evolve() refuses a step that the plan does not have, with the reason.
        return None if step is None else check(state, step, event)
    if isinstance(event, RunCancelled) and event.message <= state.taken:
        return _cleaned_up(state, event)
    if is_unasked(event):
        return unasked_fault(state, event)
    if isinstance(event, Taken):
        return _message(state, event, sent)
    if isinstance(event, RunTimedOut):
        if state.deadline is None or event.at < state.deadline:
            return "impossible", "the run had not reached its time limit"
        return _same(event, time_out(state, event.at))
    if isinstance(event, RunCompleted | RunFailed | RunContinued):
        return _run_ended(state, event)
    return None


class _Step(NamedTuple):
    """A step as the state knows it, and the inputs it must have had."""

    named: Named
    inputs_hash: Callable[[], str]


def _step_of(state: RunState, event: Any) -> _Step | None:
    index: StepIndex = event.index
    if isinstance(state, SpecState):
        if isinstance(index, str) or not 0 <= index < len(state.outcomes):
            return None
        return _spec_step(state, state.plan.steps[index])
    # A function's inputs are recorded with each call; it alone could say that they are right.
    recorded: Payload | None = getattr(event, "inputs", None)
    return _Step(event, lambda: "" if recorded is None else recorded.sha256)


def _spec_step(state: SpecState, step: PlannedStep) -> _Step:
    return _Step(step, lambda: sha256_hex(canonical_json(step.inputs.resolve(state))))


def _completed(state: RunState, step: _Step, event: StepCompleted) -> Fault | None:
    inputs_hash = step.inputs_hash()
    attempt = state.attempted.get(event.index, FIRST).attempt
    output_hash = sha256_hex(canonical_json(event.output.value))
    hashed = outcome_hash(state, step.named, inputs_hash, True, output_hash, None)
    recorded = (event.skill_id, event.attempt, event.inputs_hash, event.output_hash, event.step_hash)
    again = (step.named.skill_id, attempt, inputs_hash, output_hash, hashed)
    if recorded == again:  # The hot path of verification: one comparison for nearly all events.
        return _too_early(state, event) if event.index in state.waits else None
    names = ("skill_id", "attempt", "inputs_hash", "output_hash", "step_hash")
    return next(filter(None, map(_differs, names, recorded, again)), None)


def _too_early(state: RunState, event: StepCompleted | StepFailed) -> Fault | None:
    """What is wrong with the end of a wait that only time can have brought about."""
    wait = state.waits[event.index]
    if isinstance(event, StepCompleted) and (wait.signal is not None or wait.child is not None):
        return None  # evolve() asks for the signal or the child.
    code = getattr(event, "error_code", None)
    if wait.fails == EXPIRED:
        return None  # evolve() asks for the verdict.
    if wait.child is not None and code == "CHILD_FAILED":
        ended = state.children.get(wait.child)
        lost = ended is None or ended.error_code is None
        return ("impossible", f"the child {wait.child!r} has not failed") if lost else None
    if wait.until is None or event.at < wait.until:
        return "impossible", "it ends a wait before its time"
    return _differs("error_code", code, wait.fails)


def _waiting(state: RunState, step: _Step, event: StepWaiting) -> Fault | None:
    return (
        _differs("skill_id", event.skill_id, step.named.skill_id)
        or _attempt(state, step, event)
        or _differs("inputs_hash", event.inputs_hash, step.inputs_hash())
        or _ending(event)
    )


def _ending(event: StepWaiting) -> Fault | None:
    """What is wrong with how a wait may end."""
    if event.signal is None and event.child is None and event.fails == EXPIRED:
        return None
    if event.signal is None and event.child is None and event.until is None:
        return "impossible", "it waits for nothing"
    usual = None if event.signal is None else "SIGNAL_TIMEOUT"
    if event.child is not None:
        usual = "CHILD_TIMEOUT"
    if event.fails in (usual, "STEP_TIMEOUT"):
        return None
    return "impossible", f"such a wait does not fail with {event.fails!r}"


def _failed(state: RunState, step: _Step, event: StepFailed) -> Fault | None:
    fault = _differs("skill_id", event.skill_id, step.named.skill_id)
    if event.index in state.waits:
        fault = fault or _too_early(state, event)
    # An interrupted step was announced, perhaps by a declaration that its earlier attempts did not know.
    if event.error_code != "INTERRUPTED":
        fault = fault or _attempt(state, step, event)
    if fault is None and event.inputs_hash is not None:
        fault = _differs("inputs_hash", event.inputs_hash, step.inputs_hash())
    hashed = outcome_hash(state, step.named, event.inputs_hash, False, None, event.error_code)
    return fault or _differs("step_hash", event.step_hash, hashed)


def _skipped(state: RunState, step: _Step, event: StepSkipped) -> Fault | None:
    doomed = state.doomed if isinstance(state, SpecState) else {}
    return (
        _differs("skill_id", event.skill_id, step.named.skill_id)
        or _differs("because", event.because, doomed.get(event.index, "nothing"))
        or _differs("step_hash", event.step_hash, outcome_hash(state, step.named, None, None, None, None))
    )


def _reused(state: RunState, step: _Step, event: StepReused) -> Fault | None:
    forked = state.started.forked
    # evolve() refuses it in a run that is no fork, with the reason.
    if forked is not None and not 1 < event.version <= forked.version:
        return "impossible", f"event {event.version} is none of the parent's up to event {forked.version}"
    fault = _differs("skill_id", event.skill_id, step.named.skill_id)
    failed = event.error_code is not None
    if fault is None and not (failed and event.inputs_hash is None):
        fault = _differs("inputs_hash", event.inputs_hash, step.inputs_hash())
    output_hash = None if failed else sha256_hex(canonical_json(event.output.value))
    hashed = outcome_hash(state, step.named, event.inputs_hash, not failed, output_hash, event.error_code)
    return fault or _differs("step_hash", event.step_hash, hashed)


def _attempt_failed(state: RunState, step: _Step, event: StepAttemptFailed) -> Fault | None:
    return _differs("skill_id", event.skill_id, step.named.skill_id) or _attempt(state, step, event)


def _attempt(
    state: RunState,
    step: _Step,
    event: PolicyDecided | StepStarted | StepProgressed | StepAttemptFailed | StepWaiting | StepFailed,
) -> Fault | None:
    return _differs("attempt", event.attempt, state.attempted.get(event.index, FIRST).attempt)


def _decided(state: RunState, step: _Step, event: PolicyDecided) -> Fault | None:
    """What is wrong with what policies decided; why they did follows from what is outside the log."""
    if event.verdict not in VERDICTS or (event.verdict == "allowed") is not (event.code == ""):
        return "impossible", f"the verdict {event.verdict!r} with the code {event.code!r} does not exist"
    held: object = event.holds.value
    if not isinstance(held, list) or (event.verdict == "allowed" and not held and event.index not in state.deferred):
        return "impossible", "it names nothing that is held, and nothing deferred it"
    return _attempt(state, step, event)


_STEP_CHECKS: dict[type[Event], Callable[[RunState, _Step, Any], Fault | None]] = {
    PolicyDecided: _decided,
    StepStarted: _attempt,
    StepProgressed: _attempt,
    StepAttemptFailed: _attempt_failed,
    StepWaiting: _waiting,
    StepCompleted: _completed,
    StepFailed: _failed,
    StepSkipped: _skipped,
    StepReused: _reused,
}


def _message(state: RunState, event: Taken, sent: Sequence[MessageSent]) -> Fault | None:
    if event.message != state.taken + 1 or event.message > len(sent):
        have = f"{state.taken} of {len(sent)} were taken before"
        return "impossible", f"it takes message {event.message} of the inbox; {have}"
    asked = sent[event.message - 1]
    again = take(state, event.at, event.message, asked)
    if type(again) is not type(event):
        return "impossible", f"{event.topic} for a {asked.kind} while the run is {state.status}"
    return _same(event, again)


def _cleaned_up(state: RunState, event: RunCancelled) -> Fault | None:
    """What is wrong with the end of a function that was cancelled before."""
    asked = state.cancelling
    if asked is None or event.message != asked.message:
        return "impossible", f"it takes message {event.message} of the inbox; {state.taken} were taken before"
    return _same(event, cancel(state, event.at, asked.message, asked.reason))


def _run_ended(state: RunState, event: RunCompleted | RunFailed | RunContinued) -> Fault | None:
    if isinstance(event, RunFailed) and is_judgement(state, event):
        return _same(event, run_failed(state, event.at, None, event.error_code, event.message))
    if isinstance(state, CodeState):
        return _code_ended(state, event)
    if not isinstance(state, SpecState) or state.leading < state.counted:
        return None  # evolve() refuses it, with the reason.
    if isinstance(event, RunContinued):
        return "impossible", "a spec's run is not continued"
    too_large = isinstance(event, RunFailed) and event.step_id is None and event.error_code == "OUTPUT_TOO_LARGE"
    again = end_by_steps(state, event.at, _NOTHING_FITS if too_large else _NO_LIMITS)
    if type(again) is not type(event):
        return "impossible", f"the steps lead to {again.topic}"
    if isinstance(event, RunCompleted):
        fault = _differs("output_hash", event.output_hash, event.output.sha256)
        return fault or _same(event, again)
    return _same(event, again)


def _code_ended(state: CodeState, event: RunCompleted | RunFailed | RunContinued) -> Fault | None:
    """What is wrong with a function's end. What it returned only running it can prove."""
    fault = None
    if isinstance(event, RunCompleted):
        fault = _differs("output_hash", event.output_hash, event.output.sha256)
    failed = isinstance(event, RunFailed)
    hashed = hash_of_run(state, not failed, event.error_code if failed else None)
    return (
        fault
        or _differs("workflow_hash", event.workflow_hash, hashed)
        or _differs("cost_cents", event.cost_cents, state.cost_cents)
    )


def _same(event: Event, again: Event) -> Fault | None:
    """Compares an event, field by field, with the one that follows from the state; messages of failures may differ."""
    for field in fields(event):
        if field.name in ("at", "message", "output"):
            continue
        fault = _differs(field.name, getattr(event, field.name), getattr(again, field.name))
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
