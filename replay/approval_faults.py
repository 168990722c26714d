"""What the fold proof asks of approvals beyond what `evolve` refuses and what follows from a message."""

from __future__ import annotations

from ..core.approvals import EXPIRED, due_events
from ..core.events import ApprovalEscalated, ApprovalOverdue, ApprovalReminded, ApprovalRequested, Event
from ..core.run_state import RunState

Unasked = ApprovalRequested | ApprovalEscalated | ApprovalReminded | ApprovalOverdue
"""What happens to approvals without a message; escalations and reminders may also come by one."""


def is_unasked(event: Event) -> bool:
    """Whether no message brought it about."""
    return isinstance(event, Unasked) and not getattr(event, "message", 0)


def unasked_fault(state: RunState, event: Event) -> tuple[str, str] | None:
    """The kind and the reason of what is wrong with such an event; `evolve` refuses what is of no approval."""
    if isinstance(event, ApprovalRequested):
        wait = state.waits.get(event.index)
        if wait is None or wait.fails != EXPIRED or wait.until == event.deadline:
            return None
        return "hash", f"deadline is recorded as {event.deadline}, the wait says {wait.until}"
    if not isinstance(event, Unasked):
        return None
    approval = state.approvals.get(event.index)
    if approval is None or event in due_events(approval, event.at):
        return None
    return "impossible", f"{event.topic} is not what the time of it brings about"
