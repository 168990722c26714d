"""`refold cancel` and `refold pause`: messages to a run."""

from __future__ import annotations

from typing import Literal

from ...compose import WorkflowEngine
from ...core.ids import check_run_id, check_tenant, stream_of
from ...core.results import WorkflowResult
from ...core.runtime.admission import MAX_REASON, check_text
from ...eventstore.rebuild import is_held
from ..settings import store_patience
from .faults import OK
from .output import console, write_json
from .reading import existing_store
from .signals import run_until_stopped


def tell(
    verb: Literal["cancel", "pause"],
    run_id: str,
    reason: str,
    tenant: str,
    database: str | None,
    json: bool,
    *,
    force: bool = False,
) -> int:
    """Send the message and tell how the run stands then; returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)
    check_text("--reason", reason, MAX_REASON)
    patience = store_patience()

    async def work() -> WorkflowResult:
        async with WorkflowEngine(store, patience=patience) as engine:
            if verb == "pause":
                return await engine.pause(run_id, reason, tenant=tenant)
            return await engine.cancel(run_id, reason, force=force, tenant=tenant)

    with existing_store(database, migrate=True) as store:
        result = run_until_stopped(work)
        held = is_held(store.dispatch.lease(stream_of(tenant, run_id)))
    wanted = "cancelled" if verb == "cancel" else "paused"
    if json:
        write_json(result.to_json())
    elif result.status != wanted and held:
        told = f"{verb} requested: the process that works on {run_id} will see it within a second"
        console().print(told, soft_wrap=True)
    elif result.status != wanted and verb == "cancel":
        # A function may clean up first, and this command does not know its code.
        told = f"{run_id} is being cancelled, but nobody works on it; have it clean up: refold resume {run_id}"
        console().print(told, soft_wrap=True)
    else:
        console().print(f"{run_id} is {result.status}", soft_wrap=True)
    return OK
