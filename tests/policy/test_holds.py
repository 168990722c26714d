"""Nothing stays held that nobody will use: whatever ends, interrupts or puts off a run under a policy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refold import Failure, SkillRegistry, StepContext, WorkflowEngine, open_store, workflow
from refold.core.events import PolicyDecided
from refold.core.policy.document import Policy
from refold.eventstore.store import Store
from refold.eventstore.tiered import TieredStore
from refold.replay.budgets import verify_ledger
from refold.tests.support.policed import (
    SlowLedger,
    cost_in_the_log,
    ledgered,
    policy,
    proved,
    reserved,
    spent,
    verdicts,
)
from refold.tests.support.random_specs import Gates
from refold.tests.support.sites import Through
from refold.tests.support.workflows import events_of, send, soon, spec, step, topics_of, until

ONE_PLACE = policy(limits=[{"limit": "one", "match": {"skill": ["gated", "plain", "stubborn"]}, "places": 1}])
PAID = policy(budgets=[{"scope": "tenant", "cents": 100}])
PLACE = {"places/one": 1}


class Shop:
    """A store, and skills that wait at `gates`."""

    def __init__(self, store: Store):
        self.store = store
        self.gates = Gates()
        self.called: list[str] = []
        self.skills = SkillRegistry()

        @self.skills.skill("gated", cost_cents=2)
        async def gated(ctx: StepContext) -> str:
            self.called.append(ctx.step_id)
            await self.gates()
            return "done"

        @self.skills.skill("plain", deterministic=True, cost_cents=1)
        async def plain(ctx: StepContext) -> str:
            self.called.append(ctx.step_id)
            return "done"

        @self.skills.skill("fails", deterministic=True)
        async def fails() -> None:
            raise Failure("SKILL_ERROR", "as wanted", retryable=False)

    def engine(self, policy: Policy, store: Any = None) -> WorkflowEngine:
        return WorkflowEngine(self.store if store is None else store, self.skills, policy=policy)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    store = open_store(f"sqlite:///{tmp_path / 'shop.db'}")
    yield Shop(store)
    store.close()


def balanced(store: Store) -> bool:
    """Whether the ledger is what the log says."""
    assert isinstance(store, TieredStore)
    return verify_ledger(store) == []


@pytest.mark.parametrize("how", ["cancel", "time-out"])
async def test_a_run_that_is_cut_while_it_holds_something_gives_it_back(shop: Shop, how: str) -> None:
    async with shop.engine(ONE_PLACE) as engine:
        seconds = {"timeout_seconds": 0.5} if how == "time-out" else {}
        run = asyncio.create_task(engine.run(spec(step("a", "gated"), **seconds), "r"))
        await until(lambda: shop.called)
        assert reserved(shop.store) == PLACE and balanced(shop.store)
        if how == "cancel":
            await engine.cancel("r")
        assert (await soon(run)).status == ("cancelled" if how == "cancel" else "timed_out")
        assert await proved(shop.store, shop.skills, "r")


@pytest.mark.parametrize("how", ["cancel", "time-out"])
async def test_a_run_that_is_cut_while_it_waits_for_the_answer_gets_nothing(shop: Shop, how: str) -> None:
    ledger = SlowLedger(shop.store.ledger)
    async with shop.engine(ONE_PLACE, ledgered(shop.store, ledger)) as engine:
        seconds = {"timeout_seconds": 0.5} if how == "time-out" else {}
        run = asyncio.create_task(engine.run(spec(step("a", "gated"), **seconds), "r"))
        await until(lambda: ledger.asked)
        if how == "cancel":
            await engine.cancel("r")
        assert (await soon(run)).status == ("cancelled" if how == "cancel" else "timed_out")
        ledger.open.set()
        assert shop.called == [] and await proved(shop.store, shop.skills, "r")


async def test_an_answer_that_comes_together_with_the_cancel_is_not_recorded_after_the_end(shop: Shop) -> None:
    ledger, committing = SlowLedger(shop.store.ledger), threading.Event()
    committing.set()

    def commit(*arguments: Any) -> Any:
        assert committing.wait(60)
        return shop.store.commit(*arguments)

    slow = Through(shop.store, commit=commit, ledger=ledger)
    policy_of_one = policy(limits=[{"limit": "one", "match": {"skill": "plain"}, "places": 1}])
    async with shop.engine(policy_of_one, slow) as engine:
        run = asyncio.create_task(engine.run(spec(step("a", "gated"), step("b", "plain")), "r"))
        await until(lambda: shop.called and ledger.asked)
        actor = engine._host.actor("default/r")  # pyright: ignore[reportPrivateUsage]
        assert actor is not None
        committing.clear()
        shop.gates.open()
        await until(lambda: actor._committing)  # pyright: ignore[reportPrivateUsage]
        send(shop.store, "r", "cancel")
        await until(lambda: actor.delivered == 1)
        ledger.open.set()
        await until(lambda: actor._clearance is not None and not actor._clearance.idle)  # pyright: ignore[reportPrivateUsage]
        committing.set()
        assert (await soon(run)).status == "cancelled"
    assert await proved(shop.store, shop.skills, "r")


async def test_a_paused_run_holds_nothing_and_asks_again_when_it_goes_on(shop: Shop) -> None:
    ledger = SlowLedger(shop.store.ledger)
    async with shop.engine(ONE_PLACE, ledgered(shop.store, ledger)) as engine:
        run = asyncio.create_task(engine.run(spec(step("a", "plain")), "r"))
        await until(lambda: ledger.asked)
        await engine.pause("r")
        await until(lambda: "run.paused" in topics_of(shop.store, "r"))
        ledger.open.set()
        assert (await soon(run)).status == "paused"
        assert not reserved(shop.store) and balanced(shop.store)
        assert (await soon(engine.run(spec(step("b", "plain")), "other"))).success, "the place is free for others"
        assert (await soon(engine.resume("r"))).success
    assert verdicts(shop.store) == [("a", "allowed"), ("a", "deferred"), ("a", "allowed")]
    assert await proved(shop.store, shop.skills, "r", "other")


async def test_what_an_abort_leaves_behind_does_not_keep_lower_steps_from_their_place(shop: Shop) -> None:
    tried = 0

    @shop.skills.skill("stubborn", deterministic=True)
    async def stubborn() -> str:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise ValueError("the first time")
        return "done"

    document = spec(
        step("low", "stubborn", max_retries=1, retry={"initial_seconds": 1, "jitter": 0}),
        step("go", "wait_signal", inputs={"name": "go"}),
        step("wrong", "fails", depends_on=["go"]),
        step("high", "gated"),
    )
    async with shop.engine(ONE_PLACE) as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: tried == 1 and shop.called == ["high"])
        await engine.signal("r", "go")
        result = await soon(run)
    assert (result.status, result.error_code, tried) == ("failed", "SKILL_ERROR", 2)
    assert await proved(shop.store, shop.skills, "r")


async def test_a_function_that_cleans_up_gets_the_place_of_what_it_gave_up(shop: Shop) -> None:
    gated, plain = shop.skills.get("gated"), shop.skills.get("plain")

    @workflow("tidy", version="1")
    async def tidy() -> str:
        try:
            return await gated()
        finally:
            await plain()

    shop.skills.add_workflow(tidy)
    async with shop.engine(ONE_PLACE) as engine:
        run = asyncio.create_task(engine.run("tidy", "r"))
        await until(lambda: len(shop.called) == 1)
        await engine.cancel("r")
        assert (await soon(run)).status == "cancelled"
    assert len(shop.called) == 2 and await proved(shop.store, shop.skills, "r")


async def test_what_an_emergency_stop_holds_back_is_not_missed_in_the_ledger(shop: Shop) -> None:
    async with shop.engine(ONE_PLACE) as engine:
        run = asyncio.create_task(engine.run(spec(step("a", "gated")), "r"))
        await until(lambda: shop.called)
        await engine.emergency.enable(running="cancel")
        with pytest.raises(Exception, match="emergency"):
            await soon(run)
        assert not reserved(shop.store) and balanced(shop.store)
        await engine.emergency.disable()
        shop.gates.open()
        assert (await soon(engine.resume("r"))).success
    assert spent(shop.store) == 0 and await proved(shop.store, shop.skills, "r")


async def test_an_attempt_under_way_at_a_pause_ends_and_is_paid(shop: Shop) -> None:
    async with shop.engine(PAID) as engine:
        document = spec(step("a", "gated"), step("b", "plain", depends_on=["a"]))
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: shop.called)
        await engine.pause("r")
        shop.gates.open()
        assert (await soon(run)).status == "paused"
        assert not reserved(shop.store) and spent(shop.store) == 2
        assert (await soon(engine.resume("r"))).success
    assert spent(shop.store) == cost_in_the_log(shop.store, "r") == 3
    assert await proved(shop.store, shop.skills, "r")


async def test_a_drained_engine_leaves_the_grant_to_whoever_goes_on(shop: Shop) -> None:
    async with shop.engine(PAID) as engine:
        run = asyncio.create_task(engine.run(spec(step("a", "gated")), "r"))
        await until(lambda: shop.called)
    with pytest.raises(Exception, match="closed"):
        await run
    assert reserved(shop.store) and balanced(shop.store)
    shop.gates.open()
    async with shop.engine(PAID) as engine:
        assert (await soon(engine.resume("r"))).success
    allowed = [event for event in events_of(shop.store, "r") if isinstance(event, PolicyDecided)]
    assert len(allowed) == 1 and spent(shop.store) == 2
    assert await proved(shop.store, shop.skills, "r")
