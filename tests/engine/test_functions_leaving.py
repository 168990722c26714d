"""Functions that leave memory in the middle: their clean-up code must neither run steps nor stand in the way."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
from typing import Any

import pytest

from refold import IntegrityError, Workflow, call, gather, random, skill, wait_signal, workflow
from refold.core.canonical import Payload
from refold.core.events import StepSkipped
from refold.core.limits import Limits
from refold.core.runtime.functions.code_decider import decider_of
from refold.tests.support.functions import Stage
from refold.tests.support.workflows import soon, until

pytestmark = pytest.mark.timeout(30)

undone: list[str] = []


@skill
async def undo(what: str) -> str:
    """Would change the world if it were called as the plain function."""
    undone.append(what)
    return what


@workflow
async def tidy() -> Any:
    try:
        return await wait_signal("go")
    finally:
        await call(undo, what="in the finally")


@workflow
async def careless() -> Any:
    try:
        return await wait_signal("go")
    except BaseException:
        return await call(undo, what="in the except")


@pytest.mark.parametrize("code", [tidy, careless])
async def test_clean_up_does_not_run_when_the_run_only_leaves_memory(code: Workflow[..., Any]) -> None:
    undone.clear()
    stage = Stage(code)
    await stage.left_waiting(code)
    gc.collect()
    assert undone == [] and stage.topics() == ["run.started", "step.waiting"]
    async with stage.running(code) as (engine, run):
        await soon(engine.signal("r", "go", 1))
        result = await soon(run)
    assert (result.status, result.output) == ("completed", 1), result.message
    assert undone == (["in the finally"] if code is tidy else [])


async def test_looking_at_an_ended_run_runs_none_of_its_clean_up() -> None:
    undone.clear()
    stage = Stage(tidy)
    await stage.left_waiting(tidy)
    async with stage.engine() as engine:
        await soon(engine.cancel("r", force=True))
        assert (await soon(engine.resume("r"))).status == "cancelled"
        decider_of(stage.events(), stage.skills, Limits()).close()
    gc.collect()
    assert undone == []


def test_a_history_that_does_not_fold_leaves_no_function_behind() -> None:
    undone.clear()
    stage = Stage(tidy)
    asyncio.run(stage.left_waiting(tidy))
    broken = [*stage.events(), StepSkipped(0, 0, "a", "b", "c", "d")]
    with pytest.raises(IntegrityError):
        decider_of(broken, stage.skills, Limits())
    gc.collect()
    assert undone == []


@workflow
async def stubborn() -> Any:
    while True:
        try:
            random()
            await wait_signal("go")
            return await call(undo, what="once")
        except BaseException:
            pass


@workflow
async def stubborn_gather() -> None:
    while True:
        with contextlib.suppress(BaseException):
            await gather(wait_signal("go"), wait_signal("go"))


@pytest.mark.parametrize("code", [stubborn, stubborn_gather])
async def test_code_that_swallows_everything_is_left_standing_and_told_of(
    code: Workflow[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    undone.clear()
    stage = Stage(code)
    with caplog.at_level(logging.WARNING, "refold"):
        await stage.left_waiting(code)
    gc.collect()
    assert "catches BaseException" in caplog.text and "test_functions_leaving.py:" in caplog.text
    assert undone == []


async def test_code_that_swallows_everything_still_works() -> None:
    undone.clear()
    stage = Stage(stubborn)
    await stage.left_waiting(stubborn)
    async with stage.running(stubborn) as (engine, run):
        await soon(engine.signal("r", "go"))
        assert (await soon(run)).output == "once"
    assert undone == ["once"] and stage.proved()


WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


@workflow
async def whoami() -> list[str]:
    async def branch(name: str) -> str:
        WHO.set(name)
        await call("gated")
        return WHO.get()

    before = WHO.get()
    WHO.set("the workflow")
    return [before, *await gather(branch("a"), branch("b")), WHO.get()]


async def test_context_variables_belong_to_the_branch_and_do_not_come_from_the_caller() -> None:
    stage = Stage(whoami)
    stage.gates.open()
    WHO.set("the caller")
    result = await stage.run(whoami)
    assert result.output == ["nobody", "a", "b", "the workflow"]
    assert WHO.get() == "the caller"


async def test_an_asyncio_time_out_in_a_function_cannot_cancel_whoever_drives_it() -> None:
    @workflow
    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await wait_signal("go")

    stage = Stage(impatient)
    async with stage.running(impatient) as (_, run):
        result = await soon(run)
    assert result.status == "failed" and "inside a task" in str(result.message)


async def test_a_coroutine_can_be_gathered_once_only() -> None:
    async def helper() -> Any:
        return await call("note", x=1)

    @workflow
    async def twice() -> Any:
        shared = helper()
        try:
            return await gather(shared, shared)
        except RuntimeError as error:
            shared.close()
            return str(error)

    result = await Stage(twice).run(twice)
    assert "awaited already" in result.output


async def test_queries_drop_their_copy_of_the_function() -> None:
    undone.clear()
    stage = Stage(tidy)
    await stage.left_waiting(tidy)
    async with stage.engine() as engine:
        with pytest.raises(ValueError, match="answers no query"):
            await soon(engine.query("r", "anything"))
    gc.collect()
    assert undone == []


async def test_steps_of_a_run_in_memory_go_on_while_another_one_is_dropped() -> None:
    stage = Stage(tidy)
    await stage.left_waiting(tidy, run_id="one")
    async with stage.running(tidy, "two") as (engine, run):
        await until(lambda: "step.waiting" in stage.topics("two"))
        assert (await soon(engine.cancel("one", force=True))).status == "cancelled"
        await soon(engine.signal("two", "go", Payload.of(2).value))
        assert (await soon(run)).output == 2
