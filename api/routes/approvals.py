"""Approvals of a run: how they stand, and deciding on them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ...core.runtime.admission import MAX_REASON
from ...projections.approval_view import approval_view
from ...projections.run_view import check_run
from ..answers import Approval, Approvals, answer
from ..bodies import Body, documented, read
from ..callers import Reader, Runner
from ..deciding import decided_by
from ..idempotency import KEY_HEADER, claim, idempotency_key
from ..names import Label, RunIdInPath, StepId
from ..ports import Given

router = APIRouter(prefix="/v1/runs/{run_id}/approvals", tags=["approvals"])
"""`GET` lists them, `POST` decides."""


class DecisionBody(Body):
    """What `by` does: `to` names somebody where it is a delegation. Without `step_id` it is the only open approval.

    Where keys are asked for, `by` is the name of the key; another one needs the scope operate.

    The same key again is the same decision.
    """

    action: Literal["grant", "reject", "delegate", "comment"]
    by: Label | None = None
    step_id: StepId | None = None
    comment: str = ""
    to: Label | None = None
    key: Annotated[str, Field(min_length=1, max_length=MAX_REASON)] | None = None


@router.get("", response_model=Approvals, summary="The approvals of a run")
async def approvals(run_id: RunIdInPath, ports: Given, caller: Reader) -> Response:
    """In the order in which they were asked for, decided ones too, with all that has been said."""
    found = await ports.engine.approvals.list(run_id, caller.tenant)
    return answer({"approvals": [approval_view(each) for each in found]})


@router.post(
    "",
    response_model=Approval,
    responses={
        403: {"description": "This person is none of its approvers."},
        409: {"description": "It is decided, or this person has decided."},
    },
    openapi_extra=documented(DecisionBody, KEY_HEADER, example={"action": "grant", "by": "ada"}),
    summary="Grant, reject, delegate or comment",
)
async def decide(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """How the approval stands then. What is answered counts, whoever else decides at the same time."""
    body = await read(request, DecisionBody)
    by = decided_by(caller, body.by)
    key = idempotency_key(request)
    if key is not None:
        await ports.ask(check_run, ports.store, run_id, caller.tenant)
        await claim(ports, caller, request, key, body)
    found = await ports.engine.approvals.decide(
        run_id, body.step_id, body.action, by, body.comment, body.to, key=body.key or key, tenant=caller.tenant
    )
    return answer(approval_view(found))
