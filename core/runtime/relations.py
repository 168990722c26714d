"""What a run's append brings along for its relations: parents, children, and the run that continues it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..canonical import Payload
from ..events import Event, MessageSent, RunCompleted, RunContinued, RunFailed, RunStarted
from ..ids import inbox_of, stream_of
from ..ports import EMPTY, Append, Dispatch, Schedule
from ..run_state import RunState
from ..state import start

NO_BODY = Payload.of(None)
"""What messages carry that are neither signals nor of children."""


class Letter(NamedTuple):
    """A message for the inbox of the run of `stream`, to be stored in one unit with what it tells of."""

    stream: str
    message: MessageSent


def beginning(started: RunStarted, lease_seconds: float = 0) -> tuple[Append, Schedule]:
    """The first append of a run, and its dispatch row."""
    stream = stream_of(started.tenant, started.run_id)
    row = Schedule(
        stream,
        lease_seconds,
        due=started.at,
        queue=started.queue,
        priority=started.priority,
        needs=start(started).needs,
    )
    return Append(stream, EMPTY, (started,)), row


def beginnings(state: RunState, begun: Sequence[RunStarted]) -> tuple[list[Append], list[Dispatch]]:
    """The first appends and rows of the runs that a run starts; a successor gets its unused signals."""
    pairs = [beginning(started) for started in begun]
    appends = [append for append, _ in pairs]
    if isinstance(state.end, RunContinued):
        at = state.end.at
        signals = [
            MessageSent(at, "signal", f"carried-{name}-{number}", "", name, body)
            for name, bodies in sorted(state.signals.items())
            for number, body in enumerate(bodies)
        ]
        if signals:
            successor = stream_of(state.started.tenant, state.end.successor)
            appends.append(Append(inbox_of(successor), EMPTY, signals))
    return appends, [row for _, row in pairs]


def children_awaited(state: RunState) -> set[str]:
    """The run ids of the children that a run waits for."""
    if state.end is not None or not state.waits:
        return set()
    return {wait.child for wait in state.waits.values() if wait.child is not None}


def letters(state: RunState, before: Iterable[str], events: Sequence[Event]) -> list[Letter]:
    """What to tell a run's relations about `events`, which led to `state`; it awaited the children `before` them."""
    started, at = state.started, events[-1].at if events else 0
    told: list[Letter] = []
    orphans = set(before) - children_awaited(state) - state.children.keys()
    for child in sorted(orphans):
        reason = f"run {started.run_id} waits for it no longer"
        message = MessageSent(at, "cancel", f"parent-{started.run_id}", reason, "", NO_BODY)
        told.append(Letter(stream_of(started.tenant, child), message))
    over = state.end is not None and not isinstance(state.end, RunContinued)
    if over and started.parent is not None and started.awaited is not None:
        told.append(Letter(stream_of(started.tenant, started.parent), _news(state)))
    return told


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
