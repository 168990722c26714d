"""Runs: start them, look at them, read their logs, have them proved."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.ids import stream_of
from ...projections.run_view import look_at
from ...projections.stored_events import stored_events
from ...replay.verify import verify_run
from ..answers import EventPage, Run, Verdict, answer
from ..bodies import documented, read
from ..callers import Auditor, Reader, Runner
from ..names import RunIdInPath
from ..ports import Given
from ..starting import StartBody, idempotency_key, start

router = APIRouter(prefix="/v1/runs", tags=["runs"])
"""`/v1/runs` but for lists, live events, messages to runs and what is made of them."""


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EventParameters(_Parameters):
    """Which events: those after version `after`."""

    after: Annotated[int, Field(ge=0, lt=2**53)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class ResultParameters(_Parameters):
    """For how many seconds to wait for the end."""

    wait: Annotated[float, Field(ge=0, le=60)] = 0


_STARTED: dict[int | str, dict[str, Any]] = {
    201: {"model": Run, "description": "The run is recorded; Location says where it is."},
    200: {"model": Run, "description": "The run existed, with the same spec, inputs and seed."},
    409: {"description": "The run id, or the idempotency key, is taken by another run."},
}


@router.post("", status_code=201, responses=_STARTED, openapi_extra=documented(StartBody), summary="Start a run")
async def start_run(request: Request, ports: Given, caller: Runner) -> Response:
    """It is recorded, and workers of its queue that have all its skills take it up; nothing is executed here.

    The same request again is the same run, if it has a run id or the header Idempotency-Key.
    """
    key = idempotency_key(request)
    body = await read(request, StartBody)
    result, fresh = await start(ports, caller.tenant, body, key)
    view = await ports.ask(look_at, ports.store, result.run_id, caller.tenant)
    return answer(view.to_json(), 201 if fresh else 200, {"location": f"/v1/runs/{result.run_id}"})


@router.get("/{run_id}", response_model=Run, summary="A run as it stands")
async def get_run(run_id: RunIdInPath, ports: Given, caller: Reader) -> Response:
    """Folded from its log, so never stale."""
    view = await ports.ask(look_at, ports.store, run_id, caller.tenant)
    return answer(view.to_json())


@router.get("/{run_id}/events", response_model=EventPage, summary="The event log of a run, as stored")
async def get_events(
    run_id: RunIdInPath, ports: Given, caller: Reader, wanted: Annotated[EventParameters, Query()]
) -> Response:
    """In order of version. With `hash` and `predecessor` the chain can be checked without trusting this server."""

    def page() -> list[dict[str, Any]]:
        return list(stored_events(ports.store, run_id, caller.tenant, wanted.after, wanted.limit + 1))

    found = await ports.ask(page)
    shown = found[: wanted.limit]
    for event in shown:
        event["at"] = event.pop("time")
    return answer({"events": shown, "next_after": shown[-1]["version"] if len(found) > wanted.limit else None})


@router.get(
    "/{run_id}/result",
    response_model=Run,
    responses={202: {"model": Run, "description": "The run has not ended."}},
    summary="The result of a run, waited for",
)
async def get_result(
    run_id: RunIdInPath, ports: Given, caller: Reader, wanted: Annotated[ResultParameters, Query()]
) -> Response:
    """200 with the result when the run has ended, else 202 with how it stands; `wait` seconds are spent waiting."""
    view = await ports.ask(look_at, ports.store, run_id, caller.tenant)
    if view.state.end is None and wanted.wait:
        await ports.watch.ended(stream_of(caller.tenant, run_id), wanted.wait)
        view = await ports.ask(look_at, ports.store, run_id, caller.tenant)
    return answer(view.to_json(), 202 if view.state.end is None else 200)


@router.get("/{run_id}/verify", response_model=Verdict, summary="Prove a run")
@router.post("/{run_id}/verify", response_model=Verdict, summary="Prove a run", include_in_schema=False)
async def verify(run_id: RunIdInPath, ports: Given, caller: Auditor) -> Response:
    """That its stored bytes are intact and fold to the recorded hashes; nothing is executed."""
    verdict = await ports.ask(verify_run, ports.store, run_id, caller.tenant)
    return answer(verdict.to_json())
