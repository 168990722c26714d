"""Rebuilding projections: a job that builds one anew beside the one that is read, and switches to it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict

from ...projections.goldens import GoldensProjection
from ...projections.projector import known_projections
from ..bodies import Body, documented, read
from ..callers import ServiceOperator
from ..idempotency import KEY_HEADER, idempotency_key
from ..jobs.answers import JobAnswer
from ..jobs.asking import asked
from ..missing import missing
from ..ports import Given

router = APIRouter(prefix="/v1/projections", tags=["projections"])
"""`/v1/projections/{name}/rebuild`."""


class RebuildBody(Body):
    """With `compare` it is switched only if the rows equal those that are read, with `shadow` not at all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"compare": True}]})

    compare: bool = False
    shadow: bool = False


_ASKED: dict[int | str, dict[str, Any]] = {
    202: {"model": JobAnswer, "description": "The job is recorded; Location says where it is."},
    409: {"description": "The idempotency key stands for another job."},
}


@router.post(
    "/{name}/rebuild",
    status_code=202,
    responses=_ASKED,
    openapi_extra=documented(RebuildBody, KEY_HEADER),
    summary="Rebuild a projection",
)
@router.post("/{name}:rebuild", status_code=202, include_in_schema=False)
async def rebuild(request: Request, name: str, ports: Given, caller: ServiceOperator) -> Response:
    """Its `result` says up to which position of the log it was built, whether it `equal`s what was read (null: not
    compared), and whether it is read now (`switched`). Where rows differ that were compared, the job fails."""
    key = idempotency_key(request)
    body = await read(request, RebuildBody)
    if name not in (*known_projections(), GoldensProjection.name):
        raise missing("projection", name)
    return await asked(ports, caller, "rebuild", {"name": name, "compare": body.compare, "shadow": body.shadow}, key)
