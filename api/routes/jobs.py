"""Jobs: what there is, how far they are, and stopping them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import InvalidError, JobNotFoundError, Problem
from ...core.ids import job_stream
from ...core.job_log import Job
from ...core.runtime.admission import MAX_REASON
from ...projections.jobs import job_view, jobs_of
from ..answers import answer
from ..bodies import Body, documented, read
from ..callers import Caller, Operator, Reader
from ..event_stream import is_wanted, streamed
from ..jobs.answers import JobAnswer, Jobs
from ..jobs.asking import JobId
from ..jobs.stream import job_events
from ..ports import Given, Ports

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
"""`/v1/jobs`."""

Status = Literal["queued", "running", "stopping", "stopped", "completed", "failed"]
"""How jobs stand."""


class PageParameters(BaseModel):
    """Which jobs, and how many."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    status: Status | None = None


class JobParameters(PageParameters):
    """Which jobs, and how many."""

    kind: Literal["bulk", "replay", "rebuild"] | None = None


class StopBody(Body):
    """Why; it is recorded."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "wrong filter"}]})

    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


class NoBody(Body):
    """Nothing is to be said."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


@router.get("", response_model=Jobs, summary="List jobs, latest asked for first")
async def list_jobs(ports: Given, caller: Reader, wanted: Annotated[JobParameters, Query()]) -> Response:
    """Bulk verbs, replays and rebuilds of the tenant."""
    return await page_of_jobs(ports, caller, wanted, wanted.kind)


@router.get("/{job_id}", response_model=JobAnswer, summary="A job as it stands")
async def get_job(job_id: JobId, ports: Given, caller: Reader) -> Response:
    """Folded from its log."""
    return answer(job_view(await ports.engine.jobs.get(job_id, tenant=caller.tenant)))


@router.get(
    "/{job_id}/events",
    response_model=JobAnswer,
    responses={
        200: {
            "description": "The job; with `Accept: text/event-stream` server-sent events named `job`: the job as it "
            "stands, whenever its log has grown. Their id is the version of its log, so with `Last-Event-ID` nothing "
            "is told again. The stream ends with the job.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 3\nevent: job\ndata: {"job_id": "job-…"}\n\n',
                }
            },
        }
    },
    summary="A job as it goes on",
)
async def watch_job(request: Request, job_id: JobId, ports: Given, caller: Reader) -> Response:
    """Told about once a second at most; once only to who does not accept a stream."""
    after = last_event_id(request)
    job = await ports.engine.jobs.get(job_id, tenant=caller.tenant)
    if not is_wanted(request):
        return answer(job_view(job))
    log = job_stream(caller.tenant, job_id)
    return await streamed(
        ports, caller, log, True, lambda listener: job_events(ports, listener, caller.tenant, job_id, after)
    )


@router.post("/{job_id}/stop", response_model=JobAnswer, openapi_extra=documented(StopBody), summary="Stop a job")
async def stop_job(request: Request, job_id: JobId, ports: Given, caller: Operator) -> Response:
    """What it is about just now is done first; then it can be resumed. Again changes nothing; 409 when it has ended."""
    return await stopped(request, ports, caller, job_id)


@router.post("/{job_id}/resume", response_model=JobAnswer, openapi_extra=documented(NoBody), summary="Resume a job")
async def resume_job(request: Request, job_id: JobId, ports: Given, caller: Operator) -> Response:
    """One that was stopped, or has failed, goes on where it was. 409 when it is complete, or still stopping."""
    return await resumed(request, ports, caller, job_id)


async def page_of_jobs(ports: Ports, caller: Caller, wanted: PageParameters, kind: str | None) -> Response:
    """A page of the tenant's jobs of a kind."""
    before = None if wanted.cursor is None else int(wanted.cursor)
    page = await ports.ask(jobs_of, ports.store, caller.tenant, before, wanted.limit, kind, wanted.status)
    cursor = None if page.next_cursor is None else str(page.next_cursor)
    return answer({"jobs": page.jobs, "next_cursor": cursor})


async def stopped(request: Request, ports: Ports, caller: Caller, job_id: str, kind: str | None = None) -> Response:
    """Have a job stop, as it stands then. Raises JobNotFoundError, JobConflictError."""
    body = await read(request, StopBody)
    await _checked(ports, caller, job_id, kind)
    job = await ports.engine.jobs.stop(job_id, body.reason, by=caller.name, tenant=caller.tenant)
    return answer(job_view(job))


async def resumed(request: Request, ports: Ports, caller: Caller, job_id: str, kind: str | None = None) -> Response:
    """Have a job go on, as it stands then. Raises JobNotFoundError, JobConflictError."""
    await read(request, NoBody)
    await _checked(ports, caller, job_id, kind)
    return answer(job_view(await ports.engine.jobs.resume(job_id, by=caller.name, tenant=caller.tenant)))


async def job_of_kind(ports: Ports, caller: Caller, job_id: str, kind: str | None) -> Job:
    """A job of this kind. Raises JobNotFoundError."""
    job = await ports.engine.jobs.get(job_id, tenant=caller.tenant)
    if kind not in (None, job.asked.kind):
        raise JobNotFoundError("there is no such job")
    return job


async def _checked(ports: Ports, caller: Caller, job_id: str, kind: str | None) -> None:
    """What concerns every tenant is not for one of them to steer: of that there is no such job."""
    job = await job_of_kind(ports, caller, job_id, kind)
    if job.asked.kind == "rebuild" and not caller.everywhere:
        raise JobNotFoundError("there is no such job")


def last_event_id(request: Request) -> int:
    """After which version of the log to go on: the header Last-Event-ID, else 0. Raises InvalidError."""
    told: Any = request.headers.get("last-event-id", "0")
    if not (told.isascii() and told.isdecimal() and len(told) <= 15):
        raise InvalidError(Problem("", "the header Last-Event-ID is none of this stream's", "leave it out"))
    return int(told)
