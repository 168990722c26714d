"""From what came of an attempt to the event that records it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from ..approval_requests import ApprovalRequest, fault_of
from ..approvals import EXPIRED
from ..canonical import Payload
from ..decision import outcome_hash, step_failed
from ..durations import MAX_SECONDS
from ..errors import CallError
from ..events import (
    ApprovalRequested,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepWaiting,
)
from ..ids import check_signal
from ..run_state import RunState
from ..seeds import step_seed
from ..sensitive import UNTOLD, hide, is_sensitive
from .attempt import Cause, Result, Waiting
from .pricing import Step, cost_of, retry_policy, time_limit
from .wait import Wait

StepEvent = StepCompleted | StepAttemptFailed | StepFailed | StepWaiting
"""What an attempt can lead to."""


def outcome_event(state: RunState, step: Step, result: Result | StepCompleted | StepFailed, at: int) -> StepEvent:
    """The event that records `result`; one that was recorded before is recorded again, with another time."""
    if not isinstance(result, Result):
        return replace(result, at=at)
    if is_sensitive(state, step, result.skill is not None and result.skill.sensitive):
        _hide(state, step, result)
    skill, output = result.skill, result.output
    cost = 0 if not result.executed else cost_of(step, skill) if result.charged is None else result.charged
    version = "" if skill is None else skill.version
    if isinstance(output, Cause):
        return _failed(state, at, step, result, output, version, cost)
    if isinstance(output, Waiting):
        fault = _fault_of(output.wait)
        if fault:
            failure = Cause("SKILL_OUTPUT_INVALID", f"skill {step.skill_id!r} returned a wait {fault}", False)
            return _failed(state, at, step, result, failure, version, cost)
        return _waiting(at, step, result, output, version, cost)
    digest = output.sha256
    inputs_hash = None if result.inputs is None else result.inputs.sha256
    hashed = outcome_hash(state, step, inputs_hash, True, digest, None)
    # By position: the hot path, and keywords cost as much as the rest of the call.
    return StepCompleted(
        at,
        step.index,
        step.step_id,
        step.skill_id,
        version,
        result.attempt,
        _recorded(result),
        inputs_hash or "",
        output,
        digest,
        hashed,
        cost,
    )


def _hide(state: RunState, step: Step, result: Result) -> None:
    """Have what is recorded of a sensitive step be placeholders."""
    output = result.output
    if isinstance(output, Cause):
        result.output = output if output.code in _TOLD else output._replace(message=UNTOLD)
    elif isinstance(output, Waiting):
        # What a wait for a signal or a child brings comes from elsewhere, where it stands as it is.
        alone = output.wait.signal is None and output.wait.child is None
        result.output = output._replace(output=hide(output.output, step.step_id)) if alone else output
    else:
        result.output = hide(output, step.step_id)


_TOLD = {
    "DATA_ERASED",
    "SECRET_MISSING",
    "SECRET_REFUSED",
    "SECRET_UNAVAILABLE",
    "STEP_TIMEOUT",
    "SENSITIVE_UNDECLARED",
}
"""Failures whose messages are our own, and hold nothing of what was worked on."""


def _recorded(result: Result) -> Payload | None:
    """The inputs of a function's call; those of a spec's step follow from the spec."""
    return result.inputs if isinstance(result.index, str) else None


def _failed(
    state: RunState, at: int, step: Step, result: Result, failure: Cause, version: str, cost: float
) -> StepAttemptFailed | StepFailed:
    policy = retry_policy(step, result.skill)
    code, message = failure.code, failure.message
    if not failure.retryable or result.attempt >= policy.max_attempts:
        digest = None if result.inputs is None else result.inputs.sha256
        return step_failed(state, at, step, version, result.attempt, _recorded(result), digest, code, message, cost)
    pause = policy.delay(step_seed(state.started.seed, step.index), result.attempt)
    return StepAttemptFailed(
        at=at,
        index=step.index,
        step_id=step.step_id,
        skill_id=step.skill_id,
        skill_version=version,
        attempt=result.attempt,
        error_code=code,
        message=message,
        cost_cents=cost,
        retry_at=at + int(pause * 1_000_000),
    )


def _waiting(at: int, step: Step, result: Result, waiting: Waiting, version: str, cost: float) -> StepWaiting:
    wait = waiting.wait
    until = None if wait.seconds is None else at + int(wait.seconds * 1_000_000)
    fails = None if wait.signal is None else "SIGNAL_TIMEOUT"
    if result.begins is not None:
        fails = "CHILD_TIMEOUT"
    if wait.approval is not None:
        fails = EXPIRED
    limit = time_limit(step, result.skill)
    if limit is not None and (until is None or until > at + int(limit * 1_000_000)):
        # To people a step's own limit is a deadline like any other.
        until, fails = at + int(limit * 1_000_000), "STEP_TIMEOUT" if wait.approval is None else EXPIRED
    return StepWaiting(
        at=at,
        index=step.index,
        step_id=step.step_id,
        skill_id=step.skill_id,
        skill_version=version,
        attempt=result.attempt,
        inputs=_recorded(result),
        inputs_hash="" if result.inputs is None else result.inputs.sha256,
        signal=wait.signal,
        child=None if result.begins is None else result.begins.run_id,
        until=until,
        fails=fails,
        output=waiting.output,
        cost_cents=cost,
    )


def approval_requested(event: StepEvent, result: object) -> ApprovalRequested | None:
    """What is recorded with the beginning of a wait for people; None for everything else."""
    if not isinstance(event, StepWaiting) or not isinstance(result, Result) or not isinstance(result.output, Waiting):
        return None
    asked = result.output.wait.approval
    if asked is None:
        return None
    every = asked.remind_every_seconds
    return ApprovalRequested(
        at=event.at,
        index=event.index,
        step_id=event.step_id,
        reason=asked.reason,
        approvers=Payload.of(list(asked.approvers)),
        quorum=asked.quorum,
        deadline=event.until,
        escalation=Payload.of([each.to_json() for each in asked.escalation]),
        remind_every=None if every is None else int(every * 1_000_000),
        details=Payload.of(asked.details),
    )


def _fault_of(wait: Wait) -> str | None:
    """What is wrong with a wait, None for a good one. Skills make them, and may put anything in."""
    seconds: object = wait.seconds
    things = sum(each is not None for each in (wait.signal, wait.child, wait.approval))
    if things > 1:
        return "for several things at once: give one of signal, child and approval"
    if seconds is None and not things:
        return "that would never end: it names neither seconds nor a signal"
    number = not isinstance(seconds, bool) and isinstance(seconds, int | float) and 0 <= seconds <= MAX_SECONDS
    if seconds is not None and not number:
        return f"of {str(seconds)[:100]} seconds, wanted 0 to {MAX_SECONDS}"
    if wait.approval is not None:
        fault = "of no request"
        if isinstance(cast(object, wait.approval), ApprovalRequest):
            fault = fault_of(wait.approval, wait.seconds)
        return None if fault is None else f"for people: {fault}"
    if wait.signal is not None:
        try:
            check_signal(wait.signal)
        except CallError as error:
            return f"for a signal of an impossible name: {error}"
    return None
