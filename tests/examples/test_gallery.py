"""Every example of the gallery does what it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterator
from types import ModuleType
from typing import Any

import pytest

from refold import SkillRegistry, WorkflowEngine, WorkflowResult
from refold.core.events import AttributesSet, Event, StepWaiting
from refold.eventstore.log import EventLog
from refold.eventstore.store import Store
from refold.examples.gallery import agent, children, decision, fan_out, purchase, report, saga, trial
from refold.testing import TestEnvironment
from refold.tests.support.checkpointed import check_every_prefix
from refold.tests.support.root_package import ROOT
from refold.tests.support.workflows import events_of, soon, topics_of, until

FOLDER = ROOT / "examples/gallery"
INDEX = (FOLDER / "README.md").read_text()
EXAMPLES = sorted(FOLDER.glob("*.py"))


def engine_with(module: ModuleType) -> WorkflowEngine:
    """An engine in memory that can run the example."""
    skills = SkillRegistry()
    skills.load_module(module.__name__)
    engine = WorkflowEngine("memory:", skills)
    STORES.append(engine.store)
    return engine


STORES: list[Store] = []
"""What the runs of a test lie in."""


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Every run of every example comes back from a checkpoint after any of its events."""
    STORES.clear()
    yield
    for store in STORES:
        for stream in store.streams("default"):
            check_every_prefix(EventLog(store, "test").events(stream))


async def ran(module: ModuleType, workflow: str, **inputs: Any) -> tuple[WorkflowResult, list[Event]]:
    """How the run `r` of the example ended, and its events; run again beside the log it gives the same."""
    async with engine_with(module) as engine:
        result = await soon(engine.run(workflow, "r", inputs=inputs))
        await soon(engine.replay("r"))
        return result, events_of(engine.store, "r")


async def begun(engine: WorkflowEngine, workflow: str, signal: str = "", **inputs: Any) -> Awaitable[WorkflowResult]:
    """The run `r`, once it waits (for `signal`)."""
    run = asyncio.create_task(engine.run(workflow, "r", inputs=inputs))
    await until(lambda: signal in waits(engine))
    return run


def waits(engine: WorkflowEngine) -> list[str | None]:
    """The signals that the run `r` has waited for so far."""
    return [event.signal for event in events_of(engine.store, "r") if isinstance(event, StepWaiting)]


def steps(result: WorkflowResult) -> list[tuple[str, Any]]:
    """Skill and output of every step."""
    return [(step.skill_id, step.output) for step in result.steps]


def sent(result: WorkflowResult) -> list[str]:
    """The texts of all messages."""
    return [step.output for step in result.steps if step.skill_id in ("tell", "send_mail", "mail")]


# The gallery itself.


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_says_how_to_try_it_and_is_in_the_index(file: Any) -> None:
    document = file.read_text().partition('"""\n\n')[0]
    commands = re.findall(r"^    (?:RELEASE=\d )?refold \w+", document, re.M)
    assert len(commands) == 2, f"{file.name} shows {len(commands)} commands, wanted 2"
    assert f"({file.name})" in INDEX


# Saga.


async def test_a_trip_is_booked() -> None:
    result, _ = await ran(saga, "trip")
    assert [text.partition(",")[0] for text in result.output] == ["flight for Ada", "hotel for Ada", "car for Ada"]


async def test_a_failed_trip_is_undone_in_reverse_order() -> None:
    result, _ = await ran(saga, "trip", sold_out="hotel")
    assert (result.status, result.error_code) == ("failed", "SOLD_OUT")
    assert steps(result)[2:] == [("unbook", "no hotel for Ada"), ("unbook", "no flight for Ada")]


async def test_a_cancelled_trip_is_undone_as_well() -> None:
    async with engine_with(saga) as engine:
        run = asyncio.create_task(engine.run("trip", "r"))
        await until(lambda: "step.completed" in topics_of(engine.store, "r"))
        await soon(engine.cancel("r", "changed my mind"))
        result = await soon(run)
    assert result.status == "cancelled"
    undone = [output for skill_id, output in steps(result) if skill_id == "unbook"]
    assert undone == ["no hotel for Ada", "no flight for Ada"] and "step.failed" not in topics_of(engine.store, "r")


# A person decides.


@pytest.mark.parametrize(("approved", "outcome"), [(True, "approved"), (False, "refused")])
async def test_a_decision_is_what_the_signal_says(approved: bool, outcome: str) -> None:
    async with engine_with(decision) as engine:
        run = await begun(engine, "expense", "decision", who="Ada", cents=12_000)
        await engine.signal("r", "decision", {"approved": approved, "by": "Grace"})
        result = await soon(run)
        assert (await engine.state("r")).attributes == {"decision": outcome}
    assert result.output == outcome
    assert sent(result) == ["to boss: Ada wants 120.00", f"to Ada: {outcome} by Grace"]


# People approve.


@pytest.mark.parametrize(
    ("cents", "decisions", "outcome"),
    [
        (900, ["grant eve"], "lathe for 9.00, approved by eve"),
        (90_000, ["grant eve", "grant ada"], "lathe for 900.00, approved by eve and ada"),
        (90_000, ["grant eve", "reject bob"], "not bought: bob rejected it"),
    ],
)
async def test_a_purchase_needs_as_many_as_its_price_asks_for(cents: int, decisions: list[str], outcome: str) -> None:
    async with engine_with(purchase) as engine:
        run = asyncio.create_task(engine.run("purchase", "r", inputs={"item": "lathe", "cents": cents}))
        await until(lambda: "approval.requested" in topics_of(engine.store, "r"))
        for each in decisions:
            await soon(engine.approvals.decide("r", None, *each.split()))
        assert (await soon(run)).output == outcome
        await soon(engine.replay("r"))


async def test_a_purchase_that_nobody_decides_on_reaches_their_boss_and_then_expires() -> None:
    async with TestEnvironment(workflows=[purchase.purchase], skills=[purchase.order]) as env:
        await env.start(purchase.purchase, "lathe", 1, run_id="r")
        await env.advance("25h")
        (asked,) = await env.engine.approvals.list("r")
        assert (asked.approvers, asked.reminded) == (("ada", "bob", "eve", "grace"), 3)
        assert (await env.result("r")).output == "nobody decided"


async def test_nobody_decides_and_the_request_expires_after_a_reminder() -> None:
    result, _ = await ran(decision, "expense", who="Ada", cents=1, remind_after="50ms", give_up_after="50ms")
    assert result.output == "expired"
    assert sent(result) == ["to boss: Ada wants 0.01", "to boss: Reminder: Ada wants 0.01", "to Ada: nobody decided"]


async def test_a_decision_after_the_reminder_counts() -> None:
    async with engine_with(decision) as engine:
        run = asyncio.create_task(engine.run("expense", "r", inputs={"who": "A", "cents": 1, "remind_after": "10ms"}))
        await until(lambda: len(waits(engine)) == 2)
        await engine.signal("r", "decision", {"approved": True, "by": "Grace"})
        assert (await soon(run)).output == "approved"


# A thousand steps.


async def test_a_thousand_steps_are_added_up() -> None:
    result, events = await ran(fan_out, "primes")
    assert result.output == {"primes": 9_592, "parts": 1_000}
    assert len(events) == 1_002, "a step is one event, and there is nothing else but the beginning and the end"


# The agent.


async def answered(approved: bool) -> WorkflowResult:
    """How the agent ends that is to buy a lamp."""
    async with engine_with(agent) as engine:
        run = await begun(engine, "agent", "approval", goal="buy a lamp", turns=5)
        notes = await engine.query("r", "notes")
        assert [note["tool"] for note in notes] == ["find_price", "add_tax"]
        await engine.signal("r", "approval", {"approved": approved})
        return await soon(run)


async def test_the_agent_pays_when_a_person_approves() -> None:
    result = await answered(approved=True)
    assert result.output == "buy a lamp: paid 2975, r:pay#6"


async def test_the_agent_is_told_that_a_person_refuses() -> None:
    result = await answered(approved=False)
    assert result.output == "buy a lamp: not approved" and "pay" not in dict(steps(result))


async def test_silence_is_no_approval() -> None:
    result, _ = await ran(agent, "agent", goal="buy a lamp", patience="20ms")
    assert result.output == "buy a lamp: not approved"


async def test_a_failed_tool_is_a_result_that_the_planner_sees() -> None:
    result, _ = await ran(agent, "agent", goal="buy a yacht", turns=2)
    assert result.error_code == "BUDGET_SPENT"
    assert "NOT_SOLD: nobody sells a yacht" in str([step.output for step in result.steps if step.skill_id == "plan"])


async def test_an_unknown_tool_is_not_called_and_the_budget_ends_it() -> None:
    result, _ = await ran(agent, "agent", goal="buy the moon")
    assert (result.error_code, result.message) == ("BUDGET_SPENT", "no answer after 8 turns")
    assert {skill_id for skill_id, _ in steps(result)} == {"plan"} and len(result.steps) == 8


async def test_the_planner_sees_the_last_turns_only() -> None:
    _, events = await ran(agent, "agent", goal="buy the moon")
    shown = [len(event.inputs.value["notes"]) for event in events if event.topic == "step.completed"]  # type: ignore[attr-defined]
    assert shown == [0, 1, 2, 3, 4, 5, 5, 5]


# The report.


async def test_the_daily_report_begins_anew_after_each_and_starts_one_for_each_period() -> None:
    async with engine_with(report) as engine:
        result = await soon(engine.run("daily", "r", inputs={"period": 1, "rounds": 2}))
        assert (result.run_id, result.status) == ("r~c2", "completed")
        assert topics_of(engine.store, "r")[-1] == "run.continued"
        assert len(events_of(engine.store, "r~c2")) == 5, "the history does not grow with the rounds"
        started = {outcome.output.value["run_id"] for outcome in await detached(engine, "r", "r~c2")}
    assert len(started) == 2


async def detached(engine: WorkflowEngine, *runs: str) -> list[Any]:
    """The outcomes of the calls that started reports."""
    return [(await engine.state(run)).outcome("1") for run in runs]


async def test_a_report_is_made() -> None:
    result, _ = await ran(report, "report", day="2026-01-01")
    assert result.output == "reports/2026-01-01: 70 orders"


# Children.


async def test_a_failed_shipment_is_tried_again_and_the_customer_thanked() -> None:
    async with engine_with(children) as engine:
        result = await soon(engine.run("order", "r"))
        assert result.output == ["north: lamp", "south: chair, table", "west: rug"]
        assert (await engine.state("r~0.1.0")).status == "failed"
        assert (await engine.state("r~0.1.1")).status == "completed"
        thanks = await soon(engine.resume("r~1"))
    assert sent(thanks) == ["to Ada: thank you"]


async def test_an_order_fails_with_the_shipment_that_fails_every_time() -> None:
    result, events = await ran(children, "order", tries=2, jams={"west": 2})
    assert (result.status, result.error_code) == ("failed", "CHILD_FAILED")
    assert "belt of west is jammed" in (result.message or "")
    assert sum(event.topic == "child.ended" for event in events) == 4


# The trial.


async def test_an_upgrade_ends_the_trial() -> None:
    async with engine_with(trial) as engine:
        run = await begun(engine, "trial", "upgrade", customer="ada")
        await engine.signal("r", "upgrade", "yearly")
        result = await soon(run)
        assert (await engine.state("r")).attributes == {"customer": "ada", "stage": "yearly"}
    assert (result.output, sent(result)[-1]) == ("yearly", "to ada: You are on the yearly plan")


async def test_a_trial_runs_out_after_a_reminder() -> None:
    result, events = await ran(trial, "trial", customer="ada", days=2e-6, notice_days=1e-6)
    assert result.output == "ended"
    assert sent(result) == ["to ada: Welcome", "to ada: Your trial ends soon", "to ada: Your trial has ended"]
    stages = [event.attributes.value.get("stage") for event in events if isinstance(event, AttributesSet)]
    assert [stage for stage in stages if stage] == ["trial", "ended"]


async def test_a_cancelled_trial_says_good_bye() -> None:
    async with engine_with(trial) as engine:
        run = await begun(engine, "trial", "upgrade", customer="ada")
        await soon(engine.cancel("r"))
        result = await soon(run)
        assert (await engine.state("r")).attributes["stage"] == "cancelled"
    assert (result.status, sent(result)[-1]) == ("cancelled", "to ada: Good-bye")
