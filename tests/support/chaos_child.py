"""A worker process of the chaos campaign: `python -P -m refold.tests.support.chaos_child URL LEASE_SECONDS`.

It works until it is killed, or until its standard input ends; then it drains.
"""

from __future__ import annotations

import asyncio
import sys
from random import Random
from typing import Any

from refold import (
    Failure,
    SkillRegistry,
    StepContext,
    StepFailedError,
    StoreUnreachableError,
    Worker,
    call,
    gather,
    run_workflow,
    set_attribute,
    sleep,
    uuid,
    wait_signal,
    workflow,
)
from refold import random as drawn

from .workflows import spec, step

Plan = list[dict[str, Any]]
"""What the workflow function does, one thing after the other."""


def skills() -> SkillRegistry:
    """Skills whose outcome follows from the step's seed alone, whichever process calls them and however often."""
    registry = SkillRegistry()

    @registry.skill("quick", inline=True, deterministic=True)
    def quick(ctx: StepContext, **inputs: Any) -> Any:
        return {"seed": ctx.seed, "given": inputs}

    @registry.skill("slow", deterministic=True)
    async def slow(ctx: StepContext, **inputs: Any) -> Any:
        await asyncio.sleep(Random(ctx.seed).random() * 0.3)
        return {"seed": ctx.seed, "given": inputs}

    @registry.skill("threaded", deterministic=True)
    def threaded(ctx: StepContext) -> int:
        return ctx.seed

    @registry.skill("wobbly")
    async def wobbly(ctx: StepContext) -> int:
        await asyncio.sleep(0.01)
        if ctx.attempt <= 1 + ctx.seed % 3:
            raise Failure("SKILL_ERROR", f"attempt {ctx.attempt} fails")
        return ctx.attempt

    @registry.skill("doomed")
    async def doomed() -> None:
        raise Failure("SKILL_ERROR", "always")

    registry.add_workflow(follow)
    return registry


@workflow("follow")
async def follow(plan: Plan) -> list[Any]:
    """Do what the plan says and return what came of each thing."""
    set_attribute("things", len(plan))
    outcomes: list[Any] = [str(uuid()), drawn()]
    for thing in plan:
        outcomes.append(await _done(thing))
    return outcomes


async def _done(thing: dict[str, Any]) -> Any:
    match thing:
        case {"call": skill, "inputs": inputs}:
            return await call(skill, **inputs)
        case {"try": skill}:
            try:
                return await call(skill)
            except StepFailedError as error:
                return error.step_code
        case {"sleep": seconds}:
            return await sleep(seconds)
        case {"signal": name}:
            return await wait_signal(name)
        case {"gather": branches}:
            return await gather(*(_all_done(branch) for branch in branches))
        case {"child": plan}:
            return await run_workflow(follow, {"plan": plan})
        case {"spec": document}:
            return await run_workflow(document)
    raise ValueError(thing)


async def _all_done(plan: Plan) -> list[Any]:
    return [await _done(thing) for thing in plan]


def random_plan(random: Random, depth: int = 2) -> tuple[Plan, int]:
    """A plan, and how many signals `go` it wants; only the outermost level wants any, one after the other."""
    plan: Plan = []
    signals = 0
    for _ in range(random.randint(2, 5)):
        kinds = ["call", "call", "try", "sleep", "signal", "gather", "child", "spec"]
        kind = random.choice([kind for kind in kinds if depth or kind in ("call", "try", "sleep")])
        if kind == "call":
            plan.append({"call": random.choice(["quick", "slow"]), "inputs": {"n": random.randint(0, 9)}})
        elif kind == "try":
            plan.append({"try": "doomed"})
        elif kind == "sleep":
            plan.append({"sleep": random.choice([0.01, 0.5, 1.5, 3])})
        elif kind == "signal" and depth == 2:
            plan.append({"signal": "go"})
            signals += 1
        elif kind == "gather":
            plan.append({"gather": [random_plan(random, 0)[0] for _ in range(random.randint(1, 3))]})
        elif kind == "child":
            plan.append({"child": random_plan(random, depth - 1)[0]})
        elif kind == "spec":
            plan.append({"spec": spec(step("a", "quick", n=1), step("b", "sleep", seconds=0.2, depends_on=["a"]))})
    return plan, signals


def random_run(random: Random) -> tuple[dict[str, Any], int]:
    """A spec of quick steps, retries, timers and waits for the signal `go`, and how many signals it wants.

    Waits of one name stand in a row: of two at a time, chance would decide which one gets which signal.
    """
    steps: list[dict[str, Any]] = []
    last_wait: str | None = None
    signals = 0
    for number in range(random.randint(3, 8)):
        name = f"s{number}"
        before = sorted(random.sample([each["step_id"] for each in steps], min(len(steps), random.randint(0, 2))))
        kind = random.choice(["quick", "slow", "threaded", "wobbly", "doomed", "sleep", "wait_signal", "wait_signal"])
        fields: dict[str, Any] = {"depends_on": before}
        if kind in ("quick", "slow") and before:
            fields["inputs"] = {"from": f"${{{before[0]}}}"}
        elif kind == "wobbly":
            fields |= {"max_retries": 5, "retry": {"initial_seconds": random.choice([0.01, 0.2, 1.5])}}
        elif kind == "doomed":
            fields["on_error"] = random.choice(["skip", "continue"])
        elif kind == "sleep":
            fields["inputs"] = {"seconds": random.choice([0.01, 0.5, 1.5, 3])}
        elif kind == "wait_signal":
            # A wait that an earlier failure skips would leave its signal to the next: it depends on waits alone.
            fields = {"depends_on": [last_wait] if last_wait else [], "inputs": {"name": "go"}}
            last_wait = name
            signals += 1
        steps.append(step(name, kind, **fields))
    return spec(*steps), signals


async def _begun(url: str, lease_seconds: float) -> Worker:
    """A worker, begun again as a supervisor would as long as the database is away."""
    while True:
        try:
            return Worker(url, skills(), concurrency=30, lease_seconds=lease_seconds)
        except StoreUnreachableError:
            await asyncio.sleep(0.2)


async def _work(url: str, lease_seconds: float) -> None:
    worker = await _begun(url, lease_seconds)
    asyncio.get_running_loop().add_reader(sys.stdin, worker.drain)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], float(sys.argv[2])))
