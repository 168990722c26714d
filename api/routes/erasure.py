"""Erasing sensitive data of runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ...core.errors import RunNotFoundError
from ...core.ids import stream_of
from ...core.runtime.admission import MAX_REASON
from ..answers import answer
from ..answers.audit import Erased
from ..bodies import Body, documented, read
from ..callers import Admin
from ..idempotency import KEY_HEADER, claim, idempotency_key
from ..names import RunIdInPath
from ..ports import Given

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["erasure"])
"""`POST /v1/runs/{run_id}/erase`."""


class EraseBody(Body):
    """Why; it is recorded."""

    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


@router.post(
    "/erase", response_model=Erased, openapi_extra=documented(EraseBody, KEY_HEADER), summary="Erase sensitive data"
)
async def erase_run(request: Request, run_id: RunIdInPath, ports: Given, caller: Admin) -> Response:
    """What was declared sensitive of the run, its forks, children and continuations: its keys are destroyed, for good.
    The log stays as it is, and so do all hashes. Again changes nothing. 422 for a run that holds none."""
    key, body = idempotency_key(request), await read(request, EraseBody)
    stream = stream_of(caller.tenant, run_id)
    if not await ports.ask(ports.store.heads, [stream]):
        raise RunNotFoundError(f"no run {run_id!r} of tenant {caller.tenant!r}")
    await claim(ports, caller, request, key, body)
    erased = await ports.engine.erasures.run(run_id, caller.tenant, body.reason, caller.name)
    return answer({"tenant": caller.tenant, "erased": erased})
