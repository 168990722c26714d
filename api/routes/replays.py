"""Replays: jobs that prove runs against today's code, and the certificates of what they proved."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import CallError, JobConflictError, Problem, RunNotFoundError
from ...projections.jobs import CERTIFICATE, job_view
from ...replay.fleet import Order
from ...replay.fleet import Query as Fleet
from ...replay.verdicts import PROOFS, Proof
from ..answers import answer
from ..bodies import Body, documented, read
from ..callers import Auditor
from ..idempotency import KEY_HEADER, idempotency_key
from ..jobs.answers import Certificate, JobAnswer, Jobs
from ..jobs.asking import JobId, Named, RunStatus, Text, asked, checked_ids, time_of
from ..jobs.selecting import known_among
from ..ports import Given
from .jobs import NoBody, PageParameters, StopBody, job_of_kind, page_of_jobs, resumed, stopped

router = APIRouter(prefix="/v1/replays", tags=["replays"])
"""`/v1/replays`."""


_USUAL: tuple[Proof, ...] = ("chain", "fold", "decisions")


class Sample(BaseModel):
    """Only so many `runs`, or so many `percent` of them, drawn by `seed`: the same for the same log."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    runs: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    percent: Annotated[float, Field(gt=0, le=100)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0


class ReplayBody(Body):
    """Which runs: those named in `run_ids`, else those of the tenant that are of a `workflow_type` and `status` and
    began at `started_after` or later, or a `sample` of them; nothing given: all, and what else the log has of it.

    `proofs` are those that are made; chain and fold always are, for the others stand on them. Execution runs
    deterministic steps again, as far as this server has the skills. `against` is the version of the registered specs
    to prove decisions against, else the recorded ones.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"run_ids": ["order-1"]}, {"workflow_type": "order", "sample": {"percent": 5}}, {}]
        }
    )

    run_ids: Named | None = None
    workflow_type: Text | None = None
    status: RunStatus | None = None
    started_after: str | None = None
    sample: Sample | None = None
    proofs: list[Proof] = Field(default_factory=lambda: list(_USUAL), max_length=len(PROOFS))
    against: Text | None = None


_ASKED: dict[int | str, dict[str, Any]] = {
    202: {"model": JobAnswer, "description": "The job is recorded; Location says where it is."},
    409: {"description": "The idempotency key stands for another job."},
}


@router.post(
    "", status_code=202, responses=_ASKED, openapi_extra=documented(ReplayBody, KEY_HEADER), summary="Prove runs"
)
async def replay(request: Request, ports: Given, caller: Auditor) -> Response:
    """Nothing is appended to any run. A caller for all tenants has what belongs to all proved besides: their control
    streams, and the archives."""
    key = idempotency_key(request)
    body = await read(request, ReplayBody)
    named = await ports.ask(checked_ids, body.run_ids)
    order = Order(_query(body, caller.tenant, named), _proofs(body), body.against)
    if named is not None:
        known = set(await ports.ask(known_among, ports.store, caller.tenant, named))
        if lacking := next((each for each in named if each not in known), None):
            raise RunNotFoundError(f"there is no run {lacking!r}")
    what = {"order": order.to_json(), "everywhere": caller.everywhere}
    return await asked(ports, caller, "replay", what, key, "replays")


@router.get("", response_model=Jobs, summary="List replays, latest asked for first")
async def list_replays(ports: Given, caller: Auditor, wanted: Annotated[PageParameters, Query()]) -> Response:
    """Of the tenant."""
    return await page_of_jobs(ports, caller, wanted, "replay")


@router.get("/{job_id}", response_model=JobAnswer, summary="A replay as it stands")
async def get_replay(job_id: JobId, ports: Given, caller: Auditor) -> Response:
    """How far it is, and which runs are not as recorded."""
    return answer(job_view(await job_of_kind(ports, caller, job_id, "replay")))


@router.get("/{job_id}/certificate", response_model=Certificate, summary="The certificate of a replay")
async def get_replay_certificate(job_id: JobId, ports: Given, caller: Auditor) -> Response:
    """Byte for byte as it was made; `refold certificate verify` checks it. 409 until the replay is complete."""
    job = await job_of_kind(ports, caller, job_id, "replay")
    if job.result is None or CERTIFICATE not in job.result:
        raise JobConflictError(f"the replay is {job.status}: only a complete one has a certificate")
    return Response(job.result[CERTIFICATE].encode(), media_type="application/json")


@router.post("/{job_id}/stop", response_model=JobAnswer, openapi_extra=documented(StopBody), summary="Stop a replay")
@router.post("/{job_id}:stop", response_model=JobAnswer, include_in_schema=False)
async def stop_replay(request: Request, job_id: JobId, ports: Given, caller: Auditor) -> Response:
    """Runs that are being proved are proved to the end; then it can be resumed."""
    return await stopped(request, ports, caller, job_id, "replay")


@router.post("/{job_id}/resume", response_model=JobAnswer, openapi_extra=documented(NoBody), summary="Resume a replay")
@router.post("/{job_id}:resume", response_model=JobAnswer, include_in_schema=False)
async def resume_replay(request: Request, job_id: JobId, ports: Given, caller: Auditor) -> Response:
    """It goes on where it was, up to the same position of the log; with other code than it began with it fails."""
    return await resumed(request, ports, caller, job_id, "replay")


def _proofs(body: ReplayBody) -> tuple[Proof, ...]:
    return tuple(proof for proof in PROOFS if proof in body.proofs or proof in ("chain", "fold"))


def _query(body: ReplayBody, tenant: str, named: list[str] | None) -> Fleet:
    sample = body.sample
    if sample is not None and (sample.runs is None) == (sample.percent is None):
        raise CallError(Problem("/sample", "either runs or percent must be given", "give one of them"))
    others = (body.workflow_type, body.status, body.started_after, sample)
    if named is not None and any(each is not None for each in others):
        raise CallError(
            Problem("/run_ids", "runs that are named are all wanted", "leave out what else is asked of them")
        )
    return Fleet(
        tenant=tenant,
        since=time_of("/started_after", body.started_after),
        workflow_type=body.workflow_type,
        status=body.status,
        sample=None if sample is None else sample.percent or sample.runs,
        percent=sample is not None and sample.percent is not None,
        seed=0 if sample is None else sample.seed,
        runs=tuple(named or ()),
    )
