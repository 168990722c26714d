"""What the API answers, as its OpenAPI document describes it. The answers are made of what the projections say."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from fastapi import Response
from pydantic import BaseModel

from ...core.results import StepResult
from ...projections.worker_reports import WorkerReport


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(orjson.dumps(value), status, headers, "application/json")


class Asked(BaseModel):
    """Whom a step waits for: `quorum` of them must grant, and `granted` have; `approvers` may still decide."""

    reason: str
    approvers: list[str]
    quorum: int
    granted: list[str]


class Waiting(BaseModel):
    """What a step waits for: a signal, the end of the run `child`, or people (all null: only the time), and until when
    (null: for ever)."""

    step_id: str
    signal: str | None
    child: str | None
    approval: Asked | None
    until: str | None


class Delegation(BaseModel):
    """Who handed their place on, and to whom."""

    by: str
    to: str


class Comment(BaseModel):
    """Who said what."""

    by: str
    comment: str


class Approval(Asked):
    """An approval as it stands. Times are ISO 8601 in UTC."""

    step_id: str
    status: Literal["open", "granted", "rejected", "expired", "cancelled"]
    details: Any
    rejected_by: str | None
    delegated: list[Delegation]
    comments: list[Comment]
    requested_at: str
    deadline: str | None
    next_escalation: str | None
    escalated: int
    reminded: int


class Approvals(BaseModel):
    """The approvals of a run."""

    approvals: list[Approval]


class Run(BaseModel):
    """A run as it stands. Times are ISO 8601 in UTC; hashes are SHA-256 in hexadecimal; costs are in cents.

    `held`: a live process works on it. `unserved`: why no worker would take it up.
    """

    run_id: str
    workflow_type: str
    workflow_version: str
    tenant: str
    agent_id: str | None
    seed: int
    queue: str
    priority: int
    status: str
    success: bool
    error_code: str | None
    message: str | None
    workflow_hash: str | None
    step_hashes: list[str | None]
    steps: list[StepResult]
    output: Any
    cost_cents: float
    continued_as: str | None
    started_at: str
    updated_at: str
    ended_at: str | None
    events: int
    waiting_for: list[Waiting]
    attributes: dict[str, Any]
    parent: str | None
    held: bool
    unserved: str | None


class StoredEvent(BaseModel):
    """An event as it is stored; payloads over 64 KiB stand there by their hash. `fault` says why one is unreadable."""

    version: int
    topic: str
    at: str | None
    data: dict[str, Any] | None
    hash: str
    predecessor: str | None
    # `schema` is stored too, and served; a model may not have a field of that name.
    nonce: str | None = None
    build: str | None = None
    fault: str | None = None


class EventPage(BaseModel):
    """Events in order; the next page begins after version `next_after`, null at the end of what is recorded so far."""

    events: list[StoredEvent]
    next_after: int | None


class Proof(BaseModel):
    """Whether a proof holds, and if not, where."""

    ok: bool
    findings: list[dict[str, Any]]


class Verdict(BaseModel):
    """The verdict on a run: its chain (bytes intact) and its fold (hashes recomputed equal those recorded)."""

    run_id: str
    tenant: str
    ok: bool
    events: int
    messages: int
    status: str | None
    workflow_hash: str | None
    chain: Proof
    fold: Proof


class Answer(BaseModel):
    """What a run's function answered to a query."""

    answer: Any


class Workers(BaseModel):
    """The workers that have not left."""

    workers: list[WorkerReport]


class Health(BaseModel):
    """The process lives."""

    status: Literal["healthy"]
    build: str


class ReadyCheck(BaseModel):
    """One thing that was looked at: what was found and what is allowed, in `unit`; `detail` says what is wrong."""

    name: str
    status: Literal["ok", "failed"]
    value: float | None
    limit: float | None
    unit: str
    detail: str


class Ready(BaseModel):
    """Whether requests should be sent here. `stopping`: the server ends what is under way, and then itself."""

    status: Literal["ready", "not ready", "stopping"]
    checks: list[ReadyCheck]


class ProblemEntry(BaseModel):
    """One thing that is wrong: where in the body (RFC 6901 pointer), why, and what to do about it."""

    pointer: str
    reason: str
    fix: str


class ProblemDocument(BaseModel):
    """RFC 9457; `code` is one of the failure catalog."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    problems: list[ProblemEntry]
