"""How attempts ask: several policies together, names of accounts, and a ledger that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from refold import CallError, RunOwnedError, SkillRegistry, StepContext, WorkflowEngine
from refold.core.errors import StoreRefusedError, StoreUnreachableError
from refold.core.ledger import MILLIONTHS, Answer, Limit, Request
from refold.core.policy.enforcer import PolicyContext, PolicyEnforcer
from refold.eventstore.memory import MemoryStore
from refold.tests.support.policed import decided, ledgered, policy, proved, reserved, spent
from refold.tests.support.random_specs import Gates
from refold.tests.support.workflows import soon, spec, step, until


class Named:
    """A step as policies see it."""

    step_id = "a"
    skill_id = "pay"
    estimated_cost_cents = None


def limits(*policies: Any, **context: Any) -> dict[str, Limit]:
    """What a step of agent Ada must be granted under these policies, by account."""
    result = PolicyEnforcer(policies).check_can_execute(Named(), PolicyContext(**context), "Ada")
    assert result.allowed
    return {limit.account: limit for limit in result.limits}


def test_of_two_policies_with_the_same_limit_the_stricter_counts_in_every_respect() -> None:
    slow = {"limit": "calls", "rate": {"count": 1, "seconds": 2, "burst": 10}, "places": 7, "when_exceeded": "fail"}
    fast = {"limit": "calls", "rate": {"count": 1000, "seconds": 1, "burst": 5}, "places": 9}
    for pair in ((slow, fast), (fast, slow)):
        found = limits(*(policy(str(n), limits=[each]) for n, each in enumerate(pair)))
        assert found["rate/calls"] == Limit("rate/calls", "rate", 1, 5, 2.0, waits=False)
        assert found["places/calls"] == Limit("places/calls", "concurrency", 1, 7, 0.0, waits=False)


def test_of_two_policies_with_the_same_budget_the_smaller_one_counts_and_whoever_says_fail() -> None:
    big = policy("1", budgets=[{"scope": "agent", "cents": 700, "when_exceeded": "fail"}])
    small = policy("2", budgets=[{"scope": "agent", "cents": 7, "when_exceeded": "wait"}])
    for pair in ((big, small), (small, big)):
        (found,) = limits(*pair, cost_cents=2).values()
        assert (found.capacity, found.amount, found.waits) == (7 * MILLIONTHS, 2 * MILLIONTHS, False)


def test_a_key_of_any_text_and_length_makes_a_good_name_and_another_key_another_one() -> None:
    by_key = policy(limits=[{"limit": "k", "per": ["key"], "key": "who", "places": 1}])
    texts = ["a/b", "a%2Fb", "a\x00b", "a\nb", "", "😀" * 50_000, "😀" * 49_999 + "x", "a" * 200, "a" * 201, "a" * 202]
    names = [name for text in texts for name in limits(by_key, inputs={"who": text})]
    assert len(set(names)) == len(texts)
    for name in names:
        assert name.isprintable() and name.count("/") == 2 and len(name.encode()) < 250


async def test_a_step_that_was_granted_before_a_crash_counts_for_those_that_begin_with_it() -> None:
    store, skills, gates = MemoryStore(), SkillRegistry(), Gates()
    called: list[str] = []

    @skills.skill("pay", cost_cents=3)
    async def pay(ctx: StepContext) -> None:
        called.append(ctx.step_id)
        await gates()

    careful = policy(
        rules=[{"rule": "cheap", "max_run_cents": 5}],
        limits=[{"limit": "one", "match": {"step": "granted"}, "places": 1}],
    )
    document = spec(
        step("first", "wait_signal", inputs={"name": "go"}),
        step("other", "pay", depends_on=["first"], on_error="continue"),
        step("granted", "pay"),
    )
    async with WorkflowEngine(store, skills, policy=careful) as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: called == ["granted"])
    with pytest.raises(CallError, match="closed"):
        await run
    async with WorkflowEngine(store, skills, policy=careful) as engine:
        await engine.signal("r", "go")
        gates.open()
        assert (await soon(engine.resume("r"))).success
    refused = [(each.step_id, each.code) for each in decided(store) if each.verdict == "refused"]
    assert refused == [("other", "WORKFLOW_COST_CEILING")]
    assert called == ["granted", "granted"] and await proved(store, skills, "r")


class Moody:
    """A ledger that answers nothing for the streams in `refused`, and nobody while it is `away`."""

    def __init__(self, inner: Any):
        self._inner = inner
        self.refused: set[str] = set()
        self.away = False
        self.calls = 0

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Ledger.ask`."""
        self.calls += 1
        if self.away:
            raise StoreUnreachableError("away")
        if any(each.stream in self.refused for each in requests):
            raise StoreRefusedError("not this one")
        return self._inner.ask(requests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_request_that_the_store_refuses_does_not_keep_the_others_waiting() -> None:
    store, skills = MemoryStore(), SkillRegistry()
    ledger = Moody(store.ledger)
    ledger.refused.add("default/odd")
    paid = policy(budgets=[{"scope": "tenant", "cents": 10}])
    document = spec(step("a", estimated_cost_cents=1))
    async with WorkflowEngine(ledgered(store, ledger), skills, policy=paid) as engine:
        odd = asyncio.create_task(engine.run(document, "odd"))
        await until(lambda: ledger.calls)
        others = [asyncio.create_task(engine.run(document, f"r{n}")) for n in range(3)]
        assert [(await soon(run)).status for run in others] == ["completed"] * 3
        assert not odd.done()
        ledger.refused.clear()
        assert (await soon(odd)).success
    assert spent(store) == 4 and await proved(store, skills, "odd", "r0")


async def test_a_store_that_is_away_is_asked_again_until_it_is_back() -> None:
    store, skills = MemoryStore(), SkillRegistry()
    ledger = Moody(store.ledger)
    ledger.away = True
    async with WorkflowEngine(
        ledgered(store, ledger), skills, policy=policy(budgets=[{"scope": "tenant", "cents": 10}])
    ) as engine:
        run = asyncio.create_task(engine.run(spec(step("a", estimated_cost_cents=1)), "r"))
        await until(lambda: ledger.calls >= 2)
        ledger.away = False
        assert (await soon(run)).success
    assert spent(store) == 1 and not reserved(store)


async def test_who_cannot_go_by_its_policy_leaves_a_run_to_others() -> None:
    store, skills = MemoryStore(), SkillRegistry()
    async with WorkflowEngine(store, skills, policy=policy(sandbox="planner")) as engine:
        await engine.start(spec(step("a")), "r")
    async with WorkflowEngine(store, skills, policy=policy(sandbox="all")) as other:
        with pytest.raises(CallError, match="another content"):
            await other.resume("r")
        async with WorkflowEngine(store, skills) as third:
            try:
                result = await soon(third.resume("r"))
            except RunOwnedError as error:
                raise AssertionError("the lease was not given up") from error
            assert result.success
