"""Top-ups of budgets, and the ledger computed anew from the log, on every store."""

from __future__ import annotations

import asyncio

import pytest

from refold import CallError, SkillRegistry, StepContext, WorkflowEngine
from refold.core.budget_events import BudgetToppedUp
from refold.core.ids import BUDGETS
from refold.core.ledger import MILLIONTHS, Limit, Request
from refold.core.policy.document import Policy
from refold.core.ports import Settle
from refold.eventstore.log import EventLog
from refold.eventstore.tiered import TieredStore
from refold.replay.budget_control import verify_top_ups
from refold.replay.budgets import verify_ledger
from refold.tests.contract.conftest import Place
from refold.tests.support.units import Writer, said
from refold.tests.support.workflows import spec, step, until

ACCOUNT = "budget/tenant/default/total"
POLICY = Policy.parse(
    {
        "policy": "careful",
        "version": "1",
        "limits": [{"limit": "all", "per": ["tenant"], "places": 2, "rate": {"count": 1000, "seconds": 1}}],
        "budgets": [{"scope": "tenant", "name": "*", "cents": 100, "period": "total", "when_exceeded": "wait"}],
    }
)


async def test_a_top_up_is_in_the_log_and_in_the_ledger_or_in_neither(place: Place) -> None:
    store = place.open()
    async with WorkflowEngine(store) as first, WorkflowEngine(place.open()) as second:
        await asyncio.gather(
            *(engine.budgets.top_up(ACCOUNT, 2.5, "more", "Ada") for engine in (first, second) for _ in range(10))
        )
        for account, cents, reason in (("places/a/b", 1, "x"), (ACCOUNT, 0, "x"), (ACCOUNT, 1, "")):
            with pytest.raises(CallError):
                await first.budgets.top_up(account, cents, reason)
        log = await second.budgets.read()
    (account,) = store.ledger.accounts()
    assert (account.name, account.kind, account.extra) == (ACCOUNT, "budget", 50 * MILLIONTHS)
    assert log.extra == {ACCOUNT: 50 * MILLIONTHS}
    events = EventLog(store, "").events(BUDGETS)
    assert len(events) == 20 and all(isinstance(each, BudgetToppedUp) and each.by == "Ada" for each in events)
    proof = verify_top_ups(store)
    assert proof is not None and proof.ok and proof.events == 20


def test_without_top_ups_there_is_nothing_to_prove(place: Place) -> None:
    assert verify_top_ups(place.open()) is None


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Place:
    """A store that can be verified: one in a database."""
    return request.getfixturevalue(f"{request.param}_place")


async def test_the_ledger_agrees_with_the_log_while_runs_go_on_and_after_them(database: Place) -> None:
    store = database.open()
    assert isinstance(store, TieredStore)
    gate, inside = asyncio.Event(), 0
    skills = SkillRegistry()

    @skills.skill(cost_cents=3)
    async def pay(ctx: StepContext) -> dict[str, int]:
        nonlocal inside
        inside += 1
        await gate.wait()
        if ctx.attempt == 1:
            raise ValueError("the first time")
        return {}

    async with WorkflowEngine(store, skills, policy=POLICY) as engine:
        document = spec(step("a", "pay", max_retries=2), step("b", "pay", depends_on=["a"], max_retries=2))
        runs = [asyncio.create_task(engine.run(document, f"run-{n}")) for n in range(4)]
        await until(lambda: inside == 2)
        assert await asyncio.to_thread(verify_ledger, store) == []
        gate.set()
        verdicts = [await asyncio.to_thread(verify_ledger, store) for _ in range(5)]
        assert verdicts == [[]] * 5
        assert [(await run).status for run in runs] == ["completed"] * 4
    assert verify_ledger(store) == []
    spent = {each.name: each.spent for each in store.ledger.accounts("budget/")}
    assert spent == {ACCOUNT: 4 * 2 * 2 * 3 * MILLIONTHS}
    assert store.ledger.holds() == []


async def test_a_ledger_that_was_lost_is_made_anew(database: Place) -> None:
    store = database.open()
    assert isinstance(store, TieredStore)
    gate, inside = asyncio.Event(), 0
    skills = SkillRegistry()

    @skills.skill(cost_cents=3)
    async def pay(ctx: StepContext) -> dict[str, int]:
        nonlocal inside
        inside += 1
        if inside > 1:
            await gate.wait()
        return {}

    async with WorkflowEngine(store, skills, policy=POLICY) as engine:
        await engine.run(spec(step("a", "pay")), "ended")
        await engine.budgets.top_up(ACCOUNT, 7, "a fair")
        run = asyncio.create_task(engine.run(spec(step("a", "pay")), "under-way"))
        await until(lambda: inside == 2)
        before = [each for each in store.ledger.accounts() if each.kind != "rate"]
        with store.hot.access.books() as change:
            change.run("DELETE FROM ledger_accounts", ())
            change.run("DELETE FROM ledger_holds", ())
        found = verify_ledger(store, rebuild=True)
        assert {each.what for each in found} == {"missing", "spent", "extra", "reserved"}
        assert verify_ledger(store) == []
        after = [each for each in store.ledger.accounts() if each.kind != "rate"]
        assert [each[:5] for each in after] == [each[:5] for each in before]
        gate.set()
        assert (await run).status == "completed"
    assert verify_ledger(store) == []
    assert store.ledger.accounts(ACCOUNT)[0][2:5] == (0, 6 * MILLIONTHS, 7 * MILLIONTHS)


def test_what_was_granted_before_a_crash_is_no_difference_until_its_run_has_ended(database: Place) -> None:
    store, writer = database.open(), Writer()
    assert isinstance(store, TieredStore)
    store.commit([writer.run("run")], "me")
    store.ledger.ask([Request("default/run", "0", 1, [Limit("places/a/b", "concurrency", 1, 2)])])
    assert verify_ledger(store) == []
    store.commit([writer.unit(("default/run", [said()]), ledger=[Settle("default/run", "0", 1, 0)])], "me")
    assert verify_ledger(store) == []
    with store.hot.access.books() as change:
        change.run("UPDATE ledger_accounts SET reserved = 5", ())
    assert [(each.what, each.has, each.should) for each in verify_ledger(store, rebuild=True)] == [("reserved", 5, 0)]
    assert store.ledger.accounts()[0].reserved == 0
