"""The time limit of a run."""

from __future__ import annotations

import asyncio
import time

import pytest

from refold import SkillRegistry, WorkflowEngine
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.workflows import soon, spec, step, topics_of, until

pytestmark = pytest.mark.timeout(60)

LIMITED = spec(step("a", x=1), step("b", "wait", depends_on=["a"]), timeout_seconds=0.2)


def waiting(seen: list[str]) -> SkillRegistry:
    """A registry with a skill that waits for ever."""
    registry = SkillRegistry()

    @registry.skill("wait")
    async def wait() -> None:
        seen.append("started")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("stopped")
            raise

    return registry


async def test_a_run_that_takes_too_long_is_ended() -> None:
    store, seen = MemoryStore(), []
    async with WorkflowEngine(store, waiting(seen)) as engine:
        result = await soon(engine.run(LIMITED, "r"))
        await until(lambda: "stopped" in seen)
    assert (result.status, result.error_code) == ("timed_out", "RUN_TIMEOUT")
    assert [s.status for s in result.steps] == ["completed", "cancelled"]
    assert verify_run(store, "r").ok


async def test_the_limit_counts_from_the_start_also_across_a_restart() -> None:
    store, seen = MemoryStore(), []
    async with WorkflowEngine(store, waiting(seen)) as engine:
        run = asyncio.create_task(engine.run(LIMITED, "r"))
        await until(lambda: seen)
    await asyncio.gather(run, return_exceptions=True)
    await asyncio.sleep(0.2)
    seen.clear()
    async with WorkflowEngine(store, waiting(seen)) as engine:
        result = await soon(engine.run(LIMITED, "r"))
    assert (result.status, seen) == ("timed_out", [])
    assert topics_of(store, "r") == ["run.started", "step.completed", "run.timed_out"]


async def test_the_limit_ends_a_run_between_attempts() -> None:
    registry = SkillRegistry()

    @registry.skill("fail", inline=True)
    def fail() -> None:
        raise ValueError("no")

    hopeless = step("a", "fail", max_retries=1000, retry={"initial_seconds": 60})
    store = MemoryStore()
    began = time.monotonic()
    async with WorkflowEngine(store, registry) as engine:
        result = await soon(engine.run(spec(hopeless, timeout_seconds=0.1), "r"))
    assert (result.status, result.steps[0].attempts) == ("timed_out", 1)
    assert time.monotonic() - began < 10
    assert verify_run(store, "r").ok


async def test_a_paused_run_past_its_limit_ends_when_it_is_resumed() -> None:
    store, seen = MemoryStore(), []
    async with WorkflowEngine(store, waiting(seen)) as engine:
        run = asyncio.create_task(engine.run(LIMITED, "r"))
        await until(lambda: seen)
    await asyncio.gather(run, return_exceptions=True)
    async with WorkflowEngine(store, waiting(seen)) as engine:
        assert (await soon(engine.pause("r"))).status == "paused"
        await asyncio.sleep(0.2)
        assert (await soon(engine.resume("r"))).status == "timed_out"
    assert verify_run(store, "r").ok
