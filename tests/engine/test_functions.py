"""Workflow functions on a real engine: calls, values in and out, errors, chance and time."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
    Failure,
    Retry,
    SkillRegistry,
    StepFailedError,
    StepTimeoutError,
    call,
    now,
    random,
    run_workflow,
    skill,
    sleep,
    uuid,
    wait_signal,
    workflow,
)
from refold.core.events import StepCompleted
from refold.core.runtime.wait import Wait
from refold.tests.support.functions import Stage
from refold.tests.support.own_codes import OWN_CODES
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

    @skills.skill("refuse", inline=True, retry=Retry(max_attempts=3, initial_seconds=0.001), failures=OWN_CODES)
    def refuse() -> None:
        raise Failure("OUT_OF_STOCK", "none left", retryable=True)

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

    async def numbers() -> AsyncIterator[Any]:
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
