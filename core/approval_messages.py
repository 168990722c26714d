"""Decisions on their way: what people and timers send to a run whose step waits, and what the run makes of it.

Whoever sends one judges it by these rules on all that came before, and so does the run's owner when it takes it in the
same order: they come to the same verdict.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from .approval_events import (
    ApprovalCommented,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOverdue,
    ApprovalRejected,
    ApprovalReminded,
    Decided,
)
from .approval_requests import name_fault, text_fault
from .approvals import Approval, due_events
from .canonical import Payload
from .events import MessageSent

KIND = "approval"
"""The kind of these messages."""

ACTIONS = ("grant", "reject", "delegate", "comment")
"""What people can do."""

TIMED = ("escalate", "remind", "expire")
"""What time brings about."""

MAX_COMMENTS = 100
"""Comments of one approval."""

MAX_DELEGATIONS = 100
"""Delegations of one approval."""

Judged = Decided | ApprovalEscalated | ApprovalReminded | ApprovalExpired
"""What a message can bring about."""


class Refusal(NamedTuple):
    """Why a message changes nothing: a code of the catalog, and the reason."""

    code: str
    reason: str


class ApprovalAct(NamedTuple):
    """The body of a message: `action` on the approval of the step, `by` somebody ("" by time).

    `to` is whom a delegation names, `number` which escalation or reminder it is.
    """

    step_id: str
    action: str
    by: str = ""
    comment: str = ""
    to: str | None = None
    number: int = 0

    def payload(self) -> Payload:
        """As the message holds it."""
        return Payload.of(self._asdict())


def read(message: MessageSent) -> ApprovalAct | Refusal:
    """The body of a message, or what is wrong with it: anybody can have written it."""
    body: object = message.body.value
    if not isinstance(body, dict):
        return Refusal("INPUT_INVALID", "the message holds no object")
    told = cast("dict[str, Any]", body)
    said = ApprovalAct(*(told.get(name, default) for name, default in _DEFAULTS.items()))
    fault = body_fault(said)
    return said if fault is None else Refusal("INPUT_INVALID", fault)


_DEFAULTS = {"step_id": "", "action": "", "by": "", "comment": "", "to": None, "number": 0}


def body_fault(said: ApprovalAct) -> str | None:
    """What is wrong with what somebody wants to do, whatever it is about; None if nothing is."""
    if said.action in TIMED:
        number: object = said.number
        return None if type(number) is int else "number: wanted a number"
    if said.action not in ACTIONS:
        return f"action: wanted one of {', '.join(ACTIONS)}"
    fault = name_fault("by", said.by) or text_fault("comment", said.comment)
    if fault is None and said.action == "delegate":
        return name_fault("to", said.to)
    if fault is None and said.to is not None:
        return "to: only a delegation names somebody"
    if fault is None and said.action == "comment" and not said.comment.strip():
        return "comment: it says nothing"
    return fault


def judged(approval: Approval | None, at: int, version: int, said: ApprovalAct, sent: int) -> Judged | Refusal:
    """What a message of this version, sent at the time `sent`, brings about at `at`, or why it changes nothing.

    `approval` is that of the step it names, None if the step waits for nobody.
    """
    if approval is None:
        return Refusal("APPROVAL_NOT_FOUND", f"step {said.step_id!r} waits for nobody")
    if approval.standing != "open":
        return Refusal("APPROVAL_DECIDED", f"the approval of step {approval.step_id!r} is {approval.standing} already")
    if said.action in TIMED:
        return _timed(approval, at, version, said, sent)
    asked = approval.requested
    if asked.deadline is not None and sent >= asked.deadline:
        return Refusal("APPROVAL_DECIDED", f"the deadline for step {approval.step_id!r} has passed")
    refusal = _not_theirs(approval, said)
    if refusal is not None:
        return refusal
    about = (at, version, asked.index, asked.step_id, said.by)
    if said.action == "grant":
        return ApprovalGranted(*about, said.comment)
    if said.action == "reject":
        return ApprovalRejected(*about, said.comment)
    if said.action == "comment":
        return ApprovalCommented(*about, said.comment)
    return _delegation_refused(approval, said) or ApprovalDelegated(*about, said.to or "", said.comment)


def _not_theirs(approval: Approval, said: ApprovalAct) -> Refusal | None:
    if said.comment and len(approval.comments) >= MAX_COMMENTS:
        return Refusal("INPUT_INVALID", f"there are {MAX_COMMENTS} comments already")
    if said.by in approval.approvers:
        return None
    heard = any(said.by == each.by for each in approval.granted)
    gone = dict(approval.delegated).get(said.by)
    if said.action == "comment" and (heard or gone is not None):
        return None
    if heard:
        return Refusal("APPROVAL_DECIDED", f"{said.by} has granted it already")
    if gone is not None:
        return Refusal("APPROVER_UNKNOWN", f"{said.by} has delegated it to {gone}")
    return Refusal("APPROVER_UNKNOWN", f"{said.by} is none of its approvers: {_listed(approval.approvers)}")


def _delegation_refused(approval: Approval, said: ApprovalAct) -> Refusal | None:
    """One person has one place: nobody gets a second, nor back what they gave away."""
    if len(approval.delegated) >= MAX_DELEGATIONS:
        return Refusal("DELEGATION_REFUSED", f"it was delegated {MAX_DELEGATIONS} times already")
    if said.to == said.by:
        why = "has it already"
    elif said.to in approval.approvers:
        why = "may decide anyway"
    elif any(said.to == each.by for each in approval.granted):
        why = "has granted it already"
    elif any(said.to == giver for giver, _ in approval.delegated):
        why = "has delegated it themselves"
    else:
        return None
    return Refusal("DELEGATION_REFUSED", f"{said.to} {why}")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _timed(approval: Approval, at: int, version: int, said: ApprovalAct, sent: int) -> Judged | Refusal:
    asked = approval.requested
    if said.action == "expire":
        if asked.deadline is None or sent < asked.deadline:
            return Refusal("INPUT_INVALID", f"the deadline for step {approval.step_id!r} has not come")
        return ApprovalExpired(at, version, asked.index, asked.step_id)
    for due in due_events(approval, sent):
        match due:
            case ApprovalEscalated() if said.action == "escalate" and due.number == said.number:
                if due.number == approval.escalated + 1:
                    return ApprovalEscalated(at, version, due.index, due.step_id, due.number, due.to, due.note)
            case ApprovalReminded() if said.action == "remind" and approval.reminded < said.number <= due.number:
                return ApprovalReminded(at, version, due.index, due.step_id, said.number)
            case _:
                pass
    return Refusal("APPROVAL_DECIDED", f"{said.action} number {said.number} is not due, or has been")


def due_messages(approval: Approval, at: int) -> list[tuple[str, ApprovalAct]]:
    """What to send, with its keys, where nobody works on the run: what `due_events` would have it record."""
    found: list[tuple[str, ApprovalAct]] = []
    for due in due_events(approval, at):
        if isinstance(due, ApprovalOverdue):
            found.append((f"expire-{due.step_id}", expiry(due.step_id)))
        else:
            action = "escalate" if isinstance(due, ApprovalEscalated) else "remind"
            found.append((f"{action}-{due.step_id}-{due.number}", ApprovalAct(due.step_id, action, number=due.number)))
    return found


def expiry(step_id: str) -> ApprovalAct:
    """The message by which the deadline of a step's approval takes its place among the decisions."""
    return ApprovalAct(step_id, "expire")
