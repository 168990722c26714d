"""Who works, on what, and what nobody works on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from ...core.errors import CallError
from ...core.ids import run_of
from ...eventstore.dispatch import LeaseRow
from ...eventstore.store import Store
from ...projections.queues import queue_reports
from ...projections.worker_reports import WorkerReport, reports
from ..callers import ServiceReader
from ..ports import Given
from .pages import PageParameters, page

router = APIRouter(include_in_schema=False)
"""`/workers`."""

MOST_HELD = 50
"""So many runs are named that somebody holds."""


@router.get("/workers")
async def workers_page(
    request: Request, ports: Given, caller: ServiceReader, wanted: Annotated[PageParameters, Query()]
) -> Response:
    """The workers that have not left, and the queues."""
    seen = (await ports.engine.emergency.status()).version
    model = await ports.ask(workers_model, ports.store, seen)
    return await page(request, ports, caller, "workers.html", model)


def workers_model(store: Store, stops: int) -> dict[str, Any]:
    """The page's model; `stops` is how many events of emergency stops there are."""
    found = reports(store)
    queues = queue_reports(store.dispatch.depths(), found, store.dispatch.now() / 1_000_000)
    held = [each for each in map(_held, store.dispatch.leases()) if each is not None]
    told = [asdict(worker) | {"state": _state(worker), "heeds": worker.stops_seen >= stops} for worker in found]
    live = [worker for worker in found if not worker.lost]
    return {
        "workers": told,
        "queues": [asdict(queue) for queue in queues],
        "held": sorted(held, key=lambda each: (each["host"], each["pid"], each["run_id"]))[:MOST_HELD],
        "counts": {
            "live": len(live),
            "lost": len(found) - len(live),
            "running": sum(worker.running for worker in live),
            "places": sum(worker.concurrency for worker in live),
            "ready": sum(queue.ready for queue in queues),
            "later": sum(queue.later for queue in queues),
            "stopped": sum(queue.held for queue in queues),
            "unserved": sum(each.runs for queue in queues for each in queue.unserved),
            "held": len(held),
        },
    }


def _state(worker: WorkerReport) -> str:
    if worker.lost:
        return "lost"
    return "draining" if worker.draining else "stopped" if worker.stopped_here else "live"


def _held(lease: LeaseRow) -> dict[str, Any] | None:
    """A run with who holds it; None for what is no run."""
    try:
        tenant, run_id = run_of(lease.stream)
    except CallError:
        return None
    host, pid = _process(lease.owner or "")
    return {"tenant": tenant, "run_id": run_id, "host": host, "pid": pid, "seconds_left": round(lease.seconds_left, 1)}


def _process(owner: str) -> Sequence[str]:
    """Host and process id of who holds a lease."""
    try:
        named = json.loads(owner)
        return str(named["host"]).partition("/")[0], str(named["pid"])
    except (ValueError, KeyError, TypeError):
        return owner[:60], ""
