"""What the API answers about the approvals of all runs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from .failures import Behind


class Said(BaseModel):
    """What somebody, or an escalation ("by": ""), did and said."""

    at: str
    action: str
    by: str
    comment: str
    to: list[str]


class ListedApproval(BaseModel):
    """An approval. `approvers` may still decide, `granted` of the `quorum` have; `next_due` is when something comes
    about by itself. Times are ISO 8601 in UTC."""

    run_id: str
    step_id: str
    workflow_type: str
    status: Literal["open", "granted", "rejected", "expired", "cancelled"]
    reason: str
    approvers: list[str]
    quorum: int
    granted: int
    said: list[Said]
    requested_at: str
    deadline: str | None
    next_escalation: str | None
    next_due: str | None
    escalated: int
    reminded: int
    decided_at: str | None


class ApprovalPage(BaseModel):
    """Approvals, those that have waited longest first. `behind`: how far the projection is behind; null: there is none,
    so logs were read, of the runs started last first."""

    approvals: list[ListedApproval]
    next_cursor: str | None
    behind: Behind | None
