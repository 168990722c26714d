"""Schedules: workflows that workers run by themselves."""

from __future__ import annotations

import time
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.errors import InvalidError, RunNotFoundError
from ...core.ids import check_run_id
from ...core.runtime.admission import MAX_REASON
from ...core.runtime.scheduling.fire_times import fire_times
from ...core.runtime.scheduling.schedule import Schedule
from ...core.runtime.scheduling.schedules import ScheduleStatus as Status
from ...projections.times import iso
from ..answers import answer
from ..answers.schedules import FireTimes, SchedulePage, ScheduleStatus
from ..bodies import Body, documented, read
from ..callers import Operator, Reader
from ..idempotency import KEY_HEADER, claim, idempotency_key
from ..missing import missing
from ..pages import PageParameters, Parameters, cut, moved
from ..ports import Given, Ports

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])
"""`/v1/schedules`."""

_Key = Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
_Reason = Annotated[str, Field(max_length=MAX_REASON)]


class ScheduleBody(Body):
    """A schedule: what runs, when, and what becomes of firings that were missed or that meet. `paused`: it fires from
    when it is resumed."""

    schedule: dict[str, Any]
    paused: bool = False


class ScheduleReason(Body):
    """Why; it is recorded."""

    reason: _Reason = ""


class ResumeBody(Body):
    """An empty object."""


class TriggerBody(Body):
    """With the same key again it is the same firing."""

    key: _Key | None = None


class FireTimeParameters(Parameters):
    """How many times."""

    count: Annotated[int, Field(ge=1, le=100, description="So many.")] = 10


_MADE: dict[int | str, dict[str, Any]] = {
    201: {"model": ScheduleStatus, "description": "It is made, or was there with the same definition."},
    409: {"description": "There is another schedule, or another run, of this id."},
}


@router.get("", response_model=SchedulePage, summary="List schedules")
async def list_schedules(ports: Given, caller: Reader, wanted: Annotated[PageParameters, Query()]) -> Response:
    """Those that have not ended."""
    shown, cursor = cut(await ports.schedules.runs(caller.tenant), wanted, str)
    rows = [(await ports.schedules.of_run(run_id, caller.tenant)).to_json() for run_id in shown]
    return answer({"schedules": rows, "next_cursor": cursor})


@router.post(
    "",
    status_code=201,
    responses=_MADE,
    openapi_extra=documented(ScheduleBody, KEY_HEADER),
    summary="Make a schedule",
)
async def create_schedule(request: Request, ports: Given, caller: Operator) -> Response:
    """Workers fire it from now on. The same definition again changes nothing."""
    key, body = idempotency_key(request), await read(request, ScheduleBody)
    try:
        parsed = await ports.ask(Schedule.parse, body.schedule)
    except InvalidError as error:
        raise moved(error, "/schedule") from None
    await claim(ports, caller, request, key, body)
    made = await ports.schedules.create(parsed, caller.tenant, paused=body.paused)
    return answer(made.to_json(), 201, {"location": f"/v1/schedules/{parsed.schedule_id}"})


@router.get("/{schedule_id}", response_model=ScheduleStatus, summary="One schedule")
async def get_schedule(schedule_id: str, ports: Given, caller: Reader) -> Response:
    """How it stands, or stood at its end."""
    return answer((await _known(ports, schedule_id, caller.tenant)).to_json())


@router.get("/{schedule_id}/times", response_model=FireTimes, summary="When a schedule fires next")
async def get_fire_times(
    schedule_id: str, ports: Given, caller: Reader, wanted: Annotated[FireTimeParameters, Query()]
) -> Response:
    """By its definition, from now on."""
    timing = (await _known(ports, schedule_id, caller.tenant)).schedule.timing
    times = await ports.ask(lambda: list(islice(fire_times(timing, int(time.time())), wanted.count)))
    return answer({"schedule_id": schedule_id, "times": [iso(at * 1_000_000) for at in times]})


@router.post(
    "/{schedule_id}/pause",
    response_model=ScheduleStatus,
    openapi_extra=documented(ScheduleReason),
    summary="Pause a schedule",
)
async def pause_schedule(request: Request, schedule_id: str, ports: Given, caller: Operator) -> Response:
    """It fires no more until it is resumed; runs that go on are left alone."""
    body = await read(request, ScheduleReason)
    await _known(ports, schedule_id, caller.tenant)
    await ports.schedules.pause(schedule_id, body.reason, caller.tenant)
    return answer((await _known(ports, schedule_id, caller.tenant)).to_json())


@router.post(
    "/{schedule_id}/resume",
    response_model=ScheduleStatus,
    openapi_extra=documented(ResumeBody),
    summary="Resume a schedule",
)
async def resume_schedule(request: Request, schedule_id: str, ports: Given, caller: Operator) -> Response:
    """It fires again; its policy for catching up says what becomes of what was missed."""
    await read(request, ResumeBody)
    await _known(ports, schedule_id, caller.tenant)
    await ports.schedules.resume(schedule_id, caller.tenant)
    return answer((await _known(ports, schedule_id, caller.tenant)).to_json())


@router.post(
    "/{schedule_id}/trigger",
    status_code=202,
    responses={202: {"model": ScheduleStatus, "description": "It is recorded, and fires as soon as a worker looks."}},
    openapi_extra=documented(TriggerBody, KEY_HEADER),
    summary="Fire a schedule now",
)
async def trigger_schedule(request: Request, schedule_id: str, ports: Given, caller: Operator) -> Response:
    """Once for each key; a firing like any other if it overlaps."""
    key = idempotency_key(request)
    body = await read(request, TriggerBody)
    await _known(ports, schedule_id, caller.tenant)
    await ports.schedules.trigger(schedule_id, caller.tenant, key=body.key or key)
    return answer((await _known(ports, schedule_id, caller.tenant)).to_json(), 202)


@router.delete(
    "/{schedule_id}",
    status_code=202,
    responses={202: {"model": ScheduleStatus, "description": "It is recorded, and ends as soon as a worker looks."}},
    summary="End a schedule",
)
async def delete_schedule(schedule_id: str, ports: Given, caller: Operator) -> Response:
    """It fires no more, and the run that it waits for is cancelled. What it did stays in the log."""
    await _known(ports, schedule_id, caller.tenant)
    await ports.schedules.delete(schedule_id, f"by {caller.name}" if caller.name else "", caller.tenant)
    return answer((await _known(ports, schedule_id, caller.tenant)).to_json(), 202)


async def _known(ports: Ports, schedule_id: str, tenant: str) -> Status:
    try:
        return await ports.schedules.get(check_run_id(schedule_id), tenant)
    except (InvalidError, RunNotFoundError):
        raise missing("schedule", schedule_id) from None
