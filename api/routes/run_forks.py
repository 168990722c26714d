"""New runs out of others: a failed one tried again from where it failed, or any one from anywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import uuid_utils
from fastapi import APIRouter, Request, Response
from pydantic import Field

from ...core.changes import read_changes
from ...core.errors import InvalidError, Problem
from ...core.ids import check_queue, check_run_id, stream_of
from ...core.results import WorkflowResult
from ...projections.run_view import check_run, look_at
from ..answers import Run, answer
from ..bodies import Body, documented, read
from ..callers import Caller, Runner
from ..idempotency import KEY_HEADER, claim, idempotency_key, run_id_of
from ..names import Queue, RunId, RunIdInPath, StepId
from ..ports import Given, Ports

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"])
"""`retry` and `fork`."""


class RetryBody(Body):
    """The new run: its id (without one it is made: from the Idempotency-Key header, if there is one) and its queue
    (null: that of the old one)."""

    run_id: RunId | None = None
    queue: Queue | None = None


class ForkBody(RetryBody):
    """From which step on, which is null where `changes` say it: values by pointer, such as `/inputs/item` or
    `/steps/pack/output/parcel`."""

    from_step: StepId | None = None
    changes: Annotated[dict[str, Any], Field(max_length=1000)] = Field(default_factory=dict[str, Any])


_MADE: dict[int | str, dict[str, Any]] = {
    201: {"model": Run, "description": "The new run is recorded; Location says where it is."},
    409: {"description": "The run id, or the idempotency key, is taken."},
}


@router.post(
    "/retry",
    status_code=201,
    responses=_MADE,
    openapi_extra=documented(RetryBody, KEY_HEADER, example={"run_id": "order-1-again"}),
    summary="Try a failed run again from where it failed",
)
async def retry_run(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """A new run that takes over all that came before the step which made the old one fail; that stays as it is."""
    body = await read(request, RetryBody)

    async def made(name: str) -> WorkflowResult:
        return await ports.engine.retry(
            run_id, new_id=name, queue=body.queue, by=caller.name, here=False, tenant=caller.tenant
        )

    return await _made(request, ports, caller, run_id, body, made)


@router.post(
    "/fork",
    status_code=201,
    responses=_MADE,
    openapi_extra=documented(ForkBody, KEY_HEADER, example={"from_step": "pack", "changes": {"/inputs/item": "desk"}}),
    summary="Fork a run",
)
async def fork_run(request: Request, run_id: RunIdInPath, ports: Given, caller: Runner) -> Response:
    """A new run that takes over what the old one has recorded, but for the step `from_step`, what follows from it, and
    what follows from `changes`. The old one, ended or not, stays as it is."""
    body = await read(request, ForkBody)
    try:
        read_changes(body.changes)
    except InvalidError as error:
        raise InvalidError([_moved(problem) for problem in error.problems]) from None

    async def made(name: str) -> WorkflowResult:
        return await ports.engine.fork(
            run_id,
            from_step=body.from_step,
            changes=body.changes,
            new_id=name,
            queue=body.queue,
            by=caller.name,
            here=False,
            tenant=caller.tenant,
        )

    return await _made(request, ports, caller, run_id, body, made)


async def _made(
    request: Request,
    ports: Ports,
    caller: Caller,
    run_id: str,
    body: RetryBody,
    made: Callable[[str], Awaitable[WorkflowResult]],
) -> Response:
    if body.run_id is not None:
        _at("/run_id", check_run_id, body.run_id)
    if body.queue is not None:
        _at("/queue", check_queue, body.queue)
    key = idempotency_key(request)
    await ports.ask(check_run, ports.store, run_id, caller.tenant)
    name = body.run_id or (str(uuid_utils.uuid7()) if key is None else run_id_of(key))
    fresh = await claim(ports, caller, request, key, body)
    # The old run may have gone on since the new one was made, which is what the key stands for.
    there = not fresh and body.run_id is None and await ports.ask(ports.store.heads, [stream_of(caller.tenant, name)])
    if not there:
        await made(name)
    view = await ports.ask(look_at, ports.store, name, caller.tenant)
    return answer(view.to_json(), 201, {"location": f"/v1/runs/{name}"})


def _at(pointer: str, check: Callable[[str], object], text: str) -> None:
    try:
        check(text)
    except InvalidError as error:
        raise InvalidError([problem._replace(pointer=pointer) for problem in error.problems]) from None


def _moved(problem: Problem) -> Problem:
    """The problem with a change, by where it stands in the body: its own pointer is a name there (RFC 6901)."""
    name = problem.pointer.replace("~", "~0").replace("/", "~1")
    return problem._replace(pointer=f"/changes/{name}" if name else "/changes")
