"""Approvals: who may decide, who has, and what follows, as a pure fold of their events.

An approver's place is theirs until they delegate it; escalations add places, and nothing takes one away. So the quorum
can always be reached. What is decided stays decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast

from .approval_events import (
    ApprovalCommented,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalOverdue,
    ApprovalRejected,
    ApprovalReminded,
    ApprovalRequested,
)
from .canonical import Payload
from .errors import IntegrityError
from .events import Event, RunCancelling, RunEnd
from .step_events import StepIndex

REJECTED, EXPIRED = "APPROVAL_REJECTED", "APPROVAL_EXPIRED"
"""The codes by which a step fails that waited for people."""

MAX_REMINDERS = 100
"""So many reminders an approval has at most: who has not heard them will not hear more."""

Standing = Literal["open", "granted", "rejected", "expired", "cancelled"]
"""How an approval stands; it is cancelled with its run."""


class Said(NamedTuple):
    """What somebody said."""

    by: str
    comment: str


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval as it stands.

    `approvers` may still decide, in the order in which they came to it; `granted` have said yes, `delegated` holds who
    gave their place to whom. `escalated` and `reminded` are the numbers of the last escalation and reminder. `overdue`
    says that the deadline has come, `expired` that nothing had been decided by then, `cancelled` that the run waits
    for it no longer, though nothing was decided.
    """

    requested: ApprovalRequested
    approvers: tuple[str, ...]
    granted: tuple[Said, ...] = ()
    rejected: Said | None = None
    delegated: tuple[tuple[str, str], ...] = ()
    comments: tuple[Said, ...] = ()
    escalated: int = 0
    reminded: int = 0
    overdue: bool = False
    expired: bool = False
    cancelled: bool = False

    @property
    def step_id(self) -> str:
        """The step that waits."""
        return self.requested.step_id

    @property
    def standing(self) -> Standing:
        """Whether it is decided, and how."""
        if self.rejected is not None:
            return "rejected"
        if len(self.granted) >= self.requested.quorum:
            return "granted"
        if self.expired:
            return "expired"
        return "cancelled" if self.cancelled else "open"

    @property
    def output(self) -> Payload:
        """What the step gives once it is granted."""
        comments = [{"by": by, "comment": comment} for by, comment in self.comments]
        return Payload.of({"approved": True, "by": [each.by for each in self.granted], "comments": comments})

    @property
    def next_escalation(self) -> int | None:
        """When the next people are asked besides, in microseconds since the epoch; None if nobody is."""
        left = self.requested.escalation.value[self.escalated :]
        return self.requested.at + int(left[0]["after_seconds"] * 1_000_000) if left else None

    @property
    def next_due(self) -> int | None:
        """When something comes about by itself, in microseconds since the epoch: escalation, reminder or deadline."""
        if self.overdue or self.standing != "open":
            return None
        asked = self.requested
        times = [asked.deadline, self.next_escalation]
        if asked.remind_every is not None and self.reminded < MAX_REMINDERS:
            times.append(asked.at + (self.reminded + 1) * asked.remind_every)
        return min((at for at in times if at is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """All but what was requested, for `restored`."""
        return {
            "approvers": list(self.approvers),
            "granted": [list(each) for each in self.granted],
            "rejected": None if self.rejected is None else list(self.rejected),
            "delegated": [list(each) for each in self.delegated],
            "comments": [list(each) for each in self.comments],
            "escalated": self.escalated,
            "reminded": self.reminded,
            "overdue": self.overdue,
            "expired": self.expired,
        }


def restored(requested: ApprovalRequested, told: Mapping[str, Any]) -> Approval:
    """The approval that `Approval.to_json` has written down."""
    rejected = told["rejected"]
    return Approval(
        requested,
        tuple(told["approvers"]),
        tuple(Said(*each) for each in told["granted"]),
        None if rejected is None else Said(*rejected),
        tuple((by, to) for by, to in told["delegated"]),
        tuple(Said(*each) for each in told["comments"]),
        told["escalated"],
        told["reminded"],
        told["overdue"],
        told["expired"],
    )


def followed(approval: Approval | None, event: ApprovalEvent) -> Approval:
    """The approval after `event`. Raises IntegrityError for one that cannot follow."""
    if isinstance(event, ApprovalRequested):
        if approval is not None:
            raise IntegrityError(f"{event.topic}: step {event.step_id!r} waits for people already")
        _check_escalation(event)
        return Approval(event, _names(event, event.approvers.value))
    if approval is None or approval.step_id != event.step_id:
        raise IntegrityError(f"{event.topic}: step {event.step_id!r} waits for nobody")
    if approval.standing != "open":
        raise IntegrityError(f"{event.topic}: the approval of step {event.step_id!r} is {approval.standing}")
    match event:
        case ApprovalEscalated():
            return _escalated(approval, event)
        case ApprovalReminded():
            return replace(approval, reminded=event.number)
        case ApprovalOverdue():
            return replace(approval, overdue=True)
        case ApprovalExpired():
            return replace(approval, expired=True)
        case ApprovalGranted() | ApprovalRejected() | ApprovalDelegated() | ApprovalCommented():
            return _decided(approval, event)


def note(found: dict[StepIndex, Approval], event: Event) -> list[Approval]:
    """Take `event` of a run into what is known of its approvals by index, and return those that it changed.

    Other than in the state of the run, an approval stays when it is decided. Raises IntegrityError as `followed` does.
    """
    if isinstance(event, ApprovalEvent):
        found[event.index] = changed = followed(found.get(event.index), event)
        return [changed]
    if not isinstance(event, RunEnd | RunCancelling):
        return []
    left = [replace(each, cancelled=True) for each in found.values() if each.standing == "open"]
    found.update((each.requested.index, each) for each in left)
    return left


def _names(event: ApprovalRequested | ApprovalEscalated, value: object) -> tuple[str, ...]:
    """The names in an event. Raises IntegrityError for anything else: stored bytes may hold any JSON."""
    listed = cast("list[object]", value) if isinstance(value, list) else [None]
    names = tuple(name for name in listed if isinstance(name, str))
    if len(names) != len(listed):
        raise IntegrityError(f"{event.topic}: step {event.step_id!r} asks what is no list of names")
    return names


def _check_escalation(event: ApprovalRequested) -> None:
    """Raises IntegrityError for an escalation of another shape."""
    value = event.escalation.value
    for each in cast("list[object]", value) if isinstance(value, list) else [None]:
        fields = cast("dict[str, object]", each) if isinstance(each, dict) else {}
        seconds, note = fields.get("after_seconds"), fields.get("note")
        if not isinstance(seconds, int | float) or not isinstance(note, str):
            raise IntegrityError(f"{event.topic}: step {event.step_id!r} has an escalation of no known shape")
        _names(event, fields.get("to"))


def _escalated(approval: Approval, event: ApprovalEscalated) -> Approval:
    if event.number != approval.escalated + 1:
        raise IntegrityError(f"{event.topic}: number {event.number} after {approval.escalated}")
    # Nobody gets a second place, nor back one that they gave away.
    had = {*approval.approvers, *(each.by for each in approval.granted), *(giver for giver, _ in approval.delegated)}
    new = tuple(name for name in _names(event, event.to.value) if name not in had)
    return replace(approval, approvers=(*approval.approvers, *new), escalated=event.number)


def _decided(
    approval: Approval, event: ApprovalGranted | ApprovalRejected | ApprovalDelegated | ApprovalCommented
) -> Approval:
    said = Said(event.by, event.comment)
    comments = (*approval.comments, said) if event.comment else approval.comments
    if isinstance(event, ApprovalCommented):
        return replace(approval, comments=comments)
    if event.by not in approval.approvers:
        raise IntegrityError(f"{event.topic}: {event.by!r} may not decide on step {event.step_id!r}")
    place = approval.approvers.index(event.by)
    before, after = approval.approvers[:place], approval.approvers[place + 1 :]
    if isinstance(event, ApprovalGranted):
        granted = (*approval.granted, said)
        return replace(approval, approvers=before + after, granted=granted, comments=comments)
    if isinstance(event, ApprovalRejected):
        return replace(approval, approvers=before + after, rejected=said, comments=comments)
    delegated = (*approval.delegated, (event.by, event.to))
    return replace(approval, approvers=(*before, event.to, *after), delegated=delegated, comments=comments)


def due_events(approval: Approval, at: int) -> list[ApprovalEscalated | ApprovalReminded | ApprovalOverdue]:
    """What time alone has brought about by `at` and is not recorded yet."""
    asked, due = approval.requested, approval.next_due
    if due is None or due > at:
        return []
    if asked.deadline is not None and at >= asked.deadline:
        return [ApprovalOverdue(at, asked.index, asked.step_id)]
    found: list[ApprovalEscalated | ApprovalReminded | ApprovalOverdue] = []
    for number, each in enumerate(asked.escalation.value, 1):
        if number > approval.escalated and asked.at + int(each["after_seconds"] * 1_000_000) <= at:
            to = Payload.of(each["to"])
            found.append(ApprovalEscalated(at, 0, asked.index, asked.step_id, number, to, each["note"]))
    if asked.remind_every is not None:
        number = min((at - asked.at) // asked.remind_every, MAX_REMINDERS)
        if number > approval.reminded:
            found.append(ApprovalReminded(at, 0, asked.index, asked.step_id, number))
    return found


def failure_of(approval: Approval) -> tuple[str, str]:
    """The code and the message of a step that was not approved."""
    if approval.rejected is not None:
        by, comment = approval.rejected
        return REJECTED, f"{by} rejected it" + (f": {comment}" if comment else "")
    wanted = approval.requested.quorum
    return EXPIRED, f"nobody decided in time: {len(approval.granted)} of {wanted} had granted it"
