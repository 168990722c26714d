"""Cancelling workflow functions: they are told where they stand, clean up, and end."""

from __future__ import annotations

import asyncio

import pytest

from refold import WorkflowResult, call, gather, run_workflow, sleep, wait_signal, workflow
from refold.tests.support.functions import Stage
from refold.tests.support.workflows import soon, spec, step, until

pytestmark = pytest.mark.timeout(60)


async def test_the_clean_up_gets_its_slot_though_all_of_them_were_taken() -> None:
    @workflow
    async def full() -> None:
        try:
            await gather(*(call("gated", x=n) for n in range(70)))
        finally:
            await call("note", x="clean")

    stage = Stage(full)
    async with stage.running(full) as (engine, run):
        await until(lambda: len(stage.called) == 64)
        await soon(engine.cancel("r", "enough"))
        assert (await soon(run)).status == "cancelled"
    assert stage.called[-1] == "clean"
    assert stage.topics() == ["run.started", "run.cancelling", "step.completed", "run.cancelled"]
    assert stage.proved()


async def test_a_function_that_parks_while_steps_run_gives_its_caller_an_answer() -> None:
    async def foreign() -> None:
        await call("note")
        await asyncio.sleep(3600)

    @workflow
    async def mixed() -> None:
        await gather(call("gated"), foreign())

    stage = Stage(mixed)
    async with stage.running(mixed) as (_, run):
        result = await soon(run)
    assert (result.status, result.error_code) == ("parked", "FOREIGN_AWAIT")
    assert result.message is not None and "engine/test_functions_cancel.py:" in result.message


async def test_an_abort_lets_lower_steps_go_on_though_all_slots_were_taken_by_higher_ones() -> None:
    """Step b needs a and comes before the 63 that hang; the 64th fails and aborts the run."""
    stage = Stage()
    hanging = [step(f"h{n}", "gated") for n in range(63)]
    plan = spec(step("a", "gated", x="a"), step("b", "note", x="${a}"), *hanging, step("z", "fail"))
    async with stage.engine() as engine:
        run = asyncio.create_task(engine.run(plan, "r"))
        await until(lambda: len(stage.called) == 64)
        stage.gates.open()
        result: WorkflowResult = await soon(run)
    assert result.error_code == "SKILL_ERROR" and stage.proved()


async def test_a_child_that_begins_in_the_moment_of_the_cancel_is_cancelled_too() -> None:
    @workflow
    async def child() -> None:
        await wait_signal("never")

    @workflow
    async def parent() -> None:
        await call("gated")
        await run_workflow(child)

    for pause in range(12):  # turns of the event loop between the step's end and the cancel
        stage = Stage(parent, child)
        async with stage.running(parent) as (engine, run):
            await until(lambda stage=stage: stage.called)
            cancel = asyncio.create_task(engine.cancel("r"))
            for _ in range(pause):
                await asyncio.sleep(0)
            stage.gates.open()
            assert (await soon(run)).status == "cancelled", pause
            await soon(cancel)
            if stage.store.read("default/r~1"):
                await until(lambda stage=stage: stage.topics("r~1")[-1] == "run.cancelled")
        assert stage.proved()


async def test_a_timer_does_not_outlive_the_cancel() -> None:
    @workflow
    async def sleeper() -> None:
        await sleep("1d")

    stage = Stage(sleeper)
    async with stage.running(sleeper) as (engine, run):
        await until(lambda: "step.waiting" in stage.topics())
        assert (await soon(engine.cancel("r"))).status == "cancelled"
        assert (await soon(run)).error_code == "RUN_CANCELLED"
    assert stage.proved()
