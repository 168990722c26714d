"""Emergency stops: what is stopped, stopping, releasing."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from ...core.emergency import Scope, Stop
from ...core.errors import CallError, Problem
from ...core.runtime.admission import MAX_REASON
from ...core.runtime.emergency import check_scope
from ...projections.stop_reach import OpenRuns, open_runs
from ...projections.times import iso
from ..answers import answer
from ..answers.emergency import EmergencyStatus, Enabled, Released
from ..bodies import Body, documented, read
from ..callers import Caller, Operator, Reader
from ..idempotency import KEY_HEADER, claim, idempotency_key
from ..ports import Given, Ports
from ..problems import Refusal

router = APIRouter(prefix="/v1/control/emergency-stop", tags=["emergency stop"])
"""`/v1/control/emergency-stop`."""


class ScopeBody(Body):
    """What is meant: everything, or a tenant, a workflow type, or a queue by its `name`; and why, which is recorded."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"scope": "queue", "name": "billing", "reason": "the bank answers again"}]}
    )

    scope: Literal["global", "tenant", "workflow", "queue"] = "tenant"
    name: Annotated[str, Field(max_length=200)] | None = None
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


class StopBody(ScopeBody):
    """What is stopped. Steps under way finish, or are cancelled and executed again after the release."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"scope": "queue", "name": "billing", "reason": "the bank does not answer", "running": "finish"}
            ]
        }
    )

    running: Literal["finish", "cancel"] = "finish"


@router.get("", response_model=EmergencyStatus, summary="What is stopped")
async def emergency_status(ports: Given, caller: Reader) -> Response:
    """All stops that concern the caller's runs; those of other tenants only for a caller for all tenants."""
    return answer(await _status(ports, caller))


@router.post(
    "",
    response_model=Enabled,
    openapi_extra=documented(StopBody, KEY_HEADER),
    summary="Stop a tenant, a type, a queue",
)
async def enable_emergency_stop(request: Request, ports: Given, caller: Operator) -> Response:
    """On all workers within a second: no step begins in its scope. The caller's tenant, unless told otherwise; anything
    wider concerns every tenant, and takes a caller for all of them. The same again changes nothing."""
    key, body = idempotency_key(request), await read(request, StopBody)
    scope = _scope(body, caller)
    # Under its key it is done again where it is not in force: an answer that says so must be true.
    await claim(ports, caller, request, key, body)
    made = await ports.engine.emergency.enable(scope, running=body.running, reason=body.reason, by=caller.name)
    told = _told(made, await ports.ask(open_runs, ports.store), caller)
    return answer({**await _status(ports, caller), "enabled": told})


@router.post(
    "/release",
    response_model=Released,
    openapi_extra=documented(ScopeBody, KEY_HEADER),
    summary="Release an emergency stop",
)
async def release_emergency_stop(request: Request, ports: Given, caller: Operator) -> Response:
    """What was held back goes on untouched. Where nothing was stopped, nothing changes. Sent again under its
    Idempotency-Key it releases nothing: what is stopped then, as `stops` tells, takes another release."""
    key, body = idempotency_key(request), await read(request, ScopeBody)
    scope = _scope(body, caller)
    if not await claim(ports, caller, request, key, body):
        return answer({**await _status(ports, caller), "released": []})
    found = await ports.engine.emergency.disable(scope, reason=body.reason, by=caller.name)
    runs = await ports.ask(open_runs, ports.store)
    return answer({**await _status(ports, caller), "released": [_told(stop, runs, caller) for stop in found]})


def _scope(body: ScopeBody, caller: Caller) -> Scope:
    if body.scope == "tenant":
        name = caller.tenant if body.name is None else body.name
    elif body.scope == "global":
        name = body.name or ""
    elif body.name is None:
        raise CallError(Problem("/name", f"which {body.scope} is meant is not said", "give its name"))
    else:
        name = body.name
    try:
        scope = check_scope(Scope(body.scope, name))
    except CallError as error:
        raise CallError([Problem("/name", each.reason, each.fix) for each in error.problems]) from None
    if scope != Scope("tenant", caller.tenant) and not caller.everywhere:
        reason = "this concerns every tenant: it needs the scope operate for all of them"
        raise Refusal(HTTPStatus.FORBIDDEN, reason, code="SCOPE_MISSING")
    return scope


async def _status(ports: Ports, caller: Caller) -> dict[str, Any]:
    stops = await ports.engine.emergency.status()
    runs = await ports.ask(open_runs, ports.store)
    shown = list(_concerning(stops.all(), caller))
    held = None if runs is None else runs.held_by(stops, _whose(caller))
    told = [_told(stop, runs, caller) for stop in shown]
    return {"status": "STOPPED" if shown else "RUNNING", "stops": told, "holds": held}


def _concerning(stops: Iterable[Stop], caller: Caller) -> Iterable[Stop]:
    mine = Scope("tenant", caller.tenant)
    return (stop for stop in stops if caller.everywhere or stop.scope.kind != "tenant" or stop.scope == mine)


def _whose(caller: Caller) -> str | None:
    return None if caller.everywhere else caller.tenant


def _told(stop: Stop, runs: OpenRuns | None, caller: Caller) -> dict[str, Any]:
    holds = None if runs is None else runs.within(stop.scope, _whose(caller))
    return {**stop.to_json(), "at": iso(stop.at), "holds": holds}
