"""Executing a recorded run again: equal, or an error that names the step."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from refold import Failure, ReplayDivergenceError, SkillRegistry, StepContext, WorkflowEngine
from refold.core.events import RunCancelled
from refold.eventstore.memory import MemoryStore
from refold.tests.support.own_codes import OWN_CODES
from refold.tests.support.workflows import events_of, soon, spec, step, until

pytestmark = pytest.mark.timeout(60)


async def recorded(one: dict[str, Any], skills: SkillRegistry) -> MemoryStore:
    """A store with the ended run `r`."""
    store = MemoryStore()
    async with WorkflowEngine(store, skills) as engine:
        await soon(engine.run(one, "r", 1))
    return store


async def replayed(store: MemoryStore, one: dict[str, Any], skills: SkillRegistry) -> Any:
    """The result of replaying it, which appends nothing."""
    written = store.last_position()
    async with WorkflowEngine(store, skills) as engine:
        try:
            return await soon(engine.run(one, "r", 1, replay=True))
        finally:
            assert store.last_position() == written


def skills(**functions: Any) -> SkillRegistry:
    """A registry of deterministic inline skills."""
    registry = SkillRegistry()
    for name, function in functions.items():
        registry.skill(name, deterministic=True, inline=True, failures=OWN_CODES)(function)
    return registry


async def test_a_deterministic_run_replays() -> None:
    one = spec(step("a", "random"), step("b", "hash", x="${a.value}"))
    store = await recorded(one, SkillRegistry())
    assert (await replayed(store, one, SkillRegistry())).success


async def test_changed_code_is_named_with_both_values() -> None:
    def first() -> int:
        return 1

    def second() -> int:
        return 2

    one = spec(step("a"), step("b", "work"), step("c", x="${b}"))
    store = await recorded(one, skills(work=first))
    with pytest.raises(ReplayDivergenceError, match=r"step 'b' \(index 1, skill 'work'\) recorded 1 .* now gives 2 "):
        await replayed(store, one, skills(work=second))


async def test_a_skill_that_only_says_it_is_deterministic_is_found_out() -> None:
    numbers = itertools.count()

    def counting() -> int:
        return next(numbers)

    one = spec(step("a", "work"))
    registry = skills(work=counting)
    store = await recorded(one, registry)
    with pytest.raises(ReplayDivergenceError, match="step 'a'"):
        await replayed(store, one, registry)


@pytest.mark.parametrize("retries", [0, 3])
async def test_a_step_that_succeeded_and_now_fails_diverges(retries: int) -> None:
    def fine() -> int:
        return 1

    def broken() -> int:
        raise Failure("BROKEN", "now")

    pauses = {"initial_seconds": 0.001}
    one = spec(step("a", "work", max_retries=retries, retry=pauses, on_error="continue"), step("b", depends_on=["a"]))
    store = await recorded(one, skills(work=fine))
    with pytest.raises(ReplayDivergenceError, match=r"step 'a'.* recorded 1 .* now gives failed BROKEN"):
        await replayed(store, one, skills(work=broken))


async def test_a_step_that_failed_and_now_succeeds_diverges() -> None:
    def fine() -> int:
        return 1

    def broken() -> int:
        raise Failure("BROKEN", "then")

    one = spec(step("a", "work"), step("b", depends_on=["a"]))
    store = await recorded(one, skills(work=broken))
    with pytest.raises(ReplayDivergenceError, match="step 'a'"):
        await replayed(store, one, skills(work=fine))


async def test_skills_that_are_not_deterministic_are_served_from_the_log() -> None:
    calls: list[str] = []
    registry = SkillRegistry()

    @registry.skill("guess")
    async def guess() -> int:
        calls.append("x")
        return len(calls)

    one = spec(step("a", "guess"), step("b", x="${a}"))
    store = await recorded(one, registry)
    assert (await replayed(store, one, registry)).output == {"b": {"x": 1}}
    assert calls == ["x"]


async def test_a_run_with_a_time_limit_replays_long_after_it() -> None:
    one = spec(step("a", "sleep", seconds=0.001), step("b", depends_on=["a"]), timeout_seconds=0.3)
    store = await recorded(one, SkillRegistry())
    await asyncio.sleep(0.35)
    assert (await replayed(store, one, SkillRegistry())).status == "completed"


async def test_aborts_skips_and_retries_replay() -> None:
    registry = SkillRegistry()

    @registry.skill("flaky", deterministic=True, inline=True)
    def flaky(ctx: StepContext, n: int) -> int:
        if ctx.attempt < n:
            raise ValueError("again")
        return n

    fast = {"max_retries": 2, "retry": {"initial_seconds": 0}}
    one = spec(
        step("a", "flaky", n=2, **fast),
        step("b", "flaky", n=9, on_error="skip", **fast),
        step("c", depends_on=["b"]),
        step("d", x="${a.absent}", on_error="continue"),
        step("e", "flaky", n=9, depends_on=["d"]),
        step("f", depends_on=["e"]),
    )
    store = await recorded(one, registry)
    result = await replayed(store, one, registry)
    assert [s.status for s in result.steps] == ["completed", "failed", "skipped", "failed", "failed", "cancelled"]


async def test_a_cancelled_run_is_not_compared() -> None:
    store, started = MemoryStore(), asyncio.Event()
    registry = SkillRegistry()

    @registry.skill("wait")
    async def wait() -> None:
        started.set()
        await asyncio.sleep(3600)

    one = spec(step("a", "wait"))
    async with WorkflowEngine(store, registry) as engine:
        run = asyncio.create_task(engine.run(one, "r", 1))
        await soon(started.wait())
        await soon(engine.cancel("r"))
        await soon(run)
    assert (await replayed(store, one, registry)).status == "cancelled"
    assert isinstance(events_of(store, "r")[-1], RunCancelled)


async def test_a_replay_that_is_given_up_stops_what_it_runs() -> None:
    waiting, stopped = asyncio.Event(), asyncio.Event()
    hang = False
    registry = SkillRegistry()

    @registry.skill("work", deterministic=True)
    async def work() -> int:
        if hang:
            waiting.set()
            try:
                await asyncio.sleep(3600)
            finally:
                stopped.set()
        return 1

    one = spec(step("a", "work"))
    store = await recorded(one, registry)
    hang = True
    async with WorkflowEngine(store, registry) as engine:
        run = asyncio.create_task(engine.run(one, "r", 1, replay=True))
        await soon(waiting.wait())
        run.cancel()
        await until(run.done)
        await soon(stopped.wait())
