"""Skills of any kind that return a wait, and what becomes of waits that make no sense."""

from __future__ import annotations

import asyncio
import threading

import pytest

from refold import StepContext
from refold.core.runtime.wait import Wait
from refold.tests.support.sites import Waits
from refold.tests.support.workflows import soon, spec, step, until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def waits() -> Waits:
    return Waits()


async def test_a_step_may_wait_in_a_later_attempt(waits: Waits) -> None:
    @waits.skills.skill("second_time", inline=True)
    def second_time(ctx: StepContext) -> Wait:
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return Wait(0.01, output="at last")

    document = spec(step("a", "second_time", max_retries=1, retry={"initial_seconds": 0.01}))
    async with waits.engine() as engine:
        result = await soon(engine.run(document, "r"))
    assert (result.output, result.steps[0].attempts) == ({"a": "at last"}, 2)
    assert waits.proved()


async def test_a_wait_costs_what_its_skill_costs_once(waits: Waits) -> None:
    async with waits.engine() as engine:
        result = await soon(engine.run(spec(step("a", "wait_as_told", seconds=0.01)), "r"))
    assert result.cost_cents == result.steps[0].cost_cents == 3


async def test_a_wait_that_fails_has_cost_what_its_skill_costs(waits: Waits) -> None:
    async with waits.engine() as engine:
        waiting = step("a", "wait_as_told", seconds=5, timeout_seconds=0.01, on_error="continue")
        result = await soon(engine.run(spec(waiting), "r"))
    assert (result.steps[0].error_code, result.cost_cents, result.steps[0].cost_cents) == ("STEP_TIMEOUT", 3, 3)


async def test_a_replay_does_not_wait_again(waits: Waits) -> None:
    @waits.skills.skill("pure_wait", inline=True, deterministic=True)
    def pure_wait() -> Wait:
        return Wait(signal="once")

    document = spec(step("a", "pure_wait"))
    async with waits.engine() as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: waits.store.heads(["default/r"]))
        await engine.signal("r", "once", 7)
        recorded = await soon(run)
        assert (await soon(engine.run(document, "r", replay=True))).workflow_hash == recorded.workflow_hash


@pytest.mark.parametrize("kind", ["inline", "thread", "async"])
async def test_any_kind_of_skill_may_wait(waits: Waits, kind: str) -> None:
    threads: list[int] = []

    def wait() -> Wait:
        threads.append(threading.get_ident())
        return Wait(0.01, output=kind)

    async def wait_async() -> Wait:
        return wait()

    waits.skills.skill("w", inline=kind == "inline")(wait_async if kind == "async" else wait)
    async with waits.engine() as engine:
        assert (await soon(engine.run(spec(step("a", "w")), "r"))).output == {"a": kind}
    assert (threads[0] != threading.get_ident()) == (kind == "thread")


@pytest.mark.parametrize(
    "wait",
    [
        Wait(),
        Wait(float("inf")),
        Wait(float("nan")),
        Wait(-1.0),
        Wait(1e300),
        Wait("soon"),  # type: ignore[arg-type]
        Wait(True),
        Wait(signal=""),
        Wait(signal="\ud800"),
        Wait(signal=7),  # type: ignore[arg-type]
        Wait(seconds=float("inf"), signal="go"),
    ],
    ids=str,
)
async def test_a_wait_that_cannot_be_meant_fails_its_step_and_nothing_else(waits: Waits, wait: Wait) -> None:
    @waits.skills.skill("odd", inline=True)
    def odd() -> Wait:
        return wait

    async with waits.engine() as engine:
        result = await soon(engine.run(spec(step("a", "odd"), timeout_seconds=5), "r"))
    assert (result.status, result.error_code) == ("failed", "SKILL_OUTPUT_INVALID")
    assert waits.proved()
