"""Steps that wait: for time to pass and for signals; what the log says of it, and that it proves the same result."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from refold import RunEndedError, WorkflowEngine, WorkflowResult
from refold.core.events import SignalReceived, StepCompleted, StepFailed, StepWaiting
from refold.tests.support.sites import Waits
from refold.tests.support.workflows import events_of, send, soon, spec, step, until

pytestmark = pytest.mark.timeout(60)

APPROVAL = spec(step("ask", "wait_signal", name="approved"), step("then", x="${ask}", depends_on=["ask"]))


@pytest.fixture
def waits() -> Waits:
    return Waits()


async def begun(engine: WorkflowEngine, waits: Waits, document: Any, number: int = 1) -> asyncio.Task[WorkflowResult]:
    """The run `r` of `document`, once `number` of its steps wait."""
    run = asyncio.create_task(engine.run(document, "r"))
    await until(waits.waiting(number=number))
    return run


async def test_a_sleep_is_one_event_and_then_an_outcome(waits: Waits) -> None:
    async with waits.engine() as engine:
        result = await soon(engine.run(spec(step("nap", "sleep", seconds=0.05)), "r"))
    assert result.output == {"nap": {"slept_seconds": 0.05}}
    assert waits.topics() == ["run.started", "step.waiting", "step.completed", "run.completed"]
    _, waiting, completed, _ = events_of(waits.store, "r")
    assert isinstance(waiting, StepWaiting) and waiting.until == waiting.at + 50_000 and waiting.fails is None
    assert completed.at >= waiting.at + 50_000
    assert waits.proved()


async def test_a_sleep_of_no_time_ends_at_once(waits: Waits) -> None:
    async with waits.engine() as engine:
        assert (await soon(engine.run(spec(step("nap", "sleep", seconds=0)), "r"))).success


@pytest.mark.parametrize("seconds", [-1, 10 * 366 * 86_400 + 1])
async def test_a_sleep_that_cannot_be_meant_is_refused(waits: Waits, seconds: float) -> None:
    async with waits.engine() as engine:
        result = await soon(engine.run(spec(step("nap", "sleep", seconds=seconds)), "r"))
    assert result.error_code == "SKILL_INPUT_INVALID" and "seconds" in (result.message or "")


async def test_a_signal_during_the_wait_is_its_output(waits: Waits) -> None:
    async with waits.engine() as engine:
        run = await begun(engine, waits, APPROVAL)
        assert (await soon(engine.state("r"))).status == "waiting"
        await soon(engine.signal("r", "approved", {"by": "me"}))
        result = await soon(run)
    assert result.output == {"then": {"x": {"by": "me"}}}
    assert waits.topics() == [
        "run.started",
        "step.waiting",
        "signal.received",
        "step.completed",
        "step.completed",
        "run.completed",
    ]
    assert waits.proved()


async def test_a_signal_before_the_wait_is_kept_for_it(waits: Waits) -> None:
    document = spec(step("nap", "sleep", seconds=0.2), step("ask", "wait_signal", name="go", depends_on=["nap"]))
    async with waits.engine() as engine:
        run = await begun(engine, waits, document)
        await soon(engine.signal("r", "go", 1))
        assert "signal.received" in waits.topics()
        assert (await soon(run)).output == {"ask": 1}
    assert waits.proved()


async def test_a_signal_to_a_run_that_nobody_works_on_waits_in_its_inbox(waits: Waits) -> None:
    async with waits.engine() as engine:
        await engine.start(APPROVAL, "r")
        assert (await soon(engine.signal("r", "approved", 5))).status == "running"
        assert waits.topics() == ["run.started"]
        assert (await soon(engine.run(APPROVAL, "r"))).output == {"then": {"x": 5}}
    assert waits.proved()


async def test_a_signal_after_the_end_is_refused(waits: Waits) -> None:
    async with waits.engine() as engine:
        await soon(engine.run(spec(step("a")), "r"))
        with pytest.raises(RunEndedError):
            await engine.signal("r", "approved")


async def test_a_signal_of_another_name_ends_no_wait(waits: Waits) -> None:
    async with waits.engine() as engine:
        run = await begun(engine, waits, APPROVAL)
        await soon(engine.signal("r", "Approved"))
        assert waits.topics() == ["run.started", "step.waiting", "signal.received"]
        await soon(engine.signal("r", "approved"))
        assert (await soon(run)).success


async def test_two_waits_of_one_name_are_answered_in_order(waits: Waits) -> None:
    document = spec(step("first", "wait_signal", name="go"), step("second", "wait_signal", name="go"))
    async with waits.engine() as engine:
        run = await begun(engine, waits, document, 2)
        await soon(engine.signal("r", "go", "one"))
        await soon(engine.signal("r", "go", "two"))
        assert (await soon(run)).output == {"first": "one", "second": "two"}
    assert waits.proved()


async def test_each_signal_ends_one_wait(waits: Waits) -> None:
    document = spec(
        step("first", "wait_signal", name="go"),
        step("second", "wait_signal", inputs={"name": "go", "timeout_seconds": 0.2}),
    )
    async with waits.engine() as engine:
        run = await begun(engine, waits, document, 2)
        await soon(engine.signal("r", "go", "one"))
        result = await soon(run)
    assert (result.error_code, result.steps[0].output) == ("SIGNAL_TIMEOUT", "one")


async def test_waits_one_after_the_other_use_signals_in_the_order_they_came(waits: Waits) -> None:
    document = spec(
        step("first", "wait_signal", name="go"), step("second", "wait_signal", name="go", depends_on=["first"])
    )
    async with waits.engine() as engine:
        await engine.start(document, "r")
        for number in range(3):
            await soon(engine.signal("r", "go", number))
        result = await soon(engine.run(document, "r"))
    assert [each.output for each in result.steps] == [0, 1]
    assert waits.proved()


async def test_a_signal_sent_again_with_its_key_is_the_same_one(waits: Waits) -> None:
    document = spec(
        step("first", "wait_signal", name="go"), step("second", "wait_signal", name="go", depends_on=["first"])
    )
    async with waits.engine() as engine:
        run = await begun(engine, waits, document)
        for _ in range(3):
            await soon(engine.signal("r", "go", 1, key="k"))
        await until(waits.waiting(number=2))
        await soon(engine.signal("r", "go", 2, key="another"))
        result = await soon(run)
    assert [each.output for each in result.steps] == [1, 2]
    received = [event for event in events_of(waits.store, "r") if isinstance(event, SignalReceived)]
    assert [event.message for event in received] == [1, 2]


async def test_signals_sent_by_many_at_once_are_all_used(waits: Waits) -> None:
    steps = [step(f"s{n}", "wait_signal", name="go") for n in range(20)]
    async with waits.engine() as engine, waits.engine() as other:
        run = await begun(engine, waits, spec(*steps), 20)
        await soon(asyncio.gather(*(each.signal("r", "go", n) for n in range(10) for each in (engine, other))))
        result = await soon(run)
    assert sorted(each.output for each in result.steps) == sorted([*range(10), *range(10)])
    assert waits.proved()


async def test_a_signal_that_does_not_come_fails_the_step(waits: Waits) -> None:
    async with waits.engine() as engine:
        result = await soon(
            engine.run(
                spec(step("ask", "wait_signal", inputs={"name": "go", "timeout_seconds": 0.05}, max_retries=3)), "r"
            )
        )
    assert (result.error_code, result.steps[0].attempts) == ("SIGNAL_TIMEOUT", 1)
    assert "'go'" in (result.message or "")
    assert waits.proved()


async def timed_out_by_its_step(waits: Waits, **inputs: Any) -> WorkflowResult:
    """A run whose one step waits for longer than it may."""
    limited = {"step_id": "a", "skill_id": "wait_as_told", "inputs": inputs, "timeout_seconds": 0.05}
    async with waits.engine() as engine:
        return await soon(engine.run(spec(limited), "r"))


@pytest.mark.parametrize("inputs", [{"seconds": 60}, {"signal": "go"}, {"signal": "go", "seconds": 60}])
async def test_a_wait_longer_than_its_step_may_take_fails(waits: Waits, inputs: dict[str, Any]) -> None:
    assert (await timed_out_by_its_step(waits, **inputs)).error_code == "STEP_TIMEOUT"
    assert waits.called == ["a"]
    assert waits.proved()


async def test_a_wait_shorter_than_its_step_may_take_knows_no_step_timeout(waits: Waits) -> None:
    assert (await timed_out_by_its_step(waits, signal="go", seconds=0.01)).error_code == "SIGNAL_TIMEOUT"


@pytest.mark.parametrize(
    ("on_error", "statuses"), [("skip", ["failed", "skipped"]), ("continue", ["failed", "completed"])]
)
async def test_a_wait_that_fails_obeys_on_error(waits: Waits, on_error: str, statuses: list[str]) -> None:
    ask = step("ask", "wait_signal", inputs={"name": "go", "timeout_seconds": 0.02}) | {"on_error": on_error}
    async with waits.engine() as engine:
        result = await soon(engine.run(spec(ask, step("then", depends_on=["ask"])), "r"))
    assert result.success and [each.status for each in result.steps] == statuses
    assert waits.proved()


async def test_a_failure_below_lets_an_earlier_wait_finish(waits: Waits) -> None:
    """As serial execution would: the lower index decides, whichever was faster."""
    async with waits.engine() as engine:
        run = await begun(engine, waits, spec(step("ask", "wait_signal", name="go"), step("b", "fail")))
        await until(lambda: "step.failed" in waits.topics())
        assert not run.done()
        await soon(engine.signal("r", "go", 1))
        result = await soon(run)
    assert (result.error_code, result.steps[0].output) == ("SKILL_ERROR", 1)
    assert waits.proved()


async def test_a_failure_above_does_not_wait_for_later_waits(waits: Waits) -> None:
    async with waits.engine() as engine:
        document = spec(
            step("a", "wait_signal", inputs={"name": "stop", "timeout_seconds": 0.1}),
            step("b", "wait_signal", name="go"),
        )
        result = await soon(engine.run(document, "r"))
    assert (result.error_code, len(result.step_hashes)) == ("SIGNAL_TIMEOUT", 1)
    assert waits.proved()


async def test_a_waiting_run_is_cancelled(waits: Waits) -> None:
    async with waits.engine() as engine:
        run = await begun(engine, waits, APPROVAL)
        assert (await soon(engine.cancel("r"))).status == (await soon(run)).status == "cancelled"
    assert waits.proved()


async def test_a_paused_run_takes_signals_and_uses_them_when_resumed(waits: Waits) -> None:
    async with waits.engine() as engine:
        run = await begun(engine, waits, APPROVAL)
        await soon(engine.pause("r"))
        assert (await soon(run)).status == "paused"
        await soon(engine.signal("r", "approved", 7))
        assert (await soon(engine.state("r"))).status == "paused"
        assert (await soon(engine.resume("r"))).output == {"then": {"x": 7}}
    assert waits.called == [] and waits.proved()


async def test_a_timer_that_ran_out_during_a_pause_ends_its_wait_when_resumed(waits: Waits) -> None:
    async with waits.engine() as engine:
        run = await begun(engine, waits, spec(step("nap", "sleep", seconds=0.1)))
        await soon(engine.pause("r"))
        await soon(run)
        await asyncio.sleep(0.1)
        assert waits.topics()[-1] == "run.paused"
        assert (await soon(engine.resume("r"))).success
    assert waits.proved()


async def test_a_run_times_out_while_it_waits(waits: Waits) -> None:
    async with waits.engine() as engine:
        document = spec(step("ask", "wait_signal", name="go"), timeout_seconds=0.1)
        result = await soon(engine.run(document, "r"))
    assert (result.status, result.error_code) == ("timed_out", "RUN_TIMEOUT")
    assert waits.proved()


@pytest.mark.parametrize("inputs", [{"seconds": 0.3}, {"signal": "go"}])
async def test_a_wait_that_was_cut_off_is_not_begun_anew(waits: Waits, inputs: dict[str, Any]) -> None:
    document = spec(step("a", "wait_as_told", **inputs))
    async with waits.engine() as engine:
        run = await begun(engine, waits, document)
    await asyncio.gather(run, return_exceptions=True)
    async with waits.engine() as engine:
        if "signal" in inputs:
            await engine.signal("r", "go", "waited")
        assert (await soon(engine.run(document, "r"))).output == {"a": "waited"}
    assert waits.called == ["a"]
    assert waits.topics() == [
        "run.started",
        "step.waiting",
        *(["signal.received"] if "signal" in inputs else []),
        "step.completed",
        "run.completed",
    ]
    assert waits.proved()


async def test_a_signal_and_a_timeout_that_come_while_nobody_looks_count_as_the_signal(waits: Waits) -> None:
    document = spec(step("ask", "wait_signal", inputs={"name": "go", "timeout_seconds": 0.1}))
    async with waits.engine() as engine:
        run = await begun(engine, waits, document)
    await asyncio.gather(run, return_exceptions=True)
    async with waits.engine() as engine:
        await engine.signal("r", "go", 1)
        await asyncio.sleep(0.15)
        assert (await soon(engine.run(document, "r"))).output == {"ask": 1}


async def test_a_run_with_waits_is_replayed_without_waiting(waits: Waits) -> None:
    document = spec(
        step("nap", "sleep", seconds=0.4),
        step("ask", "wait_signal", name="go"),
        step("late", "wait_signal", inputs={"name": "no", "timeout_seconds": 0.01}) | {"on_error": "continue"},
        step("then", x="${ask}", depends_on=["ask", "nap", "late"]),
    )
    async with waits.engine() as engine:
        run = await begun(engine, waits, document, 3)
        await soon(engine.signal("r", "go", {"n": 1}))
        result = await soon(run)
        began = asyncio.get_running_loop().time()
        again = await soon(engine.run(document, "r", replay=True))
        assert asyncio.get_running_loop().time() - began < 0.4
    assert again.success and again.workflow_hash == result.workflow_hash
    assert waits.proved()


async def test_how_long_a_wait_took_changes_no_hash(waits: Waits) -> None:
    document = spec(
        step("nap", "sleep", seconds=0.05),
        step("ask", "wait_signal", name="go", depends_on=["nap"]),
        step("then", x="${ask}", depends_on=["ask"]),
    )
    async with waits.engine() as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(waits.waiting(number=2))
        await soon(engine.signal("r", "go", [1, 2]))
        slow = await soon(run)
    prompt = Waits()
    async with prompt.engine() as engine:
        await engine.start(document, "r")
        await engine.signal("r", "go", [1, 2])
        quick = await soon(engine.run(document, "r"))
    assert slow.workflow_hash == quick.workflow_hash and slow.step_hashes == quick.step_hashes


async def test_outcomes_of_waits_are_recorded_once(waits: Waits) -> None:
    async with waits.engine() as engine:
        run = await begun(engine, waits, APPROVAL)
        await soon(asyncio.gather(*(engine.signal("r", "approved", n) for n in range(5))))
        await soon(run)
    outcomes = [e.index for e in events_of(waits.store, "r") if isinstance(e, StepCompleted | StepFailed)]
    assert outcomes == [0, 1]


async def test_pauses_and_signals_sent_together_are_all_taken(waits: Waits) -> None:
    async with waits.engine() as engine:
        run = await begun(engine, waits, APPROVAL)
        send(waits.store, "r", "pause", "resume", "pause")
        await until(lambda: waits.topics().count("run.paused") == 2)
        await soon(run)
        await soon(engine.signal("r", "approved"))
        assert (await soon(engine.resume("r"))).success
    assert waits.proved()
