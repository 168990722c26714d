"""What policies, ceilings, the sandbox and an emergency stop refuse, each for real, by the code that must be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from refold import WorkflowEngine, WorkflowResult
from refold.core.events import PolicyDecided, StepFailed
from refold.core.run_ends import RunRejected
from refold.ops.certify_faults import Bench

from .provoked_runs import Provoke, code_of
from .workflows import events_of, spec, step

ONE_PLACE = {"limit": "one", "places": 1, "when_exceeded": "fail"}
ONE_AN_HOUR = {"limit": "rare", "rate": {"count": 1, "seconds": 3600}, "when_exceeded": "fail"}


def policy(**fields: Any) -> dict[str, Any]:
    """A policy, as a document."""
    return {"policy": "careful", "version": "1", **fields}


async def refused(bench: Bench, *steps: dict[str, Any], run_id: str = "", **fields: Any) -> str | None:
    """Run these steps under a policy of these fields, which refuses one: its code, which all that is recorded has."""
    name = run_id or bench.run_id
    result = await bench.engine.run(spec(*steps), name, policy=policy(**fields))
    events = events_of(bench.store, name)
    told = [each.code for each in events if isinstance(each, PolicyDecided) and each.verdict == "refused"]
    told += [each.error_code for each in events if isinstance(each, StepFailed | RunRejected)]
    assert result.status == "rejected" and told == [result.error_code] * 3, told
    return result.error_code


@asynccontextmanager
async def gated_run(
    engine: WorkflowEngine, run_id: str, **options: Any
) -> AsyncIterator[tuple[asyncio.Event, asyncio.Task[WorkflowResult]]]:
    """A run of two steps, of which the first is under way until the gate is open."""
    begun, gate = asyncio.Event(), asyncio.Event()

    @engine.skills.skill("gated")
    async def passing() -> None:
        begun.set()
        await gate.wait()

    document = spec(step("a", "gated"), step("then", depends_on=["a"]))
    run = asyncio.create_task(engine.run(document, run_id, **options))
    await begun.wait()
    try:
        yield gate, run
    finally:
        gate.set()
        await asyncio.wait([run])


async def denied(bench: Bench) -> str | None:
    """A rule denies the skill."""
    return await refused(
        bench, step("a", "hash"), rules=[{"rule": "no-hash", "match": {"skill": "hash"}, "deny": "no"}]
    )


async def dear_step(bench: Bench) -> str | None:
    """A step costs more than the spec lets a step cost, and then more than a policy does."""
    dear = step("a", estimated_cost_cents=6)
    code = await bench.run(dear, step_ceiling_cents=5)
    assert await refused(bench, dear, run_id="of-policy", rules=[{"rule": "cheap", "max_step_cents": 5}]) == code
    return code


async def dear_run(bench: Bench) -> str | None:
    """Two steps cost more together than the spec lets a run cost, and then more than a policy does."""
    dear = [step("a", estimated_cost_cents=3), step("b", estimated_cost_cents=3, depends_on=["a"])]
    code = await bench.run(*dear, workflow_ceiling_cents=5)
    assert await refused(bench, *dear, run_id="of-policy", rules=[{"rule": "cheap", "max_run_cents": 5}]) == code
    return code


async def no_budget(bench: Bench) -> str | None:
    """A step costs more than the tenant may spend."""
    return await refused(bench, step("a", estimated_cost_cents=6), budgets=[{"scope": "tenant", "cents": 5}])


async def too_often(bench: Bench) -> str | None:
    """Two steps begin in an hour."""
    return await refused(bench, step("a"), step("b", depends_on=["a"]), limits=[ONE_AN_HOUR])


async def too_many(bench: Bench) -> str | None:
    """A run takes the only place, and another one wants it."""
    async with gated_run(bench.engine, "first", policy=policy(limits=[ONE_PLACE])) as (gate, first):
        code = await refused(bench, step("a"), limits=[ONE_PLACE])
        gate.set()
        assert (await first).success
    return code


async def suspicious(bench: Bench) -> str | None:
    """A planner's plan wants to read what is no business of its."""
    plan = spec(step("a", text="cat ../../../../etc/passwd"))
    result = await bench.engine.run(plan, bench.run_id, source="planner")
    (end,) = [each for each in events_of(bench.store, bench.run_id) if isinstance(each, RunRejected)]
    assert end.error_code == result.error_code and [each.attempts for each in result.steps] == [0]
    return result.error_code


async def stopped(bench: Bench) -> str | None:
    """Everything is stopped while a step runs: the next does not begin, nor does another run, until the release."""
    async with gated_run(bench.engine, bench.run_id) as (gate, run):
        await bench.engine.emergency.enable(reason="fire", by="ada")
        gate.set()
        code = await code_of(run)
    assert await code_of(bench.engine.run(spec(step("a")), "other")) == code
    decided = [each for each in events_of(bench.store, bench.run_id) if isinstance(each, PolicyDecided)]
    assert [(each.step_id, each.verdict, each.code) for each in decided] == [("then", "deferred", code)]
    await bench.engine.emergency.disable(by="ada")
    assert (await bench.engine.resume(bench.run_id)).success
    return code


POLICIES: dict[str, Provoke] = {
    "POLICY_REFUSED": denied,
    "STEP_COST_CEILING": dear_step,
    "WORKFLOW_COST_CEILING": dear_run,
    "BUDGET_EXCEEDED": no_budget,
    "RATE_LIMITED": too_often,
    "CONCURRENCY_LIMITED": too_many,
    "SANDBOX_REJECTED": suspicious,
    "EMERGENCY_STOP": stopped,
}
"""By the code that must be told."""
