"""Workflow functions on a real engine: calls, values in and out, errors, chance and time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pydantic
import pytest

from refold import (
    CallError,
    Retry,
    SkillRegistry,
    StepContext,
    StepError,
    StepFailedError,
    StepTimeoutError,
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
from refold.core.canonical import canonical_json
from refold.core.events import StepCompleted
from refold.core.runtime.wait import Wait
from refold.tests.support.functions import Stage
from refold.tests.support.workflows import soon, until

pytestmark = pytest.mark.timeout(60)


@skill(inline=True)
def joined(a: int, b: str = "b", *, c: float = 0.5, **rest: int) -> str:
    return f"{a}{b}{c}{sorted(rest.items())}"


@skill(inline=True)
def limited(n: int) -> int | Wait:
    return n if n else Wait(signal="number")


async def test_arguments_go_by_position_by_name_and_by_default() -> None:
    @workflow
    async def calls() -> list[Any]:
        return [
            await call(joined, a=1),
            await call("note", x={"deep": [1, None, "ü"]}),
            await call(joined, a=2, b="x", c=1.5, more=3),
        ]

    stage = Stage(calls)
    result = await stage.run(calls)
    assert result.output == ["1b0.5[]", {"deep": [1, None, "ü"]}, "2x1.5[('more', 3)]"]
    events = [event for event in stage.events() if isinstance(event, StepCompleted)]
    assert [(event.index, event.step_id) for event in events] == [("0", "joined#0"), ("1", "note#1"), ("2", "joined#2")]
    assert events[0].inputs is not None and events[0].inputs.value == {"a": 1}


async def test_skills_are_called_like_the_functions_they_are() -> None:
    @workflow
    async def calls() -> list[Any]:
        answers: list[Any] = [joined(1), joined(1, "x"), joined(b="y", a=2), joined(1, c=2.0, more=3)]
        return [await answer for answer in answers]

    result = await Stage(calls).run(calls)
    assert result.output == ["1b0.5[]", "1x0.5[]", "2y0.5[]", "1b2.0[('more', 3)]"]


async def test_a_call_that_the_skill_does_not_take_is_refused_where_it_is_made() -> None:
    @workflow
    async def wrong() -> str:
        try:
            joined()  # type: ignore[call-arg]
        except TypeError as error:
            return str(error)
        return "?"

    assert "missing a required argument: 'a'" in (await Stage(wrong).run(wrong)).output


@pytest.mark.parametrize(
    ("value", "told"),
    [(float("nan"), "/x/0/y"), ({1, 2}, "/x/0/y"), (object(), "/x/0/y"), (2**60, "/x/0/y"), ({3: 4}, "/x/0/y")],
)
async def test_an_argument_that_is_no_json_is_refused_with_its_place(value: Any, told: str) -> None:
    @workflow
    async def wrong() -> None:
        await call("note", x=[{"y": value}])

    result = await Stage(wrong).run(wrong)
    assert (result.status, result.error_code) == ("failed", "INPUT_INVALID")
    assert result.message is not None and told in result.message and "'note'" in result.message


class Color(Enum):
    RED = "red"


class Size(StrEnum):
    BIG = "big"


@dataclass
class Order:
    number: int
    due: date
    color: Color = Color.RED


class Receipt(pydantic.BaseModel):
    orders: list[Order]
    at: datetime
    total: Decimal


@skill(inline=True)
def bill(orders: list[Order], at: datetime, discount: Decimal, pause: timedelta, size: Size, key: UUID) -> Receipt:
    assert isinstance(discount, Decimal) and isinstance(key, UUID) and size is Size.BIG
    return Receipt(orders=orders, at=at + pause, total=Decimal("9.90") - discount)


@skill(inline=True)
def next_day(day: date) -> date:
    return day + timedelta(days=1)


async def test_models_dataclasses_dates_and_enums_go_in_and_come_out_as_what_they_are() -> None:
    at = datetime(2026, 11, 20, 8, tzinfo=UTC)

    @workflow
    async def shop(order: Order, color: Color, day: date) -> list[Any]:
        assert isinstance(order, Order) and color is Color.RED and day == date(2026, 1, 2)
        receipt: Any = bill([order], at, Decimal("0.40"), timedelta(hours=1), Size.BIG, UUID(int=7))
        receipt = await receipt
        assert isinstance(receipt, Receipt) and isinstance(receipt.orders[0], Order)
        tomorrow: Any = next_day(day)
        assert await tomorrow == date(2026, 1, 3)
        return [str(receipt.total), receipt.at, receipt.orders[0], color]

    inputs = {"order": Order(1, date(2026, 1, 2)), "color": Color.RED, "day": date(2026, 1, 2)}
    result = await Stage(shop).run(shop, inputs)
    assert result.status == "completed", result.message
    assert result.output == ["9.50", "2026-11-20T09:00:00Z", {"number": 1, "due": "2026-01-02", "color": "red"}, "red"]


async def test_inputs_that_do_not_fit_the_annotations_are_refused_before_anything_is_written() -> None:
    @workflow
    async def typed(n: int) -> int:
        return n

    stage = Stage(typed)
    async with stage.engine() as engine:
        for inputs in ({}, {"n": "1"}, {"n": True}, {"n": 1, "m": 2}):
            with pytest.raises(CallError, match="/inputs"):
                await engine.run(typed, "r", inputs=inputs)
    assert stage.store.heads(["default/r"]) == {}


async def test_what_a_wait_gives_is_the_payload_whatever_the_skill_is_annotated_with() -> None:
    @workflow
    async def waits() -> list[Any]:
        number: Any = limited(0)
        return [await wait_signal("any"), await number, await sleep(0)]

    stage = Stage(waits)
    stage.skills.register(limited)
    async with stage.running(waits) as (engine, run):
        await until(lambda: "step.waiting" in stage.topics())
        await soon(engine.signal("r", "any", {"seconds": "text"}))
        await soon(engine.signal("r", "number", 5))
        assert (await soon(run)).output == [{"seconds": "text"}, 5, None]


async def test_the_error_of_a_step_tells_its_code_its_step_and_its_attempts() -> None:
    skills = SkillRegistry()

    @skills.skill("refuse", inline=True, retry=Retry(max_attempts=3, initial_seconds=0.001))
    def refuse() -> None:
        raise StepError("OUT_OF_STOCK", "none left", retryable=True)

    @workflow
    async def tries() -> list[Any]:
        try:
            await call(refuse)
        except StepFailedError as error:
            return [error.step_code, str(error), error.step_id, error.attempts, isinstance(error, TimeoutError)]
        return []

    assert (await Stage(tries).run(tries)).output == ["OUT_OF_STOCK", "none left", "refuse#0", 3, False]


async def test_an_error_that_nobody_catches_fails_the_run_with_the_code_of_the_step() -> None:
    @workflow
    async def falls() -> None:
        await call("fail", reason="broken")

    result = await Stage(falls).run(falls)
    assert (result.status, result.error_code, result.message) == ("failed", "SKILL_ERROR", "ValueError: broken")


async def test_an_error_of_the_function_itself_is_told_with_its_type() -> None:
    @workflow
    async def falls() -> None:
        raise KeyError("which")

    result = await Stage(falls).run(falls)
    assert (result.error_code, result.message) == ("WORKFLOW_ERROR", "KeyError: 'which'")


async def test_time_outs_of_signals_steps_and_children_are_timeout_errors() -> None:
    @workflow
    async def child() -> None:
        await wait_signal("never")

    @workflow
    async def waits() -> list[str]:
        told: list[str] = []
        for awaited in (
            wait_signal("never", timeout="10ms"),
            call("gated", timeout=0.01),
            run_workflow(child, timeout=0.01),
        ):
            try:
                await awaited
            except StepTimeoutError as error:
                assert isinstance(error, TimeoutError)
                told.append(error.step_code)
        return told

    stage = Stage(waits, child)
    result = await stage.run(waits)
    assert result.output == ["SIGNAL_TIMEOUT", "STEP_TIMEOUT", "CHILD_TIMEOUT"]


async def test_except_else_and_finally_run_their_steps_in_order() -> None:
    @workflow
    async def orderly() -> str:
        try:
            await call("fail")
        except StepFailedError:
            await call("note", x="except")
        else:
            await call("note", x="else")
        finally:
            await call("note", x="finally")
        return "done"

    stage = Stage(orderly)
    assert (await stage.run(orderly)).output == "done"
    assert stage.called == ["except", "finally"]


async def test_loops_recursion_generators_and_helpers_are_plain_python() -> None:
    async def descend(n: int) -> int:
        return 0 if n == 0 else 1 + await descend(n - 1) + int(await call("note", x=0))

    async def numbers() -> Any:
        for n in range(3):
            yield await call("note", x=n)

    @workflow
    async def plain() -> list[Any]:
        squares = [await call("note", x=n * n) for n in range(3)]
        counted = [n async for n in numbers()]  # pyright: ignore[reportGeneralTypeIssues]
        return [squares, counted, await descend(20)]

    assert (await Stage(plain).run(plain)).output == [[0, 1, 4], [0, 1, 2], 20]


async def test_now_never_goes_back_and_replays() -> None:
    seen: list[list[datetime]] = []

    @workflow
    async def clock() -> str:
        times = [now()]
        seen.append(times)
        for _ in range(3):
            await sleep(0.002)
            times.append(now())
        assert times == sorted(times) and times[0].tzinfo is UTC
        return times[-1].isoformat()

    stage = Stage(clock)
    await stage.run(clock)
    assert len(seen) == 2 and seen[0] == seen[1], "once live, once replayed"
    assert len(set(seen[0])) == 4


async def test_random_numbers_and_uuids_replay_and_differ_from_place_to_place() -> None:
    drawn: list[list[str]] = []

    @workflow
    async def draws() -> list[Any]:
        values: list[Any] = [random(), random(), str(uuid()), str(uuid())]
        drawn.append(values)
        await call("note")
        return [*values, random()]

    stage = Stage(draws)
    one = await stage.run(draws)
    two = await stage.run(draws, run_id="two")
    other = await stage.run(draws, run_id="seeded", seed=1)
    assert drawn[0] == drawn[1] and len(set(map(str, one.output))) == 5
    assert one.output[:2] == two.output[:2] != other.output[:2]
    assert one.output[2] != two.output[2] and UUID(one.output[2]).version == 8
    assert all(0 <= n < 1 for n in (*one.output[:2], one.output[4]))


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
        except StepError:
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


def test_canonical_json_of_a_step_that_is_not_awaited_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON"):
        canonical_json(object())
