"""Runs: start them, look at them, read their logs, have them proved."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.ids import stream_of
from ...projections.run_view import just_recorded, look_at
from ...replay.verify import verify_run
from ..answers import Run, Verdict, answer
from ..bodies import documented, read
from ..callers import Auditor, Reader, Runner
from ..etags import offered
from ..idempotency import KEY_HEADER, idempotency_key
from ..names import RunIdInPath
from ..ports import Given
from ..run_looks import Wanted
from ..starting import StartBody, start

router = APIRouter(prefix="/v1/runs", tags=["runs"])
"""`/v1/runs` but for lists, live events, messages to runs and what is made of them."""


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResultParameters(_Parameters):
    """For how many seconds to wait for the end."""

    wait: Annotated[float, Field(ge=0, le=60)] = 0


_STARTED: dict[int | str, dict[str, Any]] = {
    201: {"model": Run, "description": "The run is recorded; Location says where it is."},
    200: {"model": Run, "description": "The run existed, with the same spec, inputs and seed."},
    409: {"description": "The run id, or the idempotency key, is taken by another run."},
}


@router.post(
    "",
    status_code=201,
    responses=_STARTED,
    openapi_extra=documented(
        StartBody, KEY_HEADER, example={"workflow": "order", "run_id": "order-1", "inputs": {"item": "lamp"}}
    ),
    summary="Start a run",
)
async def start_run(request: Request, ports: Given, caller: Runner) -> Response:
    """It is recorded, and workers of its queue that have all its skills take it up; nothing is executed here.

    The same request again is the same run, if it has a run id or the header Idempotency-Key.
    """
    idempotency_key(request)  # One that cannot be is told before the body is read.
    body = await read(request, StartBody)
    run_id, begun = await start(ports, caller, body, request)
    if begun is not None:
        view = just_recorded(begun.state, await ports.workers.look())
    else:
        view = await ports.ask(look_at, ports.store, run_id, caller.tenant)
    return answer(view.to_json(), 201 if begun is not None else 200, {"location": f"/v1/runs/{run_id}"})


_SHOWN: dict[int | str, dict[str, Any]] = {304: {"description": "It is as it was when it had the ETag that was sent."}}
_IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "An ETag: nothing is told of what still has it.",
}


@router.get(
    "/{run_id}",
    response_model=Run,
    responses=_SHOWN,
    openapi_extra={"parameters": [_IF_NONE_MATCH]},
    summary="A run as it stands",
)
async def get_run(request: Request, run_id: RunIdInPath, ports: Given, caller: Reader) -> Response:
    """Folded from its log, so never stale. With the `ETag` of an earlier answer as `If-None-Match` it is not folded
    again while nothing has changed (304)."""
    tag, view = await ports.look(Wanted(caller.tenant, run_id, offered(request)))
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if view is None:
        return Response(status_code=304, headers=headers)
    return answer(view.to_json(), headers=headers)


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


@router.post("/{run_id}/verify", response_model=Verdict, summary="Prove a run")
async def verify_now(run_id: RunIdInPath, ports: Given, caller: Auditor) -> Response:
    """The same as GET, for those who would rather not have an answer kept anywhere."""
    return await verify(run_id, ports, caller)


@router.get("/{run_id}/verify", response_model=Verdict, summary="Prove a run")
async def verify(run_id: RunIdInPath, ports: Given, caller: Auditor) -> Response:
    """That its stored bytes are intact and fold to the recorded hashes; nothing is executed."""
    verdict = await ports.ask(verify_run, ports.store, run_id, caller.tenant)
    return answer(verdict.to_json())
