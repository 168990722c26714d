"""Gathers and children of workflow functions: width, order, errors, and whose end is told to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from refold import (
    CallError,
    StepFailedError,
    StoreUnreachableError,
    Worker,
    call,
    gather,
    run_workflow,
    wait_signal,
    workflow,
)
from refold.core.events import StepCompleted
from refold.core.run_state import RunState
from refold.core.runtime.host import Host
from refold.eventstore.log import EventLog
from refold.eventstore.owner import this_process
from refold.tests.support.functions import Stage
from refold.tests.support.sites import Site, Through
from refold.tests.support.workflows import soon, until

pytestmark = pytest.mark.timeout(60)


@workflow
async def doubled(n: int) -> int:
    return 2 * int(await call("note", x=n))


@workflow
async def waiting() -> Any:
    return await wait_signal("go")


async def test_gather_waits_for_all_and_raises_the_error_of_the_lowest_branch() -> None:
    async def fails_late(reason: str) -> None:
        await call("gated")
        await call("fail", reason=reason)

    @workflow
    async def mixed() -> str:
        try:
            await gather(call("gated", x=1), fails_late("late"), call("fail", reason="at once"), call("gated", x=2))
        except StepFailedError as error:
            return str(error)
        return "?"

    stage = Stage(mixed)
    async with stage.running(mixed) as (_, run):
        await until(lambda: len(stage.called) == 3 and "step.failed" in stage.topics())
        assert not run.done(), "it waits for the others although one has failed"
        stage.gates.open()
        assert (await soon(run)).output == "ValueError: late"
    assert stage.topics().count("step.completed") == 3 and stage.proved()


async def test_branches_that_share_a_list_write_into_it_in_the_same_order_in_a_replay() -> None:
    @workflow
    async def shared() -> list[str]:
        order: list[str] = []

        async def branch(name: str, rounds: int) -> None:
            for n in range(rounds):
                await call("gated", x=name)
                order.append(f"{name}{n}")

        await gather(branch("a", 3), branch("b", 2), branch("c", 4))
        return order

    for seed in range(5):
        stage, chance = Stage(shared), Random(seed)
        async with stage.running(shared) as (engine, run):
            while not run.done():
                stage.gates.release_one(chance)
                await asyncio.sleep(0)
            result = await run
            await soon(engine.replay("r"))
        assert len(result.output) == 9 and stage.proved(), seed


async def test_gathers_nest_may_be_empty_and_take_helpers() -> None:
    async def helper(n: int) -> list[int]:
        return await gather(*(call("note", x=10 * n + m) for m in range(n)))

    @workflow
    async def nested() -> list[Any]:
        return [await gather(), await gather(*(helper(n) for n in range(4)), gather(helper(1)))]

    stage = Stage(nested)
    assert (await stage.run(nested)).output == [[], [[], [10], [20, 21], [30, 31, 32], [[10]]]]
    paths = [event.index for event in stage.events() if isinstance(event, StepCompleted)]
    assert len(paths) == len(set(paths)) == 7 and "1.3.0.2.0" in paths


async def test_a_step_made_in_one_branch_may_be_awaited_in_another() -> None:
    @workflow
    async def passes() -> list[Any]:
        made: list[Any] = []

        async def makes() -> None:
            made.append(call("note", x="made"))
            await call("note", x="first")

        async def takes() -> Any:
            await call("note", x="second")
            return await made[0]

        return await gather(makes(), takes())

    assert (await Stage(passes).run(passes)).output == [None, "made"]


async def test_what_cannot_be_gathered_is_refused() -> None:
    @workflow
    async def wrong() -> list[str]:
        told: list[str] = []
        for bad in (asyncio.get_running_loop().create_future(), 3, None):
            try:
                gather(bad)  # type: ignore[arg-type]
            except TypeError as error:
                told.append(str(error))
        return told

    assert len((await Stage(wrong).run(wrong)).output) == 3


async def test_a_thousand_branches_are_quick() -> None:
    @workflow
    async def wide() -> int:
        return sum(await gather(*(call("note", x=n) for n in range(1_000))))

    stage = Stage(wide)
    assert (await stage.run(wide)).output == 499_500
    assert sorted(stage.called) == list(range(1_000))


async def test_children_are_awaited_detached_named_and_given_as_specs() -> None:
    @workflow
    async def parent() -> list[Any]:
        plan = {
            "workflow_type": "t",
            "steps": [{"step_id": "a", "skill_id": "note", "inputs": {"x": 5}}],
            "output": "${a}",
        }
        detached = await run_workflow(doubled, {"n": 4}, detached=True)
        return [
            await run_workflow(doubled, {"n": 1}),
            await run_workflow("doubled", {"n": 2}, run_id="mine"),
            await run_workflow(plan),
            detached,
        ]

    stage = Stage(parent, doubled)
    async with stage.running(parent) as (_, run):
        result = await soon(run)
        assert result.output == [2, 4, 5, "r~0"], result.message
        await until(lambda: stage.topics("r~0")[-1] == "run.completed")
    assert all(map(stage.proved, ("r", "r~0", "r~1", "mine", "r~3")))


async def test_a_child_that_fails_or_whose_id_is_taken_fails_its_step() -> None:
    @workflow
    async def failing() -> None:
        await call("fail", reason="the child's")

    @workflow
    async def parent() -> list[str]:
        told: list[str] = []
        for awaited in (
            run_workflow(failing),
            run_workflow(doubled, {"n": 1}, run_id="taken"),
            run_workflow("unheard-of"),
            run_workflow(doubled, {"n": "text"}),
        ):
            try:
                await awaited
            except StepFailedError as error:
                told.append(f"{error.step_code}: {error}")
        return told

    stage = Stage(parent, failing, doubled)
    await stage.run(doubled, {"n": 3}, run_id="taken")
    told = (await stage.run(parent)).output
    assert [line.partition(":")[0] for line in told] == [
        "CHILD_FAILED",
        "RUN_CONFLICT",
        "SPEC_NOT_FOUND",
        "INPUT_INVALID",
    ]
    assert "the child's" in told[0] and "'taken'" in told[1]


@pytest.mark.parametrize("force", [False, True])
async def test_cancelling_a_run_cancels_its_children_and_theirs(force: bool) -> None:
    @workflow
    async def middle() -> Any:
        return await run_workflow(waiting)

    @workflow
    async def top() -> Any:
        return await gather(run_workflow(middle), run_workflow(waiting))

    stage = Stage(top, middle, waiting)
    async with stage.running(top) as (engine, run):
        await until(lambda: stage.store.heads(["default/r~0.0.0~0"]) and "step.waiting" in stage.topics("r~0.0.0~0"))
        await soon(engine.cancel("r", force=force))
        assert (await soon(run)).status == "cancelled"
        for run_id in ("r~0.0.0", "r~0.1.0", "r~0.0.0~0"):
            await until(lambda run_id=run_id: stage.topics(run_id)[-1] == "run.cancelled")
            assert stage.proved(run_id)


async def test_a_child_that_times_out_is_cancelled() -> None:
    @workflow
    async def parent() -> str:
        try:
            await run_workflow(waiting, timeout=0.02)
        except TimeoutError:
            return "too long"
        return "?"

    stage = Stage(parent, waiting)
    async with stage.running(parent) as (_, run):
        assert (await soon(run)).output == "too long"
        await until(lambda: stage.topics("r~0")[-1] == "run.cancelled")


async def test_a_paused_child_is_cancelled_with_its_parent_and_goes_on_when_resumed() -> None:
    @workflow
    async def parent() -> Any:
        return await run_workflow(waiting)

    for cancels in (True, False):
        stage = Stage(parent, waiting)
        async with stage.running(parent) as (engine, run):
            await until(
                lambda stage=stage: stage.store.heads(["default/r~0"]) and "step.waiting" in stage.topics("r~0")
            )
            await soon(engine.pause("r~0"))
            await until(lambda stage=stage: stage.topics("r~0")[-1] == "run.paused")
            if cancels:
                await soon(engine.cancel("r"))
                assert (await soon(run)).status == "cancelled"
                await until(lambda stage=stage: stage.topics("r~0")[-1] == "run.cancelled")
            else:
                resumed = asyncio.create_task(engine.resume("r~0"))
                await soon(engine.signal("r~0", "go", 1))
                assert (await soon(run)).output == 1
                await soon(resumed)


async def test_an_embedded_parent_hears_of_a_child_that_a_worker_elsewhere_has_worked_on(tmp_path: Any) -> None:
    @workflow
    async def parent() -> Any:
        return await gather(*(run_workflow(doubled, {"n": n}) for n in range(5)))

    site = Site(f"sqlite:///{tmp_path}/log.db")
    stage = Stage(parent, doubled, store=site.store)
    worker = Worker(site.url, stage.registry(doubled))
    work = asyncio.create_task(worker.run())
    async with stage.running(parent) as (_, run):
        assert (await soon(run)).output == [0, 2, 4, 6, 8]
    worker.drain()
    await soon(work)
    await site.client.close()
    site.store.close()


async def test_a_store_that_is_away_as_a_child_begins_costs_time_and_does_not_fail_the_step(tmp_path: Any) -> None:
    """Found by the soak: who had no connection in that moment recorded it as the step's own failure."""
    site = Site(f"sqlite:///{tmp_path}/log.db")
    missed: list[str] = []

    def heads(streams: Sequence[str]) -> Any:
        if streams == ["default/r~only"] and len(missed) < 2:
            missed.extend(streams)
            raise StoreUnreachableError("it is away for a moment")
        return site.store.heads(streams)

    plan = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "gated"}]}
    spec = {
        "workflow_type": "p",
        "steps": [{"step_id": "only", "skill_id": "run_workflow", "inputs": {"spec": plan}}],
    }
    site.gates.open()
    async with site.worker(store=Through(site.store, heads=heads)):
        await site.client.start(spec, "r")
        await site.ended("r")
    assert len(missed) == 2
    assert site.topics() == ["run.started", "step.waiting", "child.ended", "step.completed", "run.completed"]
    await site.client.close()
    site.store.close()


async def test_cancelling_a_paused_run_lets_it_clean_up() -> None:
    @workflow
    async def tidy() -> None:
        try:
            await wait_signal("never")
        finally:
            await call("note", x="clean")

    stage = Stage(tidy)
    async with stage.running(tidy) as (engine, run):
        await until(lambda: "step.waiting" in stage.topics())
        await soon(engine.pause("r"))
        assert (await soon(run)).status == "paused"
        assert (await soon(engine.cancel("r", "enough"))).status == "cancelled"
    assert stage.called == ["clean"] and stage.proved()


async def test_a_cancel_is_no_error_when_a_worker_takes_the_run_up_to_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow
    async def tidy() -> None:
        try:
            await wait_signal("never")
        finally:
            await call("note", x="clean")

    stage = Stage(tidy)
    goes_on = Host.go_on

    async def taken_up_before(host: Host, stream: str, *, again: bool = False) -> RunState:
        assert EventLog(stage.store, this_process("worker")).claim(stream, 30) is None
        return await goes_on(host, stream, again=again)

    async with stage.running(tidy) as (engine, run):
        await until(lambda: "step.waiting" in stage.topics())
        await soon(engine.pause("r"))
        assert (await soon(run)).status == "paused"
        monkeypatch.setattr(Host, "go_on", taken_up_before)
        result = await soon(engine.cancel("r", "enough"))
    assert result.status != "cancelled" and stage.topics()[-1] == "run.cancelling" and stage.called == []


async def test_a_function_may_swallow_a_cancel_but_not_one_with_force() -> None:
    @workflow
    async def stays() -> Any:
        for _ in range(3):
            try:
                return await wait_signal("go")
            except asyncio.CancelledError:
                await call("note", x="not yet")
        return "?"

    stage = Stage(stays)
    async with stage.running(stays) as (engine, run):
        await until(lambda: "step.waiting" in stage.topics())
        assert (await soon(engine.cancel("r"))).status in ("running", "waiting")
        await until(lambda: stage.topics().count("step.waiting") == 2)
        await soon(engine.cancel("r", "again"))
        assert stage.topics()[-1] == "message.refused" and not run.done()
        assert (await soon(engine.cancel("r", force=True))).status == "cancelled"
        assert (await soon(run)).status == "cancelled"
    assert stage.called == ["not yet"] and stage.proved()


async def test_a_cancel_wins_over_a_branch_that_had_failed_before() -> None:
    @workflow
    async def mixed() -> str:
        try:
            await gather(call("fail"), wait_signal("never"))
        except StepFailedError:
            return "went on"
        return "?"

    stage = Stage(mixed)
    async with stage.running(mixed) as (engine, run):
        await until(lambda: "step.waiting" in stage.topics() and "step.failed" in stage.topics())
        await soon(engine.cancel("r"))
        assert (await soon(run)).status == "cancelled"


async def test_closing_the_engine_ends_what_ran_beside() -> None:
    @workflow
    async def parent() -> Any:
        return await run_workflow(waiting, detached=True)

    stage = Stage(parent, waiting)
    async with stage.running(parent) as (_, run):
        assert (await soon(run)).output == "r~0"
    async with stage.engine() as engine:
        resumed = asyncio.create_task(engine.resume("r~0"))
        await soon(engine.signal("r~0", "go", 1))
        assert (await soon(resumed)).output == 1
        with pytest.raises(CallError):
            await engine.query("r~0", "none")
