"""Workflows tested in a time that skips: no test here waits for a clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

import refold
from refold import (
    CallError,
    Failure,
    NondeterminismError,
    Retry,
    StepTimeoutError,
    gather,
    run_workflow,
    skill,
    sleep,
    wait_signal,
    workflow,
)
from refold.testing import START, TestClock, TestEnvironment, replay
from refold.tests.support.workflows import spec, step


@workflow
async def monthly(item: str) -> str:
    await sleep("30d")
    return f"{item} at {refold.now():%Y-%m-%d}"


@workflow
async def approval(within: str) -> str:
    try:
        return await wait_signal("approved", timeout=within)
    except StepTimeoutError:
        return "nobody"


async def test_a_run_that_sleeps_for_thirty_days_takes_no_time() -> None:
    began = time.monotonic()
    async with TestEnvironment(workflows=[monthly]) as env:
        result = await env.run(monthly, "lamp")
        assert result.output == "lamp at 2026-01-31"
        assert env.clock.time == datetime(2026, 1, 31, tzinfo=UTC)
    assert time.monotonic() - began < 10


async def test_between_start_and_signal_no_time_passes() -> None:
    async with TestEnvironment(workflows=[approval]) as env:
        run = await env.start(approval, "1h")
        await asyncio.sleep(0.05)
        assert env.clock.time == START
        await env.signal(run, "approved", "Ada")
        assert (await env.result(run)).output == "Ada"
        assert env.clock.time == START


async def test_a_signal_that_does_not_come_times_out_while_the_result_is_awaited() -> None:
    async with TestEnvironment(workflows=[approval]) as env:
        assert (await env.run(approval, "1h")).output == "nobody"
        assert (env.clock.time - START).total_seconds() == 3600


async def test_time_passes_as_far_as_it_is_told_to_and_no_further() -> None:
    async with TestEnvironment(workflows=[monthly]) as env:
        run = await env.start(monthly, "lamp")
        await env.advance("29d")
        assert (await env.state(run)).status == "waiting"
        await env.advance("1d")
        assert (await env.state(run)).status == "completed"


async def test_no_time_skips_while_a_skill_runs() -> None:
    clock: list[TestClock] = []
    seen: list[datetime] = []

    @skill
    def work() -> None:
        time.sleep(0.2)
        seen.append(clock[0].time)

    @skill
    async def work_async() -> None:
        await asyncio.sleep(0.2)
        seen.append(clock[0].time)

    @workflow
    async def both() -> str:
        async def sleeper() -> None:
            await sleep("1h")

        await gather(work(), work_async(), sleeper())  # pyright: ignore[reportArgumentType]
        return "done"

    async with TestEnvironment(workflows=[both], skills=[work, work_async]) as env:
        clock.append(env.clock)
        assert (await env.run(both)).output == "done"
    assert seen == [START, START]


async def test_the_pauses_between_attempts_are_skipped() -> None:
    attempts: list[datetime] = []
    clock: list[TestClock] = []

    @skill(retry=Retry(max_attempts=6, initial_seconds=3600, multiplier=2, jitter=0, max_seconds=86_400))
    def flaky() -> str:
        attempts.append(clock[0].time)
        if len(attempts) < 4:
            raise Failure("SKILL_ERROR", "not yet")
        return "there"

    async with TestEnvironment(skills=[flaky]) as env:
        clock.append(env.clock)
        result = await env.run(spec(step("a", "flaky"), step("b", "sleep", depends_on=["a"], seconds=60)))
    assert result.success, result.message
    assert [(at - START).total_seconds() / 3600 for at in attempts] == [0, 1, 3, 7]


async def test_children_sleep_on_the_same_clock() -> None:
    @workflow
    async def parent() -> list[Any]:
        return await gather(*(run_workflow(monthly, {"item": name}) for name in ("lamp", "chair")))

    async with TestEnvironment(workflows=[parent, monthly]) as env:
        result = await env.run(parent, run_id="p")
        assert result.output == ["lamp at 2026-01-31", "chair at 2026-01-31"]


async def test_a_detached_child_can_be_awaited_by_its_id() -> None:
    @workflow
    async def parent() -> str:
        return await run_workflow(monthly, {"item": "lamp"}, run_id="child", detached=True)

    async with TestEnvironment(workflows=[parent, monthly]) as env:
        assert (await env.run(parent)).output == "child"
        assert env.clock.time == START
        assert (await env.result("child")).output == "lamp at 2026-01-31"


async def test_a_run_that_nothing_can_end_is_told_apart_from_a_slow_one() -> None:
    @workflow
    async def lost() -> None:
        await wait_signal("never")

    async with TestEnvironment(workflows=[lost], stall_seconds=0.05) as env:
        with pytest.raises(CallError, match="run lost waits for the signal 'never', and nothing here"):
            await env.run(lost, run_id="lost")


async def test_a_run_without_an_end_is_given_up_after_ten_years() -> None:
    @workflow
    async def ticking() -> None:
        while True:
            await sleep("52w")

    async with TestEnvironment(workflows=[ticking]) as env:
        with pytest.raises(CallError, match="run t has not ended after ten years"):
            await env.run(ticking, run_id="t")


async def test_a_paused_run_sleeps_through_its_timers() -> None:
    async with TestEnvironment(workflows=[monthly]) as env:
        run = await env.start(monthly, "lamp")
        await env.pause(run)
        await env.advance("60d")
        assert (await env.state(run)).status == "paused"
        await env.resume(run)
        assert (await env.result(run)).output == "lamp at 2026-03-02"


async def test_what_cannot_start_is_refused_with_its_reason() -> None:
    async with TestEnvironment() as env:
        with pytest.raises(CallError, match="only a workflow function takes arguments"):
            await env.run(spec(step("a")), 1)
        with pytest.raises(CallError, match="monthly"):
            await env.run("monthly")
    with pytest.raises(CallError, match="has no time zone"):
        TestEnvironment(start=datetime(2026, 1, 1))


def changed(second: str) -> Any:
    @workflow("order")
    async def order(item: str) -> str:
        await refold.call("echo", item=item)
        await refold.call("echo", item=second)
        await sleep("1d")
        return item

    return order


async def test_a_recorded_history_is_replayed_against_todays_code(tmp_path: Path) -> None:
    async with TestEnvironment(workflows=[changed("chair")]) as env:
        run = await env.start("order", inputs={"item": "lamp"})
        unfinished = env.history(run)
        await env.replay(run)
        await env.result(run)
        await env.replay(run)
        finished = env.history(run)
    file = tmp_path / "order.ndjson"
    file.write_bytes(b"\n".join(map(orjson.dumps, finished)))

    assert (await replay(changed("chair"), unfinished)).status == "waiting"
    assert (await replay(changed("chair"), file)).status == "completed"
    for history in (unfinished, file, str(file)):
        with pytest.raises(NondeterminismError, match="recorded echo at path 1") as raised:
            await replay(changed("table"), history)
        details = raised.value.details
        assert details["differences"] == [{"pointer": "/item", "recorded": "'chair'", "requested": "'table'"}]
        assert details["event"] == 3 and "test_skipping_time.py" in details["place"]


async def test_a_function_that_returns_something_else_now_does_not_fit() -> None:
    @workflow("answer")
    async def then() -> int:
        await sleep(1)
        return 1

    @workflow("answer")
    async def now() -> int:
        await sleep(1)
        return 2

    async with TestEnvironment(workflows=[then]) as env:
        run = (await env.run(then)).run_id
        history = env.history(run)
    with pytest.raises(NondeterminismError, match="recorded output_hash"):
        await replay(now, history)


async def test_an_altered_or_foreign_history_is_refused(tmp_path: Path) -> None:
    async with TestEnvironment(workflows=[monthly]) as env:
        run = (await env.run(monthly, "lamp")).run_id
        history = env.history(run)
        other = env.history((await env.run(spec(step("a")))).run_id)
    with pytest.raises(CallError, match="the history is of the spec 'test'"):
        await replay(monthly, other)
    with pytest.raises(CallError, match="event 1 is number 2 of its run"):
        await replay(monthly, history[1:])
    with pytest.raises(CallError, match="event 1 is no exported one"):
        await replay(monthly, [{"version": 1}])
    with pytest.raises(CallError, match="the history holds no events"):
        await replay(monthly, [])
    history[0]["data"]["inputs"] = {"item": "chair"}
    with pytest.raises(refold.IntegrityError, match="event 1 of the exported history"):
        await replay(monthly, history)
    text = tmp_path / "text"
    text.write_text("no JSON")
    with pytest.raises(CallError, match="is no exported history"):
        await replay(monthly, text)


def test_the_module_is_offered_by_the_package() -> None:
    assert refold.testing is __import__("sys").modules["refold.testing"]  # pyright: ignore[reportAttributeAccessIssue]
