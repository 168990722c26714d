"""From what came of an attempt, or came in by the inbox, to the event that records it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..decide import cancel, outcome_hash, step_failed
from ..errors import CallError
from ..events import (
    Event,
    MessageRefused,
    MessageSent,
    RunPaused,
    RunResumed,
    SignalReceived,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepWaiting,
)
from ..ids import check_signal
from ..plan import PlannedStep
from ..retry import Retry
from ..seeds import step_seed
from ..state import RunState
from .attempt import Failure, Result, Waiting
from .skill import Skill
from .wait import MAX_WAIT_SECONDS

StepEvent = StepCompleted | StepAttemptFailed | StepFailed | StepWaiting
"""What an attempt can lead to."""


def outcome_event(state: RunState, result: Result | StepCompleted | StepFailed, at: int) -> StepEvent:
    """The event that records `result`; one that was recorded before is recorded again, with another time."""
    if not isinstance(result, Result):
        return replace(result, at=at)
    step = state.plan.steps[result.index]
    skill, output = result.skill, result.output
    cost = _cost(step, skill) if result.executed else 0
    version = "" if skill is None else skill.version
    if isinstance(output, Failure):
        return _failed(state, at, step, result, output, version, cost)
    if isinstance(output, Waiting):
        fault = _fault_of(output.wait.seconds, output.wait.signal)
        if fault:
            failure = Failure("SKILL_OUTPUT_INVALID", f"skill {step.skill_id!r} returned a wait {fault}", False)
            return _failed(state, at, step, result, failure, version, cost)
        return _waiting(at, step, result, output, version, cost)
    digest = output.sha256
    hashed = outcome_hash(state, step.index, result.inputs_hash, True, digest, None)
    # By position: the hot path, and keywords cost as much as the rest of the call.
    return StepCompleted(
        at,
        step.index,
        step.step_id,
        step.skill_id,
        version,
        result.attempt,
        result.inputs_hash or "",
        output,
        digest,
        hashed,
        cost,
    )


def _failed(
    state: RunState, at: int, step: PlannedStep, result: Result, failure: Failure, version: str, cost: float
) -> StepAttemptFailed | StepFailed:
    policy = retry_policy(step, result.skill)
    code, message = failure.code, failure.message
    if not failure.retryable or result.attempt >= policy.max_attempts:
        return step_failed(state, at, step.index, version, result.attempt, result.inputs_hash, code, message, cost)
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


def _waiting(at: int, step: PlannedStep, result: Result, waiting: Waiting, version: str, cost: float) -> StepWaiting:
    wait = waiting.wait
    until = None if wait.seconds is None else at + int(wait.seconds * 1_000_000)
    fails = None if wait.signal is None else "SIGNAL_TIMEOUT"
    limit = step.timeout_seconds
    if limit is not None and (until is None or until > at + int(limit * 1_000_000)):
        until, fails = at + int(limit * 1_000_000), "STEP_TIMEOUT"
    return StepWaiting(
        at=at,
        index=step.index,
        step_id=step.step_id,
        skill_id=step.skill_id,
        skill_version=version,
        attempt=result.attempt,
        inputs_hash=result.inputs_hash or "",
        signal=wait.signal,
        until=until,
        fails=fails,
        output=waiting.output,
        cost_cents=cost,
    )


def _fault_of(seconds: object, signal: object) -> str | None:
    """What is wrong with a wait, None for a good one. Skills make them, and may put anything in."""
    if seconds is None and signal is None:
        return "that would never end: it names neither seconds nor a signal"
    number = not isinstance(seconds, bool) and isinstance(seconds, int | float) and 0 <= seconds <= MAX_WAIT_SECONDS
    if seconds is not None and not number:
        return f"of {str(seconds)[:100]} seconds, wanted 0 to {MAX_WAIT_SECONDS}"
    if signal is not None:
        try:
            check_signal(signal)
        except CallError as error:
            return f"for a signal of an impossible name: {error}"
    return None


def take(state: RunState, at: int, version: int, message: MessageSent) -> Event:
    """The event that records the taking of a message: what it brings about, or why it changes nothing."""
    if message.kind == "cancel":
        return cancel(state, at, version, message.reason)
    if message.kind == "signal":
        return SignalReceived(at, version, message.name, message.body)
    if message.kind == "pause" and not state.paused:
        return RunPaused(at, version, message.reason)
    if message.kind == "resume" and state.paused:
        return RunResumed(at, version)
    return MessageRefused(at, version, f"{message.kind} while the run is {'paused' if state.paused else 'running'}")


def _cost(step: PlannedStep, skill: Skill[..., Any] | None) -> float:
    """What one attempt costs: what the skill declares, else what the step estimates, else nothing."""
    if skill is not None and skill.cost_cents is not None:
        return skill.cost_cents
    return step.estimated_cost_cents or 0


def retry_policy(step: PlannedStep, skill: Skill[..., Any] | None) -> Retry:
    """The step's own retries where the spec gives any, else the skill's default; none for at-most-once skills."""
    if skill is not None and skill.at_most_once:
        return Retry()
    default = skill.retry if skill is not None and skill.retry is not None else Retry()
    retries = default.max_attempts - 1 if step.max_retries is None else step.max_retries
    if step.backoff is not None:
        return step.backoff.retry(retries)
    return Retry(retries + 1, default.initial_seconds, default.multiplier, default.max_seconds, default.jitter)
