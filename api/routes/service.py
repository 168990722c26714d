"""Whether the service is well, and who works."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from fastapi import APIRouter, Response

from ...core.errors import StoreUnreachableError
from ...projections.worker_reports import reports
from ..answers import Health, Ready, Workers, answer
from ..answers.projections import WorkerStatus
from ..callers import ServiceReader
from ..ports import Given

router = APIRouter(tags=["service"])
"""`/health`, `/ready` and `/v1/workers`."""

READY_SECONDS = 5.0
"""For how long the store may take to show that it is there."""


@router.get("/health", response_model=Health, summary="Whether the process lives")
async def health(ports: Given) -> Response:
    """It does not ask the store: a process is not to be restarted because its database is away."""
    return answer({"status": "healthy", "build": ports.build})


@router.get("/ready", response_model=Ready, summary="Whether the store answers")
async def ready(ports: Given) -> Response:
    """503 when it does not."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await ports.ask(ports.store.last_position)
    except TimeoutError:
        raise StoreUnreachableError(f"no answer within {READY_SECONDS:.0f} s") from None
    return answer({"status": "ready"})


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
