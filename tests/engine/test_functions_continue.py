"""Functions that have their work continued by a new run: what goes along, and who finds the way to it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from refold import (
    RunConflictError,
    StepFailedError,
    call,
    continue_as_new,
    gather,
    open_store,
    run_workflow,
    wait_signal,
    workflow,
)
from refold.core.events import RunContinued
from refold.replay.verify import verify_run
from refold.tests.support.functions import Stage
from refold.tests.support.workflows import soon, until

pytestmark = pytest.mark.timeout(60)


@workflow
async def count(n: int, to: int) -> int:
    await call("note", x=n)
    if n < to:
        continue_as_new(n=n + 1, to=to)
    return n


async def test_a_chain_of_fifty_runs_ends_with_the_output_of_the_last() -> None:
    stage = Stage(count)
    async with stage.engine() as engine:
        result = await soon(engine.run(count, "r", inputs={"n": 1, "to": 50}))
        again = await soon(engine.run(count, "r", inputs={"n": 1, "to": 50}))
        for run_id in ("r", "r~c2", "r~c50"):
            await soon(engine.replay(run_id))
    assert (result.run_id, result.output) == ("r~c50", 50) == (again.run_id, again.output)
    assert stage.called == [*range(1, 51)]
    assert all(stage.proved(run_id) for run_id in ("r", *(f"r~c{n}" for n in range(2, 51))))


@workflow
async def collect(got: list[Any], quota: int) -> list[Any]:
    while len(got) < quota:
        got.append(await wait_signal("item"))
        if len(got) % 3 == 0 and len(got) < quota:
            continue_as_new(got=got, quota=quota)
    return got


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
async def test_no_acknowledged_signal_is_lost_on_the_way(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Thirty signals, sent to the first run while it and its successors continue themselves every three."""
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/log.db"}.get(kind) or request.getfixturevalue(
        "postgres_url"
    )
    store = open_store(url)
    stage = Stage(collect, store=store)
    async with stage.engine() as sender, stage.running(collect, got=[], quota=30) as (engine, run):
        await until(lambda: store.heads(["default/r"]))
        for n in range(0, 30, 2):
            await asyncio.gather(soon(sender.signal("r", "item", n)), soon(engine.signal("r", "item", n + 1)))
        result = await soon(run)
    assert sorted(result.output) == list(range(30))
    assert verify_run(store, "r").ok and verify_run(store, result.run_id).ok
    store.close()


async def test_signals_that_nothing_has_used_go_along_in_their_order() -> None:
    @workflow
    async def moves(again: bool) -> list[Any]:
        if again:
            await call("gated")
            continue_as_new(again=False)
        return [await wait_signal("b"), await wait_signal("a"), await wait_signal("a"), await wait_signal("end")]

    stage = Stage(moves)
    async with stage.running(moves, again=True) as (engine, run):
        await until(lambda: stage.called)
        for name, body in (("a", 1), ("b", 2), ("a", 3)):
            await soon(engine.signal("r", name, body, key=f"key-{body}"))
        stage.gates.open()
        await until(lambda: stage.store.heads(["default/r~c2"]))
        await soon(engine.signal("r", "a", 1, key="key-1"))  # a repetition: the same signal still
        await soon(engine.signal("r", "end"))
        assert (await soon(run)).output == [2, 1, 3, None]
    assert stage.proved("r") and stage.proved("r~c2")


async def test_it_works_inside_of_a_gather_and_through_a_finally_that_awaits() -> None:
    @workflow
    async def child() -> None:
        await wait_signal("never")

    @workflow
    async def deep(again: bool) -> str:
        async def leaves() -> None:
            try:
                await call("gated", x="before")
                continue_as_new(again=False)
            finally:
                await call("note", x="finally")

        if again:
            await gather(run_workflow(child), leaves(), wait_signal("never"))
        return "over"

    stage = Stage(deep, child)
    async with stage.running(deep, again=True) as (_, run):
        await until(lambda: stage.topics().count("step.waiting") == 2 and stage.called)
        stage.gates.open()
        assert (await soon(run)).output == "over"
        await until(lambda: stage.topics("r~0.0.0")[-1] == "run.cancelled")
    assert stage.called == ["before", "finally"]
    assert isinstance(stage.events()[-1], RunContinued) and stage.proved()


async def test_inputs_that_the_function_does_not_take_fail_the_run_at_the_call() -> None:
    @workflow
    async def wrong(n: int) -> None:
        continue_as_new(n="text")

    result = await Stage(wrong).run(wrong, {"n": 1})
    assert (result.status, result.error_code) == ("failed", "INPUT_INVALID")


async def test_messages_find_the_run_that_continues_the_one_they_name() -> None:
    @workflow
    async def moves(again: bool) -> Any:
        if again:
            continue_as_new(again=False)
        return await wait_signal("go")

    stage = Stage(moves)
    async with stage.running(moves, again=True) as (engine, run):
        await until(lambda: stage.store.heads(["default/r~c2"]) and "step.waiting" in stage.topics("r~c2"))
        assert (await soon(engine.pause("r"))).run_id == "r~c2"
        assert (await soon(run)).status == "paused"
        resumed = asyncio.create_task(engine.resume("r"))
        await until(lambda: "run.resumed" in stage.topics("r~c2"))
        assert (await soon(engine.cancel("r"))).run_id == "r~c2"
        assert (await soon(resumed)).status == "cancelled"


@workflow
async def long_child(n: int) -> str:
    if n < 3:
        await call("note", x=n)
        continue_as_new(n=n + 1)
    return f"child {await wait_signal('go')}"


@workflow
async def parent() -> str:
    try:
        return await run_workflow(long_child, {"n": 1})
    except StepFailedError as error:
        return error.step_code


async def test_a_child_that_continues_as_new_reports_to_its_parent() -> None:
    stage = Stage(parent, long_child)
    async with stage.running(parent) as (engine, run):
        await until(lambda: stage.store.heads(["default/r~0~c3"]))
        await soon(engine.signal("r~0", "go", "went"))
        assert (await soon(run)).output == "child went"
    assert all(map(stage.proved, ("r", "r~0", "r~0~c2", "r~0~c3")))


async def test_cancelling_the_parent_cancels_the_run_that_continues_the_child() -> None:
    stage = Stage(parent, long_child)
    async with stage.running(parent) as (engine, run):
        await until(lambda: stage.store.heads(["default/r~0~c3"]) and "step.waiting" in stage.topics("r~0~c3"))
        await soon(engine.cancel("r"))
        assert (await soon(run)).status == "cancelled"
        await until(lambda: stage.topics("r~0~c3")[-1] == "run.cancelled")


async def test_a_parent_that_comes_back_brings_the_run_that_continues_its_child() -> None:
    stage = Stage(parent, long_child)
    async with stage.running(parent):
        await until(lambda: stage.store.heads(["default/r~0~c3"]) and "step.waiting" in stage.topics("r~0~c3"))
    async with stage.engine() as engine:
        run = asyncio.create_task(engine.resume("r"))
        await soon(engine.signal("r~0", "go", "back"))
        assert (await soon(run)).output == "child back"


async def test_a_successor_whose_id_is_taken_is_told_to_the_caller() -> None:
    stage = Stage(count)
    await stage.run(count, {"n": 7, "to": 7}, run_id="r~c2")
    async with stage.engine() as engine:
        with pytest.raises(RunConflictError, match="taken"):
            await soon(engine.run(count, "r", inputs={"n": 1, "to": 2}))
    assert stage.topics("r")[-1] != "run.continued"
