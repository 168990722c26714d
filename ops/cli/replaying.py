"""`refold replay`."""

from __future__ import annotations

from collections.abc import Sequence

from ...compose import WorkflowEngine
from ...core.events import RunCancelled, RunTimedOut
from ...core.ids import check_run_id, check_tenant
from ...core.results import result_of
from ...core.runtime.replay import Replayed
from .faults import OK
from .output import console, stdout_for_json_only, write_json
from .reading import existing_store, read_skills
from .signals import run_until_stopped


def replay_run(run_id: str, modules: Sequence[str], tenant: str, database: str | None, json: bool) -> int:
    """Replay a run and tell the verdict; a divergence is raised. Returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)
    with stdout_for_json_only(json):
        skills = read_skills(modules)

        async def work() -> Replayed:
            async with WorkflowEngine(store, skills) as engine:
                return await engine.replay(run_id, tenant)

        with existing_store(database) as store:
            state, executed, from_log = run_until_stopped(work)
    result = result_of(state)
    cut = isinstance(state.end, RunCancelled | RunTimedOut)
    verdict = "not comparable" if cut or state.end is None else "equal"
    if json:
        told = {"run_id": run_id, "verdict": verdict.replace(" ", "_"), "status": result.status}
        write_json({**told, "workflow_hash": result.workflow_hash, "executed": executed, "served": from_log})
    elif verdict == "equal":
        console().print(f"equal: run again, {run_id} gives workflow hash {result.workflow_hash}", soft_wrap=True)
        console().print(f"steps: {executed} executed again, {from_log} served from the log", soft_wrap=True)
    else:
        why = "was cut off from outside" if cut else "has not ended"
        console().print(f"not comparable: {run_id} {why} ({result.status})", soft_wrap=True)
    return OK
