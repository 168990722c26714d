"""An approval as programs are shown it."""

from __future__ import annotations

from typing import Any

from ..core.approvals import Approval
from .times import iso


def approval_view(approval: Approval) -> dict[str, Any]:
    """The approval as a JSON object; times in ISO 8601."""
    asked = approval.requested
    return {
        "step_id": asked.step_id,
        "status": approval.standing,
        "reason": asked.reason,
        "details": asked.details.value,
        "approvers": list(approval.approvers),
        "quorum": asked.quorum,
        "granted": [each.by for each in approval.granted],
        "rejected_by": None if approval.rejected is None else approval.rejected.by,
        "delegated": [{"by": by, "to": to} for by, to in approval.delegated],
        "comments": [each._asdict() for each in approval.comments],
        "requested_at": _iso(asked.at),
        "deadline": _iso(asked.deadline),
        "next_escalation": _iso(approval.next_escalation) if approval.standing == "open" else None,
        "escalated": approval.escalated,
        "reminded": approval.reminded,
    }


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)
