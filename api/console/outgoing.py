"""What happens by itself, and who is told: schedules and webhooks; and the list of all pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from ...core.errors import QueryUnansweredError
from ...projections.webhook_view import counted, endpoint_json
from ..callers import Caller, Operator, Reader
from ..ports import Given, Ports
from .forms import Form, form_of
from .navigation import navigation_of
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/schedules`, `/webhooks`, `/more`, and what their forms send."""


class ScheduleForm(Form):
    """What is to become of a schedule."""

    schedule_id: str = ""
    action: Literal["pause", "resume", "trigger"]


class EndpointForm(Form):
    """Whether an endpoint is told of events, and why."""

    endpoint_id: str = ""
    action: Literal["enable", "disable"]
    reason: str = ""


@router.get("/more")
async def more_page(
    request: Request, ports: Given, caller: Reader, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """All pages that the caller is served, each with what it is for."""
    areas = navigation_of(caller, request.url.path, request.app.state.pages)
    return await page(request, ports, caller, "more.html", {"areas": areas})


@router.get("/schedules")
async def schedules_page(
    request: Request, ports: Given, caller: Reader, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The tenant's schedules that have not ended."""
    runs = list(await ports.schedules.runs(caller.tenant))
    found = [await _schedule(ports, caller, run_id) for run_id in runs]
    return await page(request, ports, caller, "schedules.html", {"schedules": found})


@router.post("/schedules")
async def steer_schedule(request: Request, ports: Given, caller: Operator) -> Response:
    """Pause a schedule, let it go on, or have it fire now."""
    form = await form_of(request, caller, ScheduleForm)
    schedules = ports.schedules
    if form.action == "pause":
        await schedules.pause(form.schedule_id, "", caller.tenant)
    elif form.action == "resume":
        await schedules.resume(form.schedule_id, caller.tenant)
    else:
        await schedules.trigger(form.schedule_id, caller.tenant)
    return Response(status_code=303, headers={"location": "/schedules"})


@router.get("/webhooks")
async def webhooks_page(
    request: Request, ports: Given, caller: Operator, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The tenant's endpoints. It takes an operator: URLs can be secrets."""
    every = await ports.engine.webhooks.list(tenant=caller.tenant)
    counts = await ports.ask(ports.store.outbox.counts, caller.tenant)
    rows = [endpoint_json(each) | counted(counts, each) for each in every]
    return await page(request, ports, caller, "webhooks.html", {"webhooks": rows})


@router.post("/webhooks")
async def steer_webhook(request: Request, ports: Given, caller: Operator) -> Response:
    """Have an endpoint be told of events, or no more."""
    form = await form_of(request, caller, EndpointForm)
    webhooks = ports.engine.webhooks
    if form.action == "enable":
        await webhooks.enable(form.endpoint_id, tenant=caller.tenant, by=caller.name)
    else:
        await webhooks.disable(form.endpoint_id, form.reason, tenant=caller.tenant, by=caller.name)
    return Response(status_code=303, headers={"location": "/webhooks"})


async def _schedule(ports: Ports, caller: Caller, run_id: str) -> dict[str, Any]:
    """How a schedule stands; `fault` where nobody answers for it."""
    try:
        return {"run_id": run_id, **(await ports.schedules.of_run(run_id, caller.tenant)).to_json(), "fault": None}
    except QueryUnansweredError as error:
        return {"run_id": run_id, "schedule": {"schedule_id": run_id}, "status": "unreadable", "fault": str(error)}
