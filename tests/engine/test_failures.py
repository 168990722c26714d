"""What a failed step does to the run: abort, continue, skip; and outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from refold import Failure, Limits, SkillRegistry, WorkflowEngine, WorkflowResult
from refold.core.events import StepSkipped
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.own_codes import OWN_CODES
from refold.tests.support.workflows import events_of, soon, spec, step, until

pytestmark = pytest.mark.timeout(60)


class Doors:
    """A skill `door` that waits until its door is opened, and then fails or gives its name."""

    def __init__(self) -> None:
        self.skills = SkillRegistry()
        self.store = MemoryStore()
        self._doors: dict[str, asyncio.Future[None]] = {}
        self.entered: list[str] = []
        self.cancelled: list[str] = []

        @self.skills.skill("door", failures=OWN_CODES)
        async def door(name: str, fails: str | None = None) -> str:
            self._doors[name] = asyncio.get_running_loop().create_future()
            self.entered.append(name)
            try:
                await self._doors[name]
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            if fails:
                raise Failure(fails, f"{name} fails", retryable=False)
            return name

    async def run(self, steps: list[dict[str, Any]], order: str, **options: Any) -> WorkflowResult:
        """Run the steps and open their doors in this order, each after the engine has digested the one before."""
        async with WorkflowEngine(self.store, self.skills, **options) as engine:
            run = asyncio.create_task(engine.run(spec(*steps), "r"))
            for name in order:
                await until(lambda name=name: name in self._doors or run.done())
                if name in self._doors and not self._doors[name].done():
                    self._doors[name].set_result(None)
                    await asyncio.sleep(0.005)
            result = await soon(run)
        assert verify_run(self.store, "r").ok
        return result


def door(name: str, fails: str | None = None, **fields: Any) -> dict[str, Any]:
    """A step `name` behind a door."""
    return step(name, "door", name=name, fails=fails, **fields)


async def test_on_abort_lower_steps_finish_and_higher_ones_are_cancelled_and_not_counted() -> None:
    doors = Doors()
    steps = [door("a"), door("b", "B_FAILED"), door("c"), door("d", depends_on=["a"])]
    result = await doors.run(steps, "ba")
    assert (result.status, result.error_code, result.message) == ("failed", "B_FAILED", "b fails")
    assert [s.status for s in result.steps] == ["completed", "failed", "cancelled", "cancelled"]
    assert len(result.step_hashes) == 2
    assert doors.cancelled == ["c"]
    assert "d" not in doors.entered


async def test_a_higher_step_that_had_ended_before_the_abort_is_not_counted() -> None:
    steps = [door("a"), door("b", "B_FAILED"), door("c")]
    fast, slow = await Doors().run(steps, "cba"), await Doors().run(steps, "ab")
    assert fast.workflow_hash == slow.workflow_hash
    assert fast.step_hashes == slow.step_hashes


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
async def test_of_two_aborts_the_lowest_decides_in_any_order(order: str) -> None:
    steps = [door("a"), door("b", "B_FAILED"), door("c", "C_FAILED")]
    result = await Doors().run(steps, order)
    assert (result.error_code, result.message, len(result.step_hashes)) == ("B_FAILED", "b fails", 2)
    serial = await Doors().run(steps, "abc", limits=Limits(parallel_steps=1))
    assert result.workflow_hash == serial.workflow_hash


async def test_lower_steps_still_retry_after_an_abort() -> None:
    registry = SkillRegistry()

    tries: list[str] = []

    @registry.skill("twice")
    async def twice() -> str:
        tries.append("x")
        if len(tries) < 3:
            raise ValueError("again")
        return "done"

    @registry.skill("fail", inline=True, failures=OWN_CODES)
    def fail() -> None:
        raise Failure("DOOMED", "at once", retryable=False)

    steps = [step("a", "twice", max_retries=5, retry={"initial_seconds": 0.002}), step("b", "fail")]
    async with WorkflowEngine("memory:", registry) as engine:
        result = await soon(engine.run(spec(*steps), "r"))
    assert (result.error_code, len(tries), result.steps[0].output) == ("DOOMED", 3, "done")


async def test_continue_gives_null_for_the_output_and_for_every_path_into_it() -> None:
    steps = [
        door("a", "A_FAILED", on_error="continue"),
        step("b", whole="${a}", path="${a.x[3].y}", text="<${a.x}>", depends_on=["a"]),
    ]
    result = await Doors().run(steps, "a")
    assert (result.status, result.success, result.error_code) == ("completed", True, None)
    assert result.output == {"b": {"whole": None, "path": None, "text": "<null>"}}


async def test_skip_skips_dependents_and_theirs() -> None:
    doors = Doors()
    steps = [
        door("a", "A_FAILED", on_error="skip"),
        step("b", x="${a}"),
        step("c", x="${b.y}"),
        step("d", depends_on=["c"]),
        step("e", n=1),
    ]
    result = await doors.run(steps, "a")
    assert [s.status for s in result.steps] == ["failed", "skipped", "skipped", "skipped", "completed"]
    assert [s.success for s in result.steps] == [False, None, None, None, True]
    assert result.output == {"d": None, "e": {"n": 1}}
    assert result.success and None not in result.step_hashes


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_a_skipped_step_blames_the_same_dependency_in_any_order(order: str) -> None:
    doors = Doors()
    steps = [door("a", "F", on_error="skip"), door("b", "F", on_error="skip"), step("c", depends_on=["a", "b"])]
    await doors.run(steps, order)
    assert [e.because for e in events_of(doors.store, "r") if isinstance(e, StepSkipped)] == ["a"]


async def test_continue_and_skip_meet_in_one_step() -> None:
    steps = [
        door("a", "F", on_error="continue"),
        door("b", "F", on_error="skip"),
        step("c", x="${a}", depends_on=["b"]),
    ]
    result = await Doors().run(steps, "ab")
    assert [s.status for s in result.steps] == ["failed", "failed", "skipped"]


async def finished(run: Callable[[WorkflowEngine], Awaitable[WorkflowResult]], **options: Any) -> WorkflowResult:
    """The result of `run` on an engine in memory, verified."""
    store = MemoryStore()
    async with WorkflowEngine(store, **options) as engine:
        result = await soon(run(engine))
    assert verify_run(store, result.run_id).ok, verify_run(store, result.run_id)
    return result


async def test_without_a_template_the_output_is_that_of_the_steps_nobody_depends_on() -> None:
    steps = [step("z", n=1), step("a", x="${z.n}"), step("b", y=2)]
    assert (await finished(lambda e: e.run(spec(*steps)))).output == {"a": {"x": 1}, "b": {"y": 2}}


async def test_a_template_makes_the_output() -> None:
    made = spec(
        step("a", n=1.5), output={"n": "${a.n}", "text": "n=${a.n} $${a}", "in": "${inputs.q}"}, inputs={"q": [1]}
    )
    assert (await finished(lambda e: e.run(made, inputs={"q": {"z": 0}}))).output == {
        "n": 1.5,
        "text": "n=1.5 ${a}",
        "in": {"z": 0},
    }


async def test_an_output_that_cannot_be_resolved_fails_the_run() -> None:
    result = await finished(lambda e: e.run(spec(step("a", n=1), output="${a.m}")))
    assert (result.status, result.error_code) == ("failed", "REFERENCE_UNRESOLVED")
    assert len(result.step_hashes) == 1
    assert "${a.m}" in (result.message or "")


async def test_an_input_that_cannot_be_resolved_fails_the_step_without_a_retry_or_cost() -> None:
    steps = [step("a", n=1), step("b", x="${a.m}", max_retries=3, estimated_cost_cents=5)]
    result = await finished(lambda e: e.run(spec(*steps)))
    assert (result.error_code, result.cost_cents) == ("REFERENCE_UNRESOLVED", 0)
    assert (result.steps[1].attempts, result.steps[1].inputs_hash) == (1, None)


async def test_inputs_of_a_step_that_grow_too_large_fail_it() -> None:
    steps = [step("a", t="x" * 700_000), step("b", x="${a.t}${a.t}${a.t}")]
    result = await finished(lambda e: e.run(spec(*steps)))
    assert result.error_code == "INPUT_TOO_LARGE"


async def test_an_output_that_is_too_large_fails_the_run() -> None:
    steps = [step(name, t="x" * 900_000) for name in "abc"]
    assert (await finished(lambda e: e.run(spec(*steps)))).error_code == "OUTPUT_TOO_LARGE"


async def test_an_output_text_beyond_all_bounds_fails_the_run() -> None:
    text = "${a.t}" * 20
    result = await finished(lambda e: e.run(spec(step("a", t="x" * 900_000), output=text)))
    assert (result.status, result.error_code) == ("failed", "OUTPUT_TOO_LARGE")
