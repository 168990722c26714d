"""Emergency stops: what is stopped now, stopping (what that means is told first), releasing, and who did so before."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.emergency import EVERYTHING, KINDS, Kind, Running, Scope, Stop, Stops
from ...core.errors import CallError, Problem
from ...core.ids import EMERGENCY
from ...core.runtime.emergency import check_scope
from ...eventstore.store import Store
from ...projections.control_list import control_page
from ...projections.stop_effects import stop_effect
from ...projections.times import iso
from ...projections.worker_reports import reports
from ..callers import Caller, Operator, Reader
from ..ports import Given
from ..problems import Refusal
from .forms import Form, form_of
from .pages import PageParameters, page
from .words import query

router = APIRouter(include_in_schema=False)
"""`/emergency-stop` and what its forms send."""

WORD = "STOP"
"""What has to be typed before everything is stopped."""

_MOST = 100


class StopParameters(PageParameters):
    """What would be stopped, to be looked at before it is."""

    scope: Kind = "global"
    name: Annotated[str, Field(max_length=300)] = ""
    running: Running = "finish"
    reason: Annotated[str, Field(max_length=2000)] = ""


class StopForm(Form):
    """A stop that was confirmed."""

    scope: Literal["global", "tenant", "workflow", "queue"]
    name: str = ""
    running: Literal["finish", "cancel"]
    reason: str = ""
    word: str = ""


class ReleaseForm(Form):
    """A stop that is to be over."""

    scope: Literal["global", "tenant", "workflow", "queue"]
    name: str = ""
    reason: str = ""


@router.get("/emergency-stop")
async def emergency_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[PageParameters, Query()]
) -> Response:
    """What is stopped, and what was."""
    stops = await ports.engine.emergency.status()
    model = await ports.ask(emergency_model, ports.store, stops, caller)
    return await page(request, ports, caller, "emergency.html", model)


@router.get("/emergency-stop/confirm")
async def confirm_page(
    request: Request, ports: Given, caller: Operator, wanted: Annotated[StopParameters, Query()]
) -> Response:
    """What such a stop would do, and the form that enables it."""
    scope = _scope(caller, wanted.scope, wanted.name)
    effect = await ports.ask(stop_effect, ports.store, scope)
    known = (await ports.engine.emergency.status()).find(scope)
    model = {
        "scope": scope.kind,
        "name": scope.name,
        "running": wanted.running,
        "reason": wanted.reason,
        "effect": {**effect._asdict(), "runs": effect.runs},
        "known": None if known is None else _told(known, caller),
        "word": WORD if scope == EVERYTHING else None,
    }
    return await page(request, ports, caller, "emergency_confirm.html", model)


@router.post("/emergency-stop")
async def enable(request: Request, ports: Given, caller: Operator) -> Response:
    """Stop, as confirmed."""
    form = await form_of(request, caller, StopForm)
    scope = _scope(caller, form.scope, form.name)
    if scope == EVERYTHING and form.word != WORD:
        reason = f"everything is stopped only when {WORD} is typed, in capital letters"
        raise CallError(Problem("/word", reason, "go back, and type it"))
    await ports.engine.emergency.enable(scope, running=form.running, reason=form.reason, by=caller.name)
    return Response(status_code=303, headers={"location": "/emergency-stop"})


@router.post("/emergency-stop/release")
async def release(request: Request, ports: Given, caller: Operator) -> Response:
    """Let what was held back go on."""
    form = await form_of(request, caller, ReleaseForm)
    scope = _scope(caller, form.scope, form.name)
    await ports.engine.emergency.disable(scope, reason=form.reason, by=caller.name)
    return Response(status_code=303, headers={"location": "/emergency-stop"})


def emergency_model(store: Store, stops: Stops, caller: Caller) -> dict[str, Any]:
    """The page's model, of what the caller may know."""
    live = [worker for worker in reports(store) if not worker.lost] if caller.everywhere else []
    history = control_page(store, {"emergency": EMERGENCY}, _MOST).rows
    return {
        "stops": [_told(stop, caller) for stop in stops.all() if _concerns(stop.scope.kind, stop.scope.name, caller)],
        "workers": {
            "live": len(live),
            "heed": sum(worker.stops_seen >= stops.version for worker in live),
        }
        if caller.everywhere
        else None,
        "history": [
            {**row, "scope": row["what"].get("scope", ""), "name": row["what"].get("name", "")}
            for row in history
            if _concerns(row["what"].get("scope"), row["what"].get("name"), caller)
        ],
        "scopes": [kind for kind in KINDS if caller.everywhere or kind == "tenant"],
        "tenant": caller.tenant,
    }


def _told(stop: Stop, caller: Caller) -> dict[str, Any]:
    mine = stop.source == "log" and (caller.everywhere or stop.scope == Scope("tenant", caller.tenant))
    again = query({"scope": stop.scope.kind, "name": stop.scope.name, "running": stop.running, "reason": stop.reason})
    return {**stop.to_json(), "at": iso(stop.at), "releasable": mine, "change": again}


def _concerns(kind: Any, name: Any, caller: Caller) -> bool:
    """Whether the caller is to know of it: not of what is about other tenants."""
    return caller.everywhere or kind != "tenant" or name == caller.tenant


def _scope(caller: Caller, kind: Kind, name: str) -> Scope:
    """What is meant. Raises CallError, and Refusal for what is not the caller's to stop."""
    scope = check_scope(Scope(kind, "" if kind == "global" else name.strip()))
    if not caller.everywhere and scope != Scope("tenant", caller.tenant):
        reason = "this key is of one tenant, and stops only what belongs to it"
        raise Refusal(HTTPStatus.FORBIDDEN, reason)
    return scope
