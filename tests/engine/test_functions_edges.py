"""Workflow functions at their edges: queries, attributes, mistakes of their authors, limits, heartbeats, pauses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from refold import (
    CallError,
    Failure,
    Retry,
    SkillRegistry,
    StepContext,
    StepFailedError,
    WorkflowEngine,
    call,
    now,
    random,
    run_workflow,
    set_attribute,
    set_query,
    skill,
    sleep,
    uuid,
    wait_signal,
    workflow,
)
from refold.tests.support.functions import Stage
from refold.tests.support.workflows import soon, until

pytestmark = pytest.mark.timeout(60)


@skill(inline=True)
def joined(a: int, b: str = "b", *, c: float = 0.5, **rest: int) -> str:
    return f"{a}{b}{c}{sorted(rest.items())}"


async def test_attributes_are_laid_over_each_other_and_none_takes_one_away() -> None:
    @workflow
    async def attributed() -> None:
        set_attribute("customer", "Ada")
        set_attribute("stage", 1)
        await call("note")
        set_attribute("stage", 2)
        set_attribute("customer", None)

    stage = Stage(attributed)
    await stage.run(attributed)
    async with stage.engine() as engine:
        assert (await engine.state("r")).attributes == {"stage": 2}


async def test_queries_see_the_variables_and_start_nothing() -> None:
    @workflow
    async def asked() -> None:
        items: list[Any] = []
        set_query("items", lambda more=0: {"items": items, "more": more})
        set_query("starts", lambda: call("note", x="from a query"))
        set_query("raises", lambda: 1 // 0)
        set_query("draws", random)
        set_query("marks", lambda: set_attribute("a", 1))
        while len(items) < 2:
            items.append(await wait_signal("item"))

    stage = Stage(asked)
    async with stage.running(asked) as (engine, run):
        await until(lambda: "step.waiting" in stage.topics())
        assert await soon(engine.query("r", "items")) == {"items": [], "more": 0}
        await soon(engine.signal("r", "item", "one"))
        await until(lambda: stage.topics().count("step.waiting") == 2)
        assert await soon(engine.query("r", "items", {"more": 1})) == {"items": ["one"], "more": 1}
        before = stage.topics()
        for name, told in (
            ("starts", "only looks"),
            ("draws", "only looks"),
            ("marks", "only looks"),
            ("raises", "ZeroDivisionError"),
            ("nothing", "it answers: draws, items, marks, raises, starts"),
        ):
            with pytest.raises(CallError, match=told):
                await soon(engine.query("r", name))
        with pytest.raises(CallError, match="TypeError"):
            await soon(engine.query("r", "items", {"unknown": 1}))
        assert stage.topics() == before and stage.called == []
        await soon(engine.signal("r", "item", "two"))
        await soon(run)
        assert await soon(engine.query("r", "items")) == {"items": ["one", "two"], "more": 0}


async def test_a_query_cannot_be_answered_by_an_async_function() -> None:
    async def answer() -> int:
        return 1

    @workflow
    async def asked() -> None:
        set_query("a", answer)

    result = await Stage(asked).run(asked)
    assert result.error_code == "INPUT_INVALID" and "async" in str(result.message)


async def test_outside_of_a_workflow_skills_are_plain_and_all_else_says_where_it_belongs() -> None:
    assert joined(1, "x") == "1x0.5[]"

    @workflow
    async def plain(n: int) -> int:
        return n

    assert await plain(3) == 3
    for calling in (
        lambda: call("note"),
        lambda: sleep(1),
        lambda: wait_signal("x"),
        lambda: run_workflow("x"),
        now,
        random,
        uuid,
        lambda: set_attribute("a", 1),
        lambda: set_query("a", now),
    ):
        with pytest.raises(CallError, match="inside a workflow function only"):
            calling()


async def test_a_step_may_be_awaited_twice_and_is_then_two_steps() -> None:
    @workflow
    async def twice() -> list[Any]:
        command = call("note", x=1)
        return [await command, await command]

    stage = Stage(twice)
    assert (await stage.run(twice)).output == [1, 1]
    assert stage.called == [1, 1] and stage.topics().count("step.completed") == 2


async def test_a_step_that_is_not_awaited_is_no_value() -> None:
    @workflow
    async def forgets() -> Any:
        return call("note", x=1)

    @workflow
    async def passes_on() -> Any:
        return await call("note", x=call("note", x=1))

    @workflow
    async def asks() -> Any:
        return 1 if call("note", x=0) else 2

    for code in (forgets, passes_on, asks):
        stage = Stage(code)
        result = await stage.run(code)
        assert result.status == "failed" and "await" in str(result.message), result.message
        assert stage.called == []


async def test_a_workflow_that_is_not_registered_is_refused_before_anything_is_written() -> None:
    @workflow
    async def unknown() -> None:
        pass

    @workflow("unknown")
    async def namesake() -> None:
        pass

    for stage in (Stage(), Stage(namesake)):
        async with stage.engine() as engine:
            with pytest.raises(CallError, match="registered"):
                await engine.run(unknown, "r")
        assert stage.store.heads(["default/r"]) == {}


async def test_a_skill_that_is_not_registered_here_parks_the_run_until_it_is() -> None:
    @workflow
    async def named() -> Any:
        try:
            return await call("late", x=1)
        except Failure:
            return "caught"

    stage = Stage(named)
    async with stage.engine() as engine:
        result = await soon(engine.run(named, "r"))
    assert (result.status, result.error_code) == ("parked", "SKILL_UNKNOWN")
    assert "'late'" in str(result.message)

    @stage.skills.skill("late", inline=True)
    def late(x: int) -> int:
        return x

    async with stage.engine() as engine:
        assert (await soon(engine.resume("r"))).output == 1
    assert stage.proved()


async def test_functions_sleep_and_wait_without_the_ready_skills() -> None:
    @workflow
    async def bare() -> str:
        await sleep(0)
        return "slept"

    stage = Stage()
    skills = SkillRegistry(ready=False)
    skills.add_workflow(bare)
    async with WorkflowEngine(stage.store, skills) as engine:
        assert (await soon(engine.run(bare, "r"))).output == "slept"


@pytest.mark.parametrize("size", [1_900_000, 2_100_000])
async def test_outputs_and_inputs_have_the_limit_of_payloads(size: int) -> None:
    @workflow
    async def large(size: int) -> str:
        try:
            text = await call("note", x="x" * size)
        except StepFailedError as error:
            return error.step_code
        return text

    @workflow
    async def returns(size: int) -> str:
        return "x" * size

    stage = Stage(large, returns)
    inside = size < 2_000_000
    told, given = await stage.run(large, {"size": size}), await stage.run(returns, {"size": size}, "two")
    assert (len(told.output) == size) if inside else (told.output == "INPUT_TOO_LARGE")
    assert given.error_code == (None if inside else "OUTPUT_TOO_LARGE")


async def test_a_run_of_a_function_times_out_as_a_whole() -> None:
    @workflow(timeout=0.05)
    async def slow() -> None:
        await wait_signal("never")

    stage = Stage(slow)
    result = await stage.run(slow)
    assert (result.status, result.error_code) == ("timed_out", "RUN_TIMEOUT")


async def test_heartbeats_hand_their_progress_to_the_next_attempt_and_missing_ones_end_it() -> None:
    stage = Stage()
    attempts: list[tuple[int, Any]] = []

    @stage.skills.skill("slow", heartbeat_seconds=0.15, retry=Retry(max_attempts=2, initial_seconds=0.001))
    async def slow(ctx: StepContext) -> Any:
        attempts.append((ctx.attempt, ctx.progress))
        if ctx.attempt == 1:
            await asyncio.to_thread(ctx.heartbeat, {"done": 3})
            await asyncio.sleep(3600)
        return ctx.progress

    @workflow
    async def beats() -> Any:
        return await call("slow")

    stage.skills.add_workflow(beats)
    result = await stage.run(beats)
    assert (result.output, attempts) == ({"done": 3}, [(1, None), (2, {"done": 3})])
    assert "step.progressed" in stage.topics() and "step.attempt_failed" in stage.topics()


async def test_an_at_most_once_step_of_a_function_is_never_run_again() -> None:
    stage = Stage()

    @stage.skills.skill("pay", at_most_once=True)
    async def pay() -> None:
        stage.called.append("pay")
        await stage.gates()

    @workflow
    async def pays() -> str:
        try:
            await call("pay")
        except StepFailedError as error:
            return error.step_code
        return "paid"

    stage.skills.add_workflow(pays)
    engine = stage.engine()
    run = asyncio.create_task(engine.run(pays, "r"))
    await until(lambda: stage.called)
    await soon(engine.close())
    with pytest.raises(CallError):
        await run
    async with stage.engine() as engine:
        assert (await soon(engine.resume("r"))).output == "INTERRUPTED"
    assert stage.called == ["pay"] and stage.proved()


async def test_pausing_lets_running_steps_end_and_starts_no_more_until_resumed() -> None:
    @workflow
    async def two() -> list[Any]:
        return [await call("gated", x="a"), await call("gated", x="b")]

    stage = Stage(two)
    async with stage.running(two) as (engine, run):
        await until(lambda: stage.called)
        await soon(engine.pause("r"))
        stage.gates.open()
        assert (await soon(run)).status == "paused" and stage.called == ["a"]
        assert (await soon(engine.resume("r"))).output == ["a", "b"]
    assert stage.proved()
