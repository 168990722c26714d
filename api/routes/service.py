"""Whether the service is well, and who works."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response

from ...core.checks import Check, overall
from ...projections.worker_reports import reports
from ..answers import Health, Ready, Workers, answer
from ..answers.projections import WorkerStatus
from ..callers import ServiceReader
from ..ports import Given

router = APIRouter(tags=["service"])
"""`/health`, `/ready`, `/metrics` and `/v1/workers`."""


@router.get("/health", response_model=Health, summary="Whether the process lives")
async def health(ports: Given) -> Response:
    """It does not ask the store: a process is not to be restarted because its database is away."""
    return answer({"status": "healthy", "build": ports.build})


@router.get(
    "/ready",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "A check has failed, or the server is about to stop."}},
    summary="Whether requests should be sent here",
)
async def ready(ports: Given) -> Response:
    """The store answers, its schema is up to date, projections are not too far behind, and the disks have room."""
    checks = await ports.readiness.look()
    well = overall(checks) != "failed"
    status = "stopping" if ports.traffic.draining else "ready" if well else "not ready"
    document = {"status": status, "checks": [_told(check) for check in checks]}
    return answer(document, 200 if status == "ready" else 503)


@router.get("/metrics", response_class=Response, summary="What this process has done, for Prometheus")
async def metrics(ports: Given, _caller: ServiceReader) -> Response:
    """In the text format of Prometheus: of this process, and of the whole service where it is this one's turn."""
    text, kind = await ports.metrics.told()
    return Response(text, media_type=kind)


@router.get("/v1/workers", response_model=Workers, summary="The workers and what they serve")
async def workers(ports: Given, _caller: ServiceReader) -> Response:
    """Those silent for over ten seconds, or whose process is known to be dead, are `lost`."""
    found = await ports.ask(reports, ports.store)
    return answer({"workers": [asdict(worker) for worker in found]})


@router.get("/v1/workers/status", response_model=WorkerStatus, summary="The workers in short")
@router.get("/workers/status", response_model=WorkerStatus, include_in_schema=False)
async def worker_status(ports: Given, _caller: ServiceReader) -> Response:
    """How many work, end what they are about, or are lost; also as `/workers/status`."""
    found = await ports.ask(reports, ports.store)
    live = [worker for worker in found if not worker.lost]
    working = sum(not worker.draining for worker in live)
    told = {
        "status": "ok" if working else "none",
        "workers": len(found),
        "working": working,
        "draining": len(live) - working,
        "lost": len(found) - len(live),
        "running": sum(worker.running for worker in live),
        "concurrency": sum(worker.concurrency for worker in live if not worker.draining),
        "queues": sorted({queue for worker in live for queue in worker.queues}),
        "versions": sorted({worker.version for worker in live}),
    }
    return answer(told)


def _told(check: Check) -> dict[str, Any]:
    """As `/ready` has it: without what to type, which is for those who may type it there."""
    told = check.to_json()
    return {
        "name": told["name"],
        "status": told["state"],
        **{key: told[key] for key in ("value", "limit", "unit", "detail")},
    }
