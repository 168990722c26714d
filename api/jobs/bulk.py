"""Jobs that tell many runs the same: each by a message, or a new run, whose key or id follows from job and run.

So a run that is told twice, because whoever told it died before that was noted, is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ...core.errors import RefoldError, StoreError
from ...core.ids import child_of
from .means import Means, Working
from .selecting import choose, filter_of

SIDE_BY_SIDE = 64
"""So many runs are told at a time: what they write is committed together."""


def key_of(job_id: str, run_id: str) -> str:
    """The key of the message that a job sends to a run."""
    return f"{job_id}-{sha256(run_id.encode()).hexdigest()[:16]}"


def retry_of(job_id: str, run_id: str) -> str:
    """The id of the run by which a job retries another one."""
    return child_of(run_id, job_id)


async def tell_runs(work: Working) -> Mapping[str, Any]:
    """Tell the runs of a job, from where it stands on; its result. Raises StopAskedError, StoreError, CallError."""
    held, store = work.held, work.means.store
    what: Any = work.what
    if held.job.selected is None:
        runs: list[str] = what["run_ids"] or []
        if what["filter"] is not None:
            wanted, until = filter_of(what["filter"]), held.job.asked.until
            runs = (await asyncio.to_thread(choose, store, held.tenant, what["verb"], wanted, until)).runs
        await held.select(len(runs), {"runs": runs})
    selected: Any = None if held.job.selected is None else held.job.selected.items.value
    runs = selected["runs"]
    work.total = len(runs)
    while work.done < work.total:
        batch = runs[work.done : work.done + SIDE_BY_SIDE]
        found = await asyncio.gather(*(_told(work, what, run_id) for run_id in batch))
        faults = [fault for fault in found if fault is not None]
        work.add("findings", faults)
        work.done, work.failed = work.done + len(batch), work.failed + len(faults)
        await work.heed(at_once=work.done == work.total)
    return {"told": work.done - work.failed, "failed": work.failed}


async def _told(work: Working, what: Mapping[str, Any], run_id: str) -> dict[str, Any] | None:
    """Tell one run; what is in the way, if anything is."""
    try:
        await _tell(work.means, work, what, run_id)
    except StoreError:
        raise
    except RefoldError as error:
        return {"run_id": run_id, "code": error.code, "reason": str(error)[:500]}
    return None


async def _tell(means: Means, work: Working, what: Mapping[str, Any], run_id: str) -> None:
    engine, tenant, job_id = means.engine, work.held.tenant, work.held.id
    key, reason = key_of(job_id, run_id), what["reason"]
    match what["verb"]:
        case "cancel":
            await engine.cancel(run_id, reason, force=what["force"], key=key, tenant=tenant)
        case "pause":
            await engine.pause(run_id, reason, key=key, tenant=tenant)
        case "resume":
            await engine.unpause(run_id, key=key, tenant=tenant)
        case _:
            by = work.held.job.asked.by
            await engine.retry(run_id, new_id=retry_of(job_id, run_id), by=by, tenant=tenant)
