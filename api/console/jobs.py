"""Jobs of all kinds, one template for all: how far they are, what they found, stopping them, and going on; replays are
asked for here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ...core.errors import JobConflictError, JobNotFoundError, RunNotFoundError
from ...core.ids import check_run_id, stream_of
from ...core.job_log import OPEN, Job
from ...projections.goldens import GoldensProjection
from ...projections.jobs import CERTIFICATE, job_view, jobs_of
from ...projections.projector import known_projections
from ...projections.run_filter import check_status
from ...replay.fleet import Order
from ...replay.fleet import Query as Fleet
from ...replay.verdicts import PROOFS, VERDICTS
from ..callers import Auditor, Caller, Operator, Reader, ServiceOperator
from ..ports import Given, Ports
from ..problems import Refusal
from .forms import Form, form_of
from .pages import PageParameters, page
from .words import query

router = APIRouter(include_in_schema=False)
"""`/jobs`, `/replays`, and `/projections/{name}/rebuild`."""

_ROWS = 30
_ALWAYS = ("chain", "fold")
_OF_FINDING = ("proof", "divergence", "event", "step_id", "pointer", "recorded", "now", "advice")

Kind = Literal["bulk", "replay", "rebuild"]
"""What jobs there are."""


class JobParameters(PageParameters):
    """Which jobs."""

    kind: Kind | None = None
    status: Literal["queued", "running", "stopping", "stopped", "completed", "failed"] | None = None
    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = None


class ReplayParameters(PageParameters):
    """Which replays; with `run` the form is for that one."""

    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = None
    run: Annotated[str, Field(max_length=200)] | None = None


class ReplayForm(Form):
    """Which runs are to be proved, and how."""

    run_id: str | None = None
    workflow_type: str | None = None
    status: str | None = None
    percent: str | None = None
    proof: list[str] = Field(default_factory=list[str])


class JobForm(Form):
    """What is to become of a job."""

    action: Literal["stop", "resume"]
    reason: str = ""


class RebuildForm(Form):
    """Whether the rows must equal those that are read."""

    compare: Literal["yes"] | None = None


@router.get("/jobs")
async def jobs_page(
    request: Request, ports: Given, caller: Reader, wanted: Annotated[JobParameters, Query()]
) -> Response:
    """The tenant's jobs, latest asked for first."""
    model = await _listed(ports, caller, wanted.kind, wanted.status, wanted.cursor)
    filters = {"kind": wanted.kind, "status": wanted.status}
    return await page(request, ports, caller, "jobs.html", {**model, "filters": filters})


@router.get("/replays")
async def replays_page(
    request: Request, ports: Given, caller: Auditor, wanted: Annotated[ReplayParameters, Query()]
) -> Response:
    """The tenant's replays, and the form for a new one."""
    model = await _listed(ports, caller, "replay", None, wanted.cursor)
    proofs = [{"name": each, "always": each in _ALWAYS} for each in PROOFS]
    return await page(request, ports, caller, "replays.html", {**model, "run": wanted.run, "proofs": proofs})


@router.post("/replays")
async def begin_replay(request: Request, ports: Given, caller: Auditor) -> Response:
    """Ask for a replay, and show it."""
    form = await form_of(request, caller, ReplayForm)
    if form.status is not None:
        check_status(form.status)
    if form.run_id is not None:
        stream = stream_of(caller.tenant, check_run_id(form.run_id))
        if not await ports.ask(ports.store.heads, [stream]):
            raise RunNotFoundError(f"no run {form.run_id!r} of tenant {caller.tenant!r}")
    order = Order(
        Fleet(
            tenant=caller.tenant,
            workflow_type=form.workflow_type,
            status=form.status,
            sample=None if form.percent is None else _percent(form.percent),
            percent=form.percent is not None,
            runs=() if form.run_id is None else (form.run_id,),
        ),
        tuple(each for each in PROOFS if each in _ALWAYS or each in form.proof),
    )
    what = {"order": order.to_json(), "everywhere": caller.everywhere and form.run_id is None}
    return await _asked(ports, caller, "replay", what)


@router.get("/replays/{job_id}")
@router.get("/jobs/{job_id}")
async def job_page(
    request: Request, job_id: str, ports: Given, caller: Reader, _wanted: Annotated[PageParameters, Query()]
) -> Response:
    """A job as it stands."""
    job = await ports.engine.jobs.get(job_id, tenant=caller.tenant)
    if request.url.path.startswith("/replays/") and job.asked.kind != "replay":
        raise JobNotFoundError("there is no such job")
    if job.asked.kind == "replay" and "audit" not in caller.scopes:
        raise Refusal(HTTPStatus.FORBIDDEN, "this needs the scope audit")
    may = job.asked.kind != "rebuild" or caller.everywhere
    scope = "audit" if job.asked.kind == "replay" else "operate"
    model = {
        **_told(job),
        "steerable": may and scope in caller.scopes,
        "certificate": job.result is not None and CERTIFICATE in job.result,
    }
    return await page(request, ports, caller, "job.html", model)


@router.get("/replays/{job_id}/certificate")
async def certificate(job_id: str, ports: Given, caller: Auditor) -> Response:
    """The certificate as a file, byte for byte as it was made."""
    job = await ports.engine.jobs.get(job_id, tenant=caller.tenant)
    if job.result is None or CERTIFICATE not in job.result:
        raise JobConflictError(f"the job is {job.status}: only a replay that is complete has a certificate")
    headers = {"content-disposition": f'attachment; filename="{job.asked.job_id}.certificate.json"'}
    return Response(str(job.result[CERTIFICATE]).encode(), headers=headers, media_type="application/json")


@router.post("/jobs/{job_id}")
async def steer_job(request: Request, job_id: str, ports: Given, caller: Operator) -> Response:
    """Stop a job, or have it go on."""
    return await _steered(request, ports, caller, job_id, replays=False)


@router.post("/replays/{job_id}")
async def steer_replay(request: Request, job_id: str, ports: Given, caller: Auditor) -> Response:
    """Stop a replay, or have it go on."""
    return await _steered(request, ports, caller, job_id, replays=True)


@router.post("/projections/{name}/rebuild")
async def rebuild(request: Request, name: str, ports: Given, caller: ServiceOperator) -> Response:
    """Ask for a projection to be built anew, and show the job."""
    form = await form_of(request, caller, RebuildForm)
    if name not in (*known_projections(), GoldensProjection.name):
        raise Refusal(HTTPStatus.NOT_FOUND, f"there is no projection {name[:60]!a}")
    what = {"name": name, "compare": form.compare is not None, "shadow": False}
    return await _asked(ports, caller, "rebuild", what)


async def _asked(ports: Ports, caller: Caller, kind: str, what: dict[str, Any]) -> Response:
    until = await ports.ask(ports.store.last_position)
    job, _ = await ports.engine.jobs.ask(kind, what, until, by=caller.name, tenant=caller.tenant)
    return Response(status_code=303, headers={"location": _place(job)})


async def _steered(request: Request, ports: Ports, caller: Caller, job_id: str, *, replays: bool) -> Response:
    form = await form_of(request, caller, JobForm)
    job = await ports.engine.jobs.get(job_id, tenant=caller.tenant)
    if (job.asked.kind == "replay") != replays or (job.asked.kind == "rebuild" and not caller.everywhere):
        raise JobNotFoundError("there is no such job")
    if form.action == "stop":
        await ports.engine.jobs.stop(job_id, form.reason, by=caller.name, tenant=caller.tenant)
    else:
        await ports.engine.jobs.resume(job_id, by=caller.name, tenant=caller.tenant)
    return Response(status_code=303, headers={"location": _place(job)})


async def _listed(
    ports: Ports, caller: Caller, kind: Kind | None, status: str | None, cursor: str | None
) -> dict[str, Any]:
    before = None if cursor is None else int(cursor)
    found = await ports.ask(jobs_of, ports.store, caller.tenant, before, _ROWS, kind, status)
    rows = [{**row, "title": _title(row["kind"], row["what"])} for row in found.jobs]
    following = found.next_cursor
    return {
        "jobs": [row for row in rows if row["kind"] != "replay" or "audit" in caller.scopes],
        "next": None if following is None else query({"kind": kind, "status": status, "cursor": following}),
    }


def _told(job: Job) -> dict[str, Any]:
    told = job_view(job)
    progress = told["progress"]
    share = None if not progress["total"] else min(progress["done"] / progress["total"], 1)
    return {
        **told,
        "findings": sorted(({**dict.fromkeys(_OF_FINDING), **each} for each in told["findings"]), key=_how_bad),
        "title": _title(job.asked.kind, told["what"]),
        "place": _place(job),
        "live": job.status in OPEN,
        "share": 1 if job.status == "completed" else share,
    }


def _place(job: Job) -> str:
    return f"/{'replays' if job.asked.kind == 'replay' else 'jobs'}/{job.asked.job_id}"


def _title(kind: str, what: dict[str, Any]) -> str:
    """What a job does, in a few words."""
    if kind == "rebuild":
        return f"Rebuild the projection {what.get('name')}"
    if kind == "bulk":
        return _bulk_title(what)
    wanted: dict[str, Any] = dict(what.get("order", {}).get("query", {}))
    runs: list[str] = wanted.get("runs") or []
    if len(runs) == 1:
        return f"Replay {runs[0]}"
    about = [f"of type {wanted['workflow_type']}"] if wanted.get("workflow_type") else []
    about += [f"that are {wanted['status']}"] if wanted.get("status") else []
    some = "a sample of runs" if wanted.get("sample") else "runs" if about else "all runs"
    some = f"{len(runs)} runs" if runs else some
    return " ".join([f"Replay {some}", *about])


def _how_bad(finding: dict[str, Any]) -> int:
    """Where a finding stands in a list: the worst first; what is no verdict stays in order."""
    return -VERDICTS.index(finding["code"]) if finding["code"] in VERDICTS else 0


def _bulk_title(what: dict[str, Any]) -> str:
    verb, named = str(what.get("verb")).capitalize(), what.get("run_ids")
    if named is not None:
        # The view has the first hundred names only.
        several = "named runs" if len(named) >= 100 else f"{len(named)} named runs"
        return f"{verb} {named[0]}" if len(named) == 1 else f"{verb} {several}"
    wanted: dict[str, Any] = what.get("filter") or {}
    about = [f"of type {wanted['workflow_type']}"] if wanted.get("workflow_type") else []
    about += [f"that are {wanted['status']}"] if wanted.get("status") else []
    return " ".join([verb, "runs" if wanted else "all runs", *about])


def _percent(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= 100:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "a share is a number above 0 and up to 100 per cent")
    return found
