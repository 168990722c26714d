"""`evolve`: the only thing that changes a run's state.

The state is a fold of the run's events and of nothing else: no clock, no configuration, nothing about tasks that
happen to be running. Folding the same events anywhere gives the same state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

from .approval_events import ApprovalEvent
from .approvals import EXPIRED, REJECTED, failure_of, followed
from .code_state import CodeState
from .decision import is_judgement
from .errors import IntegrityError
from .events import (
    ApprovalCommented,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOverdue,
    ApprovalRejected,
    ApprovalReminded,
    ApprovalRequested,
    AttributesSet,
    ChildEnded,
    Event,
    MessageRefused,
    PatchApplied,
    PolicyDecided,
    RunCancelled,
    RunCancelling,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunParked,
    RunPaused,
    RunRejected,
    RunResumed,
    RunStarted,
    RunTimedOut,
    SignalReceived,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from .plan import plan_of
from .run_state import FIRST, Outcome, Pending, Reused, RunState
from .spec_state import SpecState


def start(event: Event) -> RunState:
    """The state after a run's first event. Raises IntegrityError if that is not `run.started`."""
    if not isinstance(event, RunStarted):
        raise IntegrityError(f"a run must begin with run.started, not {event.topic}")
    return CodeState(event) if event.spec is None else SpecState(event, plan_of(event.spec.data))


def evolve(state: RunState, event: Event) -> None:
    """Apply `event` to `state`, in place.

    Raises IntegrityError for an event that cannot follow: an unknown step, a second outcome, anything after the end.
    """
    if state.end is not None:
        raise IntegrityError(f"{event.topic} after the run has ended")
    handler = _HANDLERS.get(type(event))
    if handler is None:
        raise IntegrityError(f"{event.topic} cannot occur here")
    handler(state, event)


def fold(events: Iterable[Event]) -> RunState:
    """The state after `events`. Raises IntegrityError when they are no possible history."""
    iterator = iter(events)
    first = next(iterator, None)
    if first is None:
        raise IntegrityError("no events")
    state = start(first)
    for event in iterator:
        evolve(state, event)
    return state


def _step_started(state: RunState, event: StepStarted) -> None:
    state.announced.add(state.check_open(event))


def _step_progressed(state: RunState, event: StepProgressed) -> None:
    state.progress[state.check_open(event)] = event.details


def _policy_decided(state: RunState, event: PolicyDecided) -> None:
    index = state.check_open(event)
    if event.attempt != state.attempted.get(index, FIRST).attempt or (
        index in state.cleared and event.verdict != "deferred"
    ):
        raise IntegrityError(f"{event.topic}: it is not attempt {event.attempt} of step {event.step_id!r} that is next")
    state.deferred.pop(index, None)
    if event.verdict == "allowed" and event.holds.value:
        state.cleared[index] = event.attempt
    elif event.verdict == "deferred":
        state.cleared.pop(index, None)  # An emergency stop came before it began: what it held went back.
        state.deferred[index] = event.attempt


def _step_waiting(state: RunState, event: StepWaiting) -> None:
    index = state.check_open(event)
    if index in state.waits:
        raise IntegrityError(f"{event.topic}: step {event.step_id!r} waits already")
    state.waits[index] = event
    state.announced.discard(index)
    state.attempt_over(index)
    state.cost_cents += event.cost_cents


def _step_attempt_failed(state: RunState, event: StepAttemptFailed) -> None:
    index = state.check_open(event)
    spent = state.attempted.get(index, FIRST).cost_cents + event.cost_cents
    state.attempted[index] = Pending(event.attempt + 1, event.retry_at, spent)
    state.announced.discard(index)
    state.attempt_over(index)
    state.cost_cents += event.cost_cents


def _step_completed(state: RunState, event: StepCompleted) -> None:
    index = event.index
    spent = event.cost_cents
    if index in state.attempted:
        spent += state.attempted[index].cost_cents
    if index in state.waits:
        spent += state.waits[index].cost_cents
        _consume(state, event, state.waits[index])
    state.close(
        event,
        Outcome("completed", event.attempt, event.inputs_hash, event.output, None, None, event.step_hash, spent),
    )
    state.cost_cents += event.cost_cents


def _consume(state: RunState, event: StepCompleted, wait: StepWaiting) -> None:
    """Check that a wait ended with what it waited for, and use a signal up."""
    if wait.child is not None:
        ended = state.children.get(wait.child)
        if ended is None or ended.error_code is not None:
            raise IntegrityError(f"{event.topic}: the child {wait.child!r} has not completed")
        wanted = ended.output
    elif wait.fails == EXPIRED:
        approval = state.approvals.get(event.index)
        if approval is None or approval.standing != "granted":
            raise IntegrityError(f"{event.topic}: step {event.step_id!r} was not approved")
        wanted = approval.output
    elif wait.signal is None:
        wanted = wait.output
    elif state.signals.get(wait.signal):
        wanted = state.signals[wait.signal].popleft()
    else:
        raise IntegrityError(f"{event.topic}: the signal {wait.signal!r} had not come")
    if event.output_hash != wanted.sha256:
        raise IntegrityError(f"{event.topic}: the output is not what step {event.step_id!r} waited for")


def _step_failed(state: RunState, event: StepFailed) -> None:
    index = event.index
    spent = state.attempted.get(index, FIRST).cost_cents + event.cost_cents
    if index in state.waits:
        spent += state.waits[index].cost_cents
        if event.error_code in (REJECTED, EXPIRED):
            _check_not_approved(state, event)
    code, message = event.error_code, event.message
    outcome = Outcome("failed", event.attempt, event.inputs_hash, None, code, message, event.step_hash, spent)
    state.close(event, outcome)
    state.cost_cents += event.cost_cents


def _check_not_approved(state: RunState, event: StepFailed) -> None:
    approval = state.approvals.get(event.index)
    if approval is None or approval.standing in ("open", "granted") or failure_of(approval)[0] != event.error_code:
        standing = "not asked for" if approval is None else approval.standing
        raise IntegrityError(f"{event.topic}: {event.error_code}, but the approval is {standing}")


def _step_skipped(state: RunState, event: StepSkipped) -> None:
    state.close(event, Outcome("skipped", 0, None, None, None, f"depends on {event.because}", event.step_hash, 0))


def _step_reused(state: RunState, event: StepReused) -> None:
    own = state.waits or state.attempted or state.announced or state.ended_steps > len(state.reused)
    if state.started.forked is None or own:
        raise IntegrityError(f"{event.topic}: only a fork takes outcomes over, before it does anything itself")
    outcome = event.outcome()
    _HANDLERS[type(outcome)](state, outcome)
    state.reused[event.index] = Reused(event.version, event.given)


def _signal_received(state: RunState, event: SignalReceived) -> None:
    state.signals.setdefault(event.name, deque()).append(event.body)
    state.taken = event.message


def _child_ended(state: RunState, event: ChildEnded) -> None:
    state.children[event.child] = event
    state.taken = event.message


def _approval(state: RunState, event: ApprovalEvent) -> None:
    index = event.index
    wait = state.waits.get(index)
    if wait is None or wait.fails != EXPIRED or wait.step_id != event.step_id:
        raise IntegrityError(f"{event.topic}: step {event.step_id!r} waits for nobody")
    state.approvals[index] = followed(state.approvals.get(index), event)
    # 0 is that of what a timer has brought about.
    state.taken = getattr(event, "message", 0) or state.taken


def _paused(state: RunState, event: RunPaused) -> None:
    state.paused = True
    state.taken = event.message


def _resumed(state: RunState, event: RunResumed) -> None:
    state.paused = False
    state.parked = None
    state.taken = event.message


def _parked(state: RunState, event: RunParked) -> None:
    state.parked = event


def _cancelling(state: RunState, event: RunCancelling) -> None:
    if not isinstance(state, CodeState):
        raise IntegrityError(f"{event.topic}: only functions clean up")
    state.cancelling = event
    state.taken = event.message
    # Whoever cancels wants the clean-up, which a pause would keep from running.
    state.paused = False
    state.parked = None
    state.give_up()


def _message_refused(state: RunState, event: MessageRefused) -> None:
    state.taken = event.message


def _attributes_set(state: RunState, event: AttributesSet) -> None:
    added: object = event.attributes.value
    if not isinstance(added, dict):
        raise IntegrityError(f"{event.topic}: the attributes are no object")
    laid = {**state.attributes, **cast("dict[str, Any]", added)}
    state.attributes = {name: value for name, value in laid.items() if value is not None}


def _patch_applied(state: RunState, event: PatchApplied) -> None:
    if not isinstance(state, CodeState) or event.patch in state.patches:
        raise IntegrityError(f"{event.topic}: the patch {event.patch!r} cannot be applied here, or again")
    state.patches.add(event.patch)


def _ended_by_steps(state: RunState, event: RunCompleted | RunFailed) -> None:
    if is_judgement(state, event):
        state.end = event
        return
    if isinstance(state, SpecState) and state.leading < state.counted:
        raise IntegrityError(f"{event.topic} while step {state.plan.steps[state.leading].step_id!r} has no outcome")
    state.end = event


def _cancelled(state: RunState, event: RunCancelled) -> None:
    # A function that has cleaned up names the message that it was told by, and may have taken others since.
    state.taken = max(state.taken, event.message)
    state.end = event


def _ended(state: RunState, event: RunTimedOut | RunContinued) -> None:
    state.end = event


_HANDLERS: dict[type[Any], Callable[[RunState, Any], None]] = {
    PolicyDecided: _policy_decided,
    StepStarted: _step_started,
    StepProgressed: _step_progressed,
    StepWaiting: _step_waiting,
    StepAttemptFailed: _step_attempt_failed,
    StepCompleted: _step_completed,
    StepFailed: _step_failed,
    StepSkipped: _step_skipped,
    StepReused: _step_reused,
    RunPaused: _paused,
    RunResumed: _resumed,
    RunParked: _parked,
    RunCancelling: _cancelling,
    SignalReceived: _signal_received,
    ChildEnded: _child_ended,
    ApprovalRequested: _approval,
    ApprovalGranted: _approval,
    ApprovalRejected: _approval,
    ApprovalDelegated: _approval,
    ApprovalCommented: _approval,
    ApprovalEscalated: _approval,
    ApprovalReminded: _approval,
    ApprovalOverdue: _approval,
    ApprovalExpired: _approval,
    AttributesSet: _attributes_set,
    PatchApplied: _patch_applied,
    MessageRefused: _message_refused,
    RunCompleted: _ended_by_steps,
    RunFailed: _ended_by_steps,
    RunRejected: _ended_by_steps,
    RunCancelled: _cancelled,
    RunTimedOut: _ended,
    RunContinued: _ended,
}
