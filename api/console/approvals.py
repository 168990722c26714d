"""The approvals: what waits for people, deciding it, and what was decided."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.approvals import Approval
from ...core.errors import RefoldError
from ...projections.approval_inbox import InboxFilter, inbox
from ...projections.approval_view import approval_view
from ..callers import Caller, Reader, Runner
from ..ports import Given, Ports
from .forms import Form, form_of
from .pages import PageParameters, page
from .words import query, segment

router = APIRouter(include_in_schema=False)
"""`/approvals`, `/approvals/{run_id}` and what their forms send."""

_OPEN, _DECIDED = 20, 50

_Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")]


class InboxParameters(PageParameters):
    """Which approvals: those that are open, or that stand otherwise; that somebody may decide; after which one."""

    status: Literal["open", "granted", "rejected", "expired", "cancelled", "all"] = "open"
    approver: _Text | None = None
    after: Annotated[str, Field(pattern=r"^[0-9]{1,18}/[^/\x00-\x1f]{0,200}/[^\x00-\x1f]{0,300}$")] | None = None


class DecisionForm(Form):
    """What somebody decides."""

    step_id: str
    action: Literal["grant", "reject", "delegate", "comment"]
    by: str
    comment: str = ""
    to: str | None = None


@router.get("/approvals")
async def approvals_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[InboxParameters, Query()]
) -> Response:
    """The approvals of all runs, those first that have waited longest."""
    approver = wanted.approver if wanted.status in ("open", "all") else None
    chosen = InboxFilter(caller.tenant, None if wanted.status == "all" else wanted.status, approver)
    limit = _OPEN if wanted.status == "open" else _DECIDED
    found = await ports.ask(inbox, ports.store, chosen, limit, _key(wanted.after))
    rows = [{name: value for name, value in row.items() if name != "tenant"} for row in found.rows]
    if wanted.status == "open":
        rows = [{**row, **await _whole(ports, caller, row["run_id"], row["step_id"])} for row in rows]
    filters = {"status": wanted.status, "approver": wanted.approver}
    following = None if found.next_key is None else "/".join(map(str, found.next_key))
    model = {
        "approvals": rows,
        "filters": filters,
        "next": None if following is None else query(filters, after=following),
        "projected": found.read is not None,
        "behind": None if found.read is None else found.read.lag.events,
    }
    return await page(request, ports, caller, "approvals.html", model)


@router.get("/approvals/{run_id}")
async def run_approvals_page(
    request: Request, run_id: str, ports: Given, caller: Reader, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """All approvals of one run, as its log and inbox have them."""
    found = await ports.engine.approvals.list(run_id, caller.tenant)
    rows = [{"run_id": run_id, **told_approval(each)} for each in reversed(found)]
    return await page(request, ports, caller, "run_approvals.html", {"run_id": run_id, "approvals": rows})


@router.post("/approvals/{run_id}")
async def decide(request: Request, run_id: str, ports: Given, caller: Runner) -> Response:
    """Decide, then show how the approval stands."""
    form = await form_of(request, caller, DecisionForm)
    to = form.to if form.action == "delegate" else None
    await ports.engine.approvals.decide(
        run_id, form.step_id, form.action, form.by, form.comment, to, tenant=caller.tenant
    )
    return Response(status_code=303, headers={"location": f"/approvals/{segment(run_id)}"})


def told_approval(approval: Approval) -> dict[str, Any]:
    """An approval as pages show it: as the API tells it, and with who is asked besides, and when."""
    steps: Any = approval.requested.escalation.value
    left = [
        {"after_seconds": each["after_seconds"], "to": each["to"]} for each in islice(steps, approval.escalated, 20)
    ]
    return {**approval_view(approval), "escalation": left}


async def _whole(ports: Ports, caller: Caller, run_id: str, step_id: str) -> dict[str, Any]:
    """What only the run's log says of an approval; less where that cannot be read."""
    try:
        found = await ports.engine.approvals.list(run_id, caller.tenant)
    except RefoldError:
        return {}
    told = next((told_approval(each) for each in found if each.step_id == step_id), None)
    return told or {}


def _key(after: str | None) -> tuple[int, str, str] | None:
    if after is None:
        return None
    at, run_id, step_id = after.split("/", 2)
    return int(at), run_id, step_id
