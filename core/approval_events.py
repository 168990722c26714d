"""What can happen to an approval, a step that waits for people: see `refold.core.events`, which has these classes too.

Those that were brought about by a message of the run's inbox name it; where `message` is 0 it was a timer of the
run's owner. Together they say who was asked, who said what, and who was asked besides: the audit trail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .canonical import Payload


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """A step that began to wait just now (`step.waiting`) waits for people: `quorum` of `approvers` must grant.

    `deadline` is in microseconds since the epoch, None: there is none. `escalation` lists objects `after_seconds`,
    `to`, `note`; `remind_every` is in microseconds. `details` is what the approvers are shown.
    """

    topic: ClassVar = "approval.requested"
    schema: ClassVar = 1

    at: int
    index: int | str
    step_id: str
    reason: str
    approvers: Payload
    quorum: int
    deadline: int | None
    escalation: Payload
    remind_every: int | None
    details: Payload


@dataclass(frozen=True, slots=True)
class ApprovalGranted:
    """`by` said yes. With the last one of the quorum the approval is granted."""

    topic: ClassVar = "approval.granted"
    schema: ClassVar = 1

    at: int
    message: int
    index: int | str
    step_id: str
    by: str
    comment: str


@dataclass(frozen=True, slots=True)
class ApprovalRejected:
    """`by` said no, which decides it."""

    topic: ClassVar = "approval.rejected"
    schema: ClassVar = 1

    at: int
    message: int
    index: int | str
    step_id: str
    by: str
    comment: str


@dataclass(frozen=True, slots=True)
class ApprovalDelegated:
    """`by` has `to` decide in their place, and decides no longer."""

    topic: ClassVar = "approval.delegated"
    schema: ClassVar = 1

    at: int
    message: int
    index: int | str
    step_id: str
    by: str
    to: str
    comment: str


@dataclass(frozen=True, slots=True)
class ApprovalCommented:
    """`by` said something and decided nothing."""

    topic: ClassVar = "approval.commented"
    schema: ClassVar = 1

    at: int
    message: int
    index: int | str
    step_id: str
    by: str
    comment: str


@dataclass(frozen=True, slots=True)
class ApprovalEscalated:
    """Nobody has decided for too long: the escalation of this number, from 1, came about; `to` may decide as well."""

    topic: ClassVar = "approval.escalated"
    schema: ClassVar = 1

    at: int
    message: int
    index: int | str
    step_id: str
    number: int
    to: Payload
    note: str


@dataclass(frozen=True, slots=True)
class ApprovalReminded:
    """So many times (`number`) the time between reminders has passed, and nobody has decided: for those who notify."""

    topic: ClassVar = "approval.reminded"
    schema: ClassVar = 1

    at: int
    message: int
    index: int | str
    step_id: str
    number: int


@dataclass(frozen=True, slots=True)
class ApprovalOverdue:
    """The deadline has come. A message `expire` goes into the run's inbox with this event: what stands there before it
    still counts."""

    topic: ClassVar = "approval.overdue"
    schema: ClassVar = 1

    at: int
    index: int | str
    step_id: str


@dataclass(frozen=True, slots=True)
class ApprovalExpired:
    """Nobody decided before the deadline."""

    topic: ClassVar = "approval.expired"
    schema: ClassVar = 1

    at: int
    message: int
    index: int | str
    step_id: str


Decided = ApprovalGranted | ApprovalRejected | ApprovalDelegated | ApprovalCommented
"""What somebody said."""

ApprovalEvent = ApprovalRequested | Decided | ApprovalEscalated | ApprovalReminded | ApprovalOverdue | ApprovalExpired
"""Anything that can happen to an approval."""
