"""Many runs at once: cancelled, paused, resumed or retried by a job."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from ...core.errors import CallError, Problem
from ...core.runtime.admission import MAX_REASON
from ..answers import answer
from ..bodies import Body, documented, read
from ..callers import Caller, Operator
from ..idempotency import KEY_HEADER, idempotency_key
from ..jobs.answers import DryRun, JobAnswer
from ..jobs.asking import Named, RunsWanted, asked, checked_ids
from ..jobs.selecting import Chosen, Verb, choose, filter_json, known_among
from ..ports import Given, Ports

router = APIRouter(prefix="/v1", tags=["jobs"])
"""`/v1/runs:cancel`, `:pause`, `:resume` and `:retry`."""

DRY_RUN_SECONDS = 10.0
"""For how long a dry run looks for runs."""

_FIRST = 20


class BulkBody(Body):
    """Which runs: those of a `filter`, of which all must hold that is given (`{}`: all runs), or those named in
    `run_ids`. `reason` is recorded with each. With `dry_run` it is only told how many they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"filter": {"workflow_type": "order", "status": "waiting"}, "reason": "wrong prices", "dry_run": True},
                {"run_ids": ["order-1", "order-2"]},
            ]
        }
    )

    filter: RunsWanted | None = None
    run_ids: Named | None = None
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    dry_run: bool = False


class CancelManyBody(BulkBody):
    """With `force` workflow functions are not asked to clean up first."""

    force: bool = False


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": DryRun, "description": "With `dry_run`: nothing is done."},
    202: {"model": JobAnswer, "description": "The job is recorded; Location says where it is."},
    409: {"description": "The idempotency key stands for another job."},
}


@router.post(
    "/runs:cancel",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(CancelManyBody, KEY_HEADER),
    summary="Cancel many runs",
)
async def cancel_runs(request: Request, ports: Given, caller: Operator) -> Response:
    """Those that have not ended. Which they are is fixed when the job begins: what starts later is not touched."""
    return await _bulk(request, ports, caller, "cancel", CancelManyBody)


@router.post(
    "/runs:pause",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(BulkBody, KEY_HEADER),
    summary="Pause many runs",
)
async def pause_runs(request: Request, ports: Given, caller: Operator) -> Response:
    """Those that have not ended and are not paused."""
    return await _bulk(request, ports, caller, "pause", BulkBody)


@router.post(
    "/runs:resume",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(BulkBody, KEY_HEADER),
    summary="Resume many runs",
)
async def resume_runs(request: Request, ports: Given, caller: Operator) -> Response:
    """Those that are paused or parked; workers go on with them."""
    return await _bulk(request, ports, caller, "resume", BulkBody)


@router.post(
    "/runs:retry",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=documented(BulkBody, KEY_HEADER),
    summary="Retry many runs",
)
async def retry_runs(request: Request, ports: Given, caller: Operator) -> Response:
    """Those that have failed: each is forked at the first step that failed, as a new run, once for each job."""
    return await _bulk(request, ports, caller, "retry", BulkBody)


async def _bulk(request: Request, ports: Ports, caller: Caller, verb: Verb, kind: type[BulkBody]) -> Response:
    key = idempotency_key(request)
    body = await read(request, kind)
    if (body.filter is None) == (body.run_ids is None):
        raise CallError(Problem("", "either filter or run_ids must be given, and not both", "give one of them"))
    named = await ports.ask(checked_ids, body.run_ids)
    wanted = None if body.filter is None else body.filter.filter()
    if body.dry_run:
        until = await ports.ask(ports.store.last_position)
        if wanted is None:
            found = Chosen(await ports.ask(known_among, ports.store, caller.tenant, named or []))
        else:
            found = await ports.ask(choose, ports.store, caller.tenant, verb, wanted, until, DRY_RUN_SECONDS)
        first = found.runs[:_FIRST]
        return answer({"dry_run": True, "runs": len(found.runs), "complete": found.complete, "first": first})
    what = {
        "verb": verb,
        "reason": body.reason,
        "force": isinstance(body, CancelManyBody) and body.force,
        "filter": None if wanted is None else filter_json(wanted),
        "run_ids": named,
    }
    return await asked(ports, caller, "bulk", what, key)
