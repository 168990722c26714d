"""Messages to runs. Each is recorded in the run's inbox; whoever works on the run takes it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ...core.errors import InvalidError
from ...core.ids import check_signal
from ...core.runtime.admission import MAX_REASON
from ...core.runtime.answering import ANSWER_SECONDS
from ...projections.querying import query
from ...projections.run_view import check_run, look_at
from ..answers import Answer, Run, answer
from ..bodies import Body, documented, read
from ..callers import Caller, Runner
from ..idempotency import KEY_HEADER, claim, idempotency_key
from ..names import RunIdInPath, Signal
from ..ports import Given, Ports

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["messages"])
"""`signal`, `cancel`, `pause` and `resume`."""

MAX_WAIT_SECONDS = 60
"""For how long the answer to a query can be waited for."""

_Key = Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
_Reason = Annotated[str, Field(max_length=MAX_REASON)]


class KeyBody(Body):
    """The same key again is the same message."""

    key: _Key | None = None


class SignalBody(KeyBody):
    """A signal: a step that waits for this name outputs the payload. The same key again is the same signal."""

    name: Signal
    payload: Any = None


class ReasonBody(KeyBody):
    """Why; it is recorded. The same key again is the same message."""

    reason: _Reason = ""


class CancelBody(ReasonBody):
    """With `force` a workflow function is not asked to clean up first."""

    force: bool = False


class QueryBody(Body):
    """A query with its arguments, and for how long a worker's answer is waited for."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    timeout_seconds: Annotated[float, Field(gt=0, le=MAX_WAIT_SECONDS)] = ANSWER_SECONDS


_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"model": Run, "description": "The message is recorded; the run as it stands."},
    409: {"description": "The run has ended."},
}


@router.post(
    "/signal",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(
        SignalBody, KEY_HEADER, example={"name": "approved", "payload": {"by": "Ada"}, "key": "ada-1"}
    ),
    summary="Signal a run",
)
async def signal(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """Signals of one name are used in the order they came, each once; one may come before its step waits."""
    body = await read(request, SignalBody)
    try:
        check_signal(body.name)
    except InvalidError as error:
        raise InvalidError([p._replace(pointer="/name") for p in error.problems]) from None
    key = await _key(ports, caller, request, run_id, body)
    await ports.engine.signal(run_id, body.name, body.payload, key=key, tenant=caller.tenant)
    return await _accepted(ports, run_id, caller.tenant)


@router.post(
    "/cancel",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(CancelBody, KEY_HEADER, example={"reason": "out of stock"}),
    summary="Cancel a run",
)
async def cancel(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """At once when no live process holds it, else as soon as its worker reads the message."""
    body = await read(request, CancelBody)
    key = await _key(ports, caller, request, run_id, body)
    await ports.engine.cancel(run_id, body.reason, force=body.force, key=key, tenant=caller.tenant)
    return await _accepted(ports, run_id, caller.tenant)


@router.post(
    "/pause",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(ReasonBody, KEY_HEADER, example={"reason": "the warehouse is closed"}),
    summary="Pause a run",
)
async def pause(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """Running steps end and are recorded; nothing new starts until it is resumed."""
    body = await read(request, ReasonBody)
    key = await _key(ports, caller, request, run_id, body)
    await ports.engine.pause(run_id, body.reason, key=key, tenant=caller.tenant)
    return await _accepted(ports, run_id, caller.tenant)


@router.post(
    "/resume",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(KeyBody, KEY_HEADER, example={}),
    summary="Resume a paused run",
)
async def resume(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """Workers go on with it; nothing is executed here."""
    body = await read(request, KeyBody)
    key = await _key(ports, caller, request, run_id, body)
    await ports.engine.unpause(run_id, key=key, tenant=caller.tenant)
    return await _accepted(ports, run_id, caller.tenant)


@router.post(
    "/query",
    response_model=Answer,
    openapi_extra=documented(QueryBody, example={"name": "state"}),
    summary="Query a run",
)
async def query_run(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """What the run's function answers as its history stands, by a worker that has it; 504 when none answers in time."""
    body = await read(request, QueryBody)
    seconds = body.timeout_seconds
    said = await query(
        ports.engine, ports.store, run_id, body.name, body.arguments, tenant=caller.tenant, seconds=seconds
    )
    return answer({"answer": said})


async def _key(ports: Ports, caller: Caller, request: Request, run_id: str, body: KeyBody) -> str | None:
    """The key of the message: the body's, else that of the header, which from now on stands for this request."""
    key = idempotency_key(request)
    if key is not None:
        await ports.ask(check_run, ports.store, run_id, caller.tenant)
        await claim(ports, caller, request, key, body)
    return body.key or key


async def _accepted(ports: Ports, run_id: str, tenant: str) -> Response:
    view = await ports.ask(look_at, ports.store, run_id, tenant)
    return answer(view.to_json(), 202)
