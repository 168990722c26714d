"""What a run makes of the messages in its inbox."""

from __future__ import annotations

from typing import Any

from .approval_messages import KIND as APPROVAL
from .approval_messages import Judged, Refusal, judged, read
from .canonical import Payload
from .decision import cancel
from .errors import IntegrityError
from .events import (
    ChildEnded,
    MessageRefused,
    MessageSent,
    RunCancelled,
    RunCancelling,
    RunPaused,
    RunResumed,
    SignalReceived,
)
from .run_state import RunState
from .spec_state import SpecState

Taken = RunCancelled | RunCancelling | RunPaused | RunResumed | SignalReceived | ChildEnded | Judged | MessageRefused
"""An event that names the message it took."""

CONTINUED = "continued"
"""The kind of the last message of a run that is continued by another one, which its reason names. Never taken."""

KINDS = {"cancel", "terminate", "pause", "resume", "signal", "child", APPROVAL, CONTINUED}
"""Every kind of message."""


def take(state: RunState, at: int, version: int, message: MessageSent) -> Taken:
    """The event that records the taking of a message: what it brings about, or why it changes nothing."""
    kind = message.kind
    if kind == "terminate" or (kind == "cancel" and isinstance(state, SpecState)):
        return cancel(state, at, version, message.reason)
    if kind == "cancel" and state.cancelling is None:
        return RunCancelling(at, version, message.reason)
    if kind == "signal":
        return SignalReceived(at, version, message.name, message.body)
    if kind == "child":
        return _child_ended(at, version, message)
    if kind == APPROVAL:
        verdict = verdict_on(state, at, version, message)
        return MessageRefused(at, version, ": ".join(verdict)) if isinstance(verdict, Refusal) else verdict
    if kind == "pause" and not state.paused and state.parked is None:
        return RunPaused(at, version, message.reason)
    if kind == "resume" and (state.paused or state.parked is not None):
        return RunResumed(at, version)
    return MessageRefused(at, version, f"{kind} while the run is {_standing_of(state)}")


def verdict_on(state: RunState, at: int, version: int, message: MessageSent) -> Judged | Refusal:
    """What a decision about an approval brings about, or why it changes nothing."""
    act = read(message)
    if isinstance(act, Refusal):
        return act
    steps = (each for each in state.approvals.values() if each.step_id == act.step_id)
    return judged(next(steps, None), at, version, act, message.at)


def _child_ended(at: int, version: int, message: MessageSent) -> ChildEnded:
    told: Any = message.body.value
    try:
        status, output, error_code = told["status"], told["output"], told["error_code"]
    except (TypeError, KeyError):
        raise IntegrityError(f"message {version} does not tell how a child ended") from None
    if not isinstance(status, str) or not isinstance(error_code, str | None):
        raise IntegrityError(f"message {version} tells of a child what cannot be")
    return ChildEnded(at, version, message.name, status, Payload.decoded(output), error_code, message.reason)


def _standing_of(state: RunState) -> str:
    if state.parked is not None:
        return "parked"
    if state.paused:
        return "paused"
    return "running" if state.cancelling is None else "being cancelled"
