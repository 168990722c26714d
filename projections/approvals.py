"""Approvals: who was asked for what, who said what, and what is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.approvals import Approval, note
from ..core.canonical import canonical_json
from ..core.events import (
    ApprovalCommented,
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalGranted,
    ApprovalRejected,
    Event,
)
from ..core.step_events import StepIndex
from ..eventstore.tables import Row, Table
from .model import FollowedRun, GrowingProjection
from .texts import column_text, message_text

APPROVALS = Table(
    "approvals",
    {
        "tenant": "text",
        "run_id": "text",
        "step_id": "text",
        "workflow_type": "text",
        "status": "text",
        "reason": "text",
        "approvers": "json",
        "quorum": "int",
        "granted": "int",
        "said": "json",
        "requested_at": "int",
        "deadline": "int",
        "next_escalation": "int",
        "next_due": "int",
        "escalated": "int",
        "reminded": "int",
        "decided_at": "int",
    },
    key=3,
    indexes=[("tenant", "status", "requested_at", "run_id", "step_id"), ("status", "next_due")],
)
"""A row for each approval that was asked for.

`status` is open, granted, rejected, expired or cancelled. `approvers` are those who may still decide, `granted` is how
many have. `said` lists what people and escalations did: objects `at`, `action`, `by`, `comment`, `to`. `next_due` is
when something comes about by itself. Times are in µs since the epoch.
"""


@dataclass(slots=True)
class _Notes:
    """What is known of a run's approvals, decided ones too, and what was said to each."""

    found: dict[StepIndex, Approval] = field(default_factory=dict[StepIndex, Approval])
    said: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])


class ApprovalsProjection(GrowingProjection):
    """Fills `approvals`."""

    name = "approvals"
    tables = (APPROVALS,)

    def taken(self, run: FollowedRun, event: Event) -> Mapping[str, Sequence[Row]]:
        """See `GrowingProjection.taken`."""
        notes: _Notes | None = run.notes.get(self.name)
        if notes is None:
            if event.topic != "approval.requested":
                return {}
            notes = run.notes[self.name] = _Notes()
        changed = note(notes.found, event)
        told = _told(event)
        if told is not None:
            notes.said.setdefault(changed[0].step_id, []).append(told)
        return {APPROVALS.name: [_row(run, notes, each) for each in changed]} if changed else {}


def _told(event: Event) -> dict[str, Any] | None:
    match event:
        case ApprovalGranted() | ApprovalRejected() | ApprovalCommented():
            told = {"by": event.by, "comment": message_text(event.comment)}
        case ApprovalDelegated():
            told = {"by": event.by, "comment": message_text(event.comment), "to": [event.to]}
        case ApprovalEscalated():
            told = {"comment": message_text(event.note), "to": event.to.value}
        case _:
            return None
    return {"at": event.at, "action": event.topic.removeprefix("approval."), "by": "", "to": [], **told}


def _row(run: FollowedRun, notes: _Notes, approval: Approval) -> Row:
    asked, standing = approval.requested, approval.standing
    return (
        run.tenant,
        run.run_id,
        column_text(asked.step_id),
        run.state.started.workflow_type,
        standing,
        message_text(asked.reason),
        canonical_json(list(approval.approvers)).decode(),
        asked.quorum,
        len(approval.granted),
        canonical_json(notes.said.get(asked.step_id, [])).decode(),
        asked.at,
        asked.deadline,
        approval.next_escalation if standing == "open" else None,
        approval.next_due,
        approval.escalated,
        approval.reminded,
        None if standing == "open" else run.at,
    )
