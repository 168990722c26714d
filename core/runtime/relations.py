"""What a run's append brings along for its relations: parents, children, and the run that continues it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from ..approval_messages import KIND as APPROVAL
from ..approval_messages import expiry
from ..canonical import Payload
from ..events import ApprovalOverdue, Event, MessageSent, RunCompleted, RunContinued, RunFailed, RunStarted
from ..ids import run_of, stream_of
from ..inbox import CONTINUED
from ..ports import EMPTY, Append, Dispatch, Schedule
from ..run_state import RunState
from ..state import start

NO_BODY = Payload.of(None)
"""What messages carry that are neither signals nor of children."""


class Letter(NamedTuple):
    """A message for the inbox of the run of `stream`, to be stored in one unit with what it tells of."""

    stream: str
    message: MessageSent


def beginning(
    started: RunStarted, lease_seconds: float = 0, following: Sequence[Event] = ()
) -> tuple[Append, Schedule]:
    """The first append of a run, and its dispatch row; `following` is what a fork takes over."""
    stream = stream_of(started.tenant, started.run_id)
    row = Schedule(
        stream,
        lease_seconds,
        due=started.at,
        queue=started.queue,
        priority=started.priority,
        needs=start(started).needs,
    )
    return Append(stream, EMPTY, (started, *following)), row


def beginnings(begun: Sequence[RunStarted]) -> tuple[list[Append], list[Dispatch]]:
    """The first appends and rows of the runs that a run starts."""
    pairs = [beginning(started) for started in begun]
    return [append for append, _ in pairs], [row for _, row in pairs]


class Handover(NamedTuple):
    """What the run of `stream` leaves to the one of `successor`: `carried`, then its messages after number `taken`.

    `closing` ends its inbox and names the successor, so that nobody sends there what nobody would read.
    """

    stream: str
    successor: str
    taken: int
    carried: Sequence[MessageSent]
    closing: MessageSent


def handover(state: RunState) -> Handover | None:
    """What a run leaves to the one that continues it: the signals that it did not use. None if it is not continued."""
    end, started = state.end, state.started
    if not isinstance(end, RunContinued):
        return None
    signals = [
        MessageSent(end.at, "signal", f"carried-{name}-{number}", "", name, body)
        for name, bodies in sorted(state.signals.items())
        for number, body in enumerate(bodies)
    ]
    closing = MessageSent(end.at, CONTINUED, CONTINUED, end.successor, "", NO_BODY)
    stream, successor = (stream_of(started.tenant, run_id) for run_id in (started.run_id, end.successor))
    return Handover(stream, successor, state.taken, signals, closing)


def forwarded(stream: str, last: MessageSent | None) -> str | None:
    """Where messages to the run of `stream` go, whose inbox ends with `last`; None: into this inbox."""
    if last is None or last.kind != CONTINUED:
        return None
    return stream_of(run_of(stream)[0], last.reason)


def children_awaited(state: RunState) -> set[str]:
    """The run ids of the children that a run waits for."""
    if state.end is not None or not state.waits:
        return set()
    return {wait.child for wait in state.waits.values() if wait.child is not None}


def letters(state: RunState, before: Collection[str], events: Sequence[Event]) -> list[Letter]:
    """What to tell a run's relations, and itself, about `events`, which led to `state`; it awaited the children
    `before` them."""
    started, at = state.started, events[-1].at if events else 0
    told = _deadlines(state, events) if state.approvals and state.end is None else []
    if not before and (state.end is None or started.parent is None):
        return told  # As nearly always: the hot path.
    orphans = set(before) - children_awaited(state) - state.children.keys()
    for child in sorted(orphans):
        reason = f"run {started.run_id} waits for it no longer"
        message = MessageSent(at, "cancel", f"parent-{started.run_id}", reason, "", NO_BODY)
        told.append(Letter(stream_of(started.tenant, child), message))
    over = state.end is not None and not isinstance(state.end, RunContinued)
    if over and started.parent is not None and started.awaited is not None:
        told.append(Letter(stream_of(started.tenant, started.parent), _news(state)))
    return told


def _deadlines(state: RunState, events: Sequence[Event]) -> list[Letter]:
    """To the run itself: that deadlines of approvals have come, each to be taken after the decisions before it."""
    stream = stream_of(state.started.tenant, state.started.run_id)
    overdue = [event for event in events if isinstance(event, ApprovalOverdue)]
    return [
        Letter(stream, MessageSent(each.at, APPROVAL, f"expire-{each.step_id}", "", "", expiry(each.step_id).payload()))
        for each in overdue
    ]


def _news(state: RunState) -> MessageSent:
    """The message by which a parent learns how its child ended."""
    end, started = state.end, state.started
    output, error_code, reason = None, None, ""
    if isinstance(end, RunCompleted):
        output = end.output.value
    elif end is not None and not isinstance(end, RunContinued):
        error_code = end.error_code
        reason = end.message if isinstance(end, RunFailed) else getattr(end, "reason", "")
    at = 0 if end is None else end.at
    body = Payload.of({"status": state.status, "output": output, "error_code": error_code})
    return MessageSent(at, "child", f"child-{started.run_id}", str(reason), started.awaited or "", body)
