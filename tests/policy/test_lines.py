"""Attempts that come later: in the order in which they asked, none is lost, and none keeps a worker's memory busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from refold import SkillRegistry, StepContext, Worker, WorkflowEngine, open_store
from refold.core import ledger_rules
from refold.core.ledger import Answer, Request
from refold.core.runtime.clearance import SHORTEST_WAIT
from refold.core.runtime.clock import SystemClock
from refold.core.state import fold
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.projections.checkpoints import CheckpointsProjection, TableCheckpointStore, state_of
from refold.tests.support.policed import cost_in_the_log, decided, ledgered, policy, proved, reserved, spent, verdicts
from refold.tests.support.projected import caught_up
from refold.tests.support.random_specs import Gates
from refold.tests.support.states import slots_of
from refold.tests.support.workflows import events_of, soon, spec, step, topics_of, until

BUDGET = "budget/tenant/default/total"
WAITS = {"when_exceeded": "wait"}


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    urls = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path / 'lines.db'}"}
    opened = open_store(urls.get(request.param) or request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


class Shop:
    """Skills that say who was served, in order."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.served: list[str] = []
        self.inside = self.most = 0
        self.skills = SkillRegistry()

        @self.skills.skill("serve", cost_cents=1)
        async def serve(ctx: StepContext) -> None:
            self.served.append(ctx.run_id)
            self.inside += 1
            self.most = max(self.most, self.inside)
            await self.gates()
            self.inside -= 1


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_places_go_to_those_who_asked_first_and_nobody_is_lost(store: Store, shop: Shop) -> None:
    one = policy(limits=[{"limit": "counter", "places": 1}])
    run_ids = [f"r{number}" for number in range(6)]
    async with WorkflowEngine(store, shop.skills, policy=one) as engine:
        runs: list[asyncio.Task[Any]] = []
        for number, run_id in enumerate(run_ids):
            runs.append(asyncio.create_task(engine.run(spec(step("a", "serve")), run_id)))
            await until(lambda number=number: len(store.ledger.holds()) == number + 1)
        assert shop.served == ["r0"]
        shop.gates.open()
        assert all([(await soon(run)).success for run in runs])
    assert shop.served == run_ids and shop.most == 1
    assert [verdicts(store, run_id) for run_id in run_ids[1:]] == [[("a", "deferred"), ("a", "allowed")]] * 5
    assert decided(store, "r5")[0][3:] == ("counter", "CONCURRENCY_LIMITED")
    assert await proved(store, shop.skills, *run_ids)


async def test_a_rate_lets_all_through_in_their_time(store: Store, shop: Shop) -> None:
    shop.gates.open()
    slow = policy(limits=[{"limit": "calls", "per": ["tenant"], "rate": {"count": 20, "seconds": 1, "burst": 2}}])
    begun = time.monotonic()
    async with WorkflowEngine(store, shop.skills, policy=slow) as engine:
        document = spec(*(step(f"s{n}", "serve") for n in range(12)))
        assert (await soon(engine.run(document, "r"))).success
    assert time.monotonic() - begun >= (12 - 2) / 20, "they came faster than the tokens"
    assert len(shop.served) == 12 and topics_of(store, "r").count("step.completed") == 12
    assert await proved(store, shop.skills, "r")


async def test_a_run_that_waits_long_leaves_memory_and_comes_back(store: Store, shop: Shop) -> None:
    shop.gates.open()
    slow = policy(limits=[{"limit": "calls", "rate": {"count": 1, "seconds": 2}}])
    async with WorkflowEngine(store) as client:
        await client.start(spec(step("a", "serve"), step("b", "serve")), "r")
    worker = Worker(store, shop.skills, policy=slow)
    work = asyncio.create_task(worker.run())
    await until(lambda: ("b", "deferred") in verdicts(store) and worker.running == 0)
    assert fold(events_of(store, "r")).status == "waiting" and store.dispatch.rows()
    await until(lambda: topics_of(store, "r")[-1] == "run.completed")
    worker.drain()
    await soon(work)
    assert verdicts(store) == [("a", "allowed"), ("b", "deferred"), ("b", "allowed")] and len(shop.served) == 2
    assert await proved(store, shop.skills, "r")


async def test_a_step_waits_for_the_budget_and_goes_on_after_a_top_up(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_rules, "SELDOM", 200_000)
    shop.gates.open()
    poor = policy(budgets=[{"scope": "tenant", "cents": 1, **WAITS}])
    async with WorkflowEngine(store, shop.skills, policy=poor) as engine:
        run = asyncio.create_task(engine.run(spec(step("a", "serve"), step("b", "serve")), "r"))
        await until(lambda: ("b", "deferred") in verdicts(store) and len(shop.served) == 1)
        assert (await engine.run(spec(step("free", "echo")), "free")).success, "what costs nothing is not held up"
        await engine.budgets.top_up(BUDGET, 5, "a fair", "Ada")
        assert (await soon(run)).success
    assert spent(store) == cost_in_the_log(store, "r") == 2
    assert await proved(store, shop.skills, "r", "free")


@pytest.mark.parametrize("how", ["cancel", "time-out", "abort"])
async def test_who_stands_in_line_leaves_it_when_the_run_is_over(store: Store, shop: Shop, how: str) -> None:
    one = policy(limits=[{"limit": "counter", "match": {"skill": "serve"}, "places": 1}])
    async with WorkflowEngine(store, shop.skills, policy=one) as engine:
        first = asyncio.create_task(engine.run(spec(step("a", "serve")), "first"))
        await until(lambda: shop.served)
        wrong = [step("go", "wait_signal", inputs={"name": "go"}, timeout_seconds=0.5)] if how == "abort" else []
        limit = {"timeout_seconds": 0.5} if how == "time-out" else {}
        second = asyncio.create_task(engine.run(spec(*wrong, step("b", "serve"), **limit), "r"))
        await until(lambda: ("b", "deferred") in verdicts(store))
        if how == "cancel":
            await engine.cancel("r")
        assert not (await soon(second)).success
        assert {hold.stream for hold in store.ledger.holds()} == {"default/first"}
        shop.gates.open()
        assert (await soon(first)).success
    assert "r" not in shop.served and await proved(store, shop.skills, "first", "r")


async def test_a_pause_in_line_keeps_the_place_in_it(store: Store, shop: Shop) -> None:
    one = policy(limits=[{"limit": "counter", "places": 1}])
    async with WorkflowEngine(store, shop.skills, policy=one) as engine:
        first = asyncio.create_task(engine.run(spec(step("a", "serve")), "first"))
        await until(lambda: shop.served)
        second = asyncio.create_task(engine.run(spec(step("a", "serve")), "second"))
        await until(lambda: verdicts(store, "second"))
        await engine.pause("second")
        assert (await soon(second)).status == "paused"
        shop.gates.open()
        assert (await soon(first)).success and not reserved(store)
        assert (await soon(engine.resume("second"))).success
    assert shop.served == ["first", "second"] and await proved(store, shop.skills, "first", "second")


async def test_a_long_run_goes_on_from_a_checkpoint_with_what_it_holds_and_waits_for(store: Store, shop: Shop) -> None:
    one = policy(
        limits=[{"limit": "counter", "match": {"skill": "serve"}, "places": 1}],
        budgets=[{"scope": "tenant", "cents": 1000}],
    )

    @shop.skills.skill("stubborn", cost_cents=1)
    async def stubborn(ctx: StepContext) -> None:
        if ctx.attempt <= 20:
            raise ValueError("again")

    many = [step(f"m{n}", "stubborn", max_retries=20, retry={"initial_seconds": 0}) for n in range(13)]
    after = [f"m{n}" for n in range(13)]
    document = spec(*many, step("held", "serve", depends_on=after), step("late", "serve", depends_on=after))
    async with WorkflowEngine(store, shop.skills, policy=one) as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: shop.served and ("late", "deferred") in verdicts(store))
    with pytest.raises(Exception, match="closed"):
        await run
    await asyncio.to_thread(caught_up, store, CheckpointsProjection())
    checkpoint = TableCheckpointStore(store.tables).load("r")
    assert checkpoint is not None
    events = events_of(store, "r")
    assert slots_of(state_of(checkpoint)) == slots_of(fold(events[: checkpoint.version]))
    assert len(fold(events).cleared) == len(fold(events).deferred) == 1
    shop.gates.open()
    async with WorkflowEngine(store, shop.skills, policy=one) as engine:
        assert (await soon(engine.resume("r"))).success
    assert len(shop.served) == 3 and shop.most <= 2
    assert spent(store) == cost_in_the_log(store, "r") == 13 * 21 + 2
    assert await proved(store, shop.skills, "r")


async def test_who_is_gone_is_not_told_that_something_came_back_in_the_place_of_those_who_wait(shop: Shop) -> None:
    store = MemoryStore()
    one = policy(limits=[{"limit": "counter", "places": 1}])
    async with WorkflowEngine(store, shop.skills, policy=one) as engine:
        first = asyncio.create_task(engine.run(spec(step("a", "serve")), "first"))
        await until(lambda: shop.served)
        second = asyncio.create_task(engine.run(spec(step("a", "serve")), "second"))
        await until(lambda: verdicts(store, "second"))
        await engine.cancel("second")
        await soon(second)
        gate = engine._services.gate  # pyright: ignore[reportPrivateUsage]
        assert gate is not None and (line := list(gate._line))  # pyright: ignore[reportPrivateUsage]
        assert not any(recall(promised) for promised, _, recall in line)
        shop.gates.open()
        await soon(first)


class Ahead(SystemClock):
    """The clock of a machine that is an hour ahead of the database's."""

    def now(self) -> int:
        """See `Clock.now`."""
        return super().now() + 3_600_000_000


class Counted:
    """A ledger that counts how often it was asked."""

    def __init__(self, inner: Any):
        self._inner = inner
        self.asked = 0

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Ledger.ask`."""
        self.asked += 1
        return self._inner.ask(requests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_clock_that_is_ahead_of_the_databases_does_not_ask_without_a_pause(shop: Shop) -> None:
    store = MemoryStore()
    one, ledger = policy(limits=[{"limit": "counter", "places": 1}]), Counted(store.ledger)
    async with (
        WorkflowEngine(store, shop.skills, policy=one) as engine,
        WorkflowEngine(ledgered(store, ledger), shop.skills, policy=one, clock=Ahead()) as ahead,
    ):
        first = asyncio.create_task(engine.run(spec(step("a", "serve")), "first"))
        await until(lambda: shop.served)
        second = asyncio.create_task(ahead.run(spec(step("a", "serve")), "second"))
        await until(lambda: ledger.asked)
        begun = time.monotonic()
        await until(lambda: ledger.asked > 40)
        assert time.monotonic() - begun > 30 * SHORTEST_WAIT / 1e6, "it asks as fast as it can"
        shop.gates.open()
        assert (await soon(first)).success and (await soon(second)).success
