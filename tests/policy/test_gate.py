"""What policies make of runs: each rule's refusal, what the log says of it, and that all of it is proved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refold import Failure, SkillRegistry, StepContext, WorkflowEngine, gather, open_store, workflow
from refold.core.canonical import canonical_json
from refold.core.events import PolicyDecided, StepFailed
from refold.core.ledger import MILLIONTHS
from refold.core.limits import Limits
from refold.core.policy.document import Policy
from refold.eventstore.store import Store
from refold.tests.support.policed import (
    cost_in_the_log,
    decided,
    decisions,
    policy,
    proved,
    reserved,
    spent,
    verdicts,
)
from refold.tests.support.workflows import events_of, soon, spec, step, topics_of, until

BUDGET = "budget/tenant/default/total"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = open_store("memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'gate.db'}")
    yield opened
    opened.close()


class Till:
    """Skills that cost something."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.skills = SkillRegistry()

        @self.skills.skill("pay", deterministic=True, cost_cents=3)
        async def pay(ctx: StepContext) -> str:
            self.called.append(ctx.step_id)
            return ctx.idempotency_key

        @self.skills.skill("order", side_effect=True)
        async def order(ctx: StepContext) -> str:
            self.called.append(ctx.step_id)
            return ctx.idempotency_key

        @self.skills.skill("charge", cost_cents=3)
        async def charge(ctx: StepContext, cents: float = 0) -> None:
            self.called.append(ctx.step_id)
            ctx.charge(cents)

        @self.skills.skill("flaky", cost_cents=3)
        async def flaky(ctx: StepContext, good: int = 3) -> int:
            self.called.append(ctx.step_id)
            if ctx.attempt < good:
                raise Failure("SKILL_ERROR", "try again", retryable=True)
            return ctx.attempt

        @self.skills.skill("once", at_most_once=True, cost_cents=3)
        async def once(ctx: StepContext) -> None:
            self.called.append(ctx.step_id)


@pytest.fixture
def till() -> Till:
    return Till()


REFUSALS: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("deny", {"rules": [{"rule": "no", "deny": "nobody may"}]}, step("a", "pay"), "POLICY_REFUSED", "no"),
    (
        "skills that are not allowed",
        {"rules": [{"rule": "few", "allow_skills": ["echo", "ord*"]}]},
        step("a", "pay"),
        "POLICY_REFUSED",
        "few",
    ),
    (
        "a step that costs too much",
        {"rules": [{"rule": "cheap", "max_step_cents": 2}]},
        step("a", "pay"),
        "STEP_COST_CEILING",
        "cheap",
    ),
    (
        "a run that costs too much",
        {"rules": [{"rule": "cheap", "max_run_cents": 2}]},
        step("a", "pay"),
        "WORKFLOW_COST_CEILING",
        "cheap",
    ),
    (
        "no key where a rule wants one",
        {"rules": [{"rule": "keys", "require_idempotency_key": True}]},
        step("a", "pay"),
        "IDEMPOTENCY_KEY_MISSING",
        "keys",
    ),
    (
        "a budget",
        {"budgets": [{"scope": "tenant", "cents": 2}]},
        step("a", "pay"),
        "BUDGET_EXCEEDED",
        "budget",
    ),
    (
        "a rate",
        {"limits": [{"limit": "slow", "rate": {"count": 1, "seconds": 3600}, "when_exceeded": "fail"}]},
        step("a", "pay", depends_on=["before"]),
        "RATE_LIMITED",
        "slow",
    ),
]


@pytest.mark.parametrize(("name", "fields", "refused", "code", "rule"), REFUSALS, ids=[each[0] for each in REFUSALS])
@pytest.mark.parametrize("on_error", ["abort", "continue", "skip"])
async def test_a_refusal_fails_the_step_and_rejects_the_run_or_lets_it_go_on(
    store: Store,
    till: Till,
    name: str,
    fields: dict[str, Any],
    refused: dict[str, Any],
    code: str,
    rule: str,
    on_error: str,
) -> None:
    rules = [{**each, "match": {"step": "a"}} for each in fields.get("rules", ())]
    careful = policy(**{**fields, **({"rules": rules} if rules else {})})
    free = step("before", "echo", say="hello")
    document = spec(
        free, {**refused, "on_error": on_error}, step("after", "echo", depends_on=["a"]), step("beside", "echo")
    )
    if rule == "slow":
        document["steps"][0] = step("before", "pay")
        careful = policy(limits=[{**fields["limits"][0], "match": {"skill": "pay"}}])
    async with WorkflowEngine(store, till.skills, policy=careful) as engine:
        result = await soon(engine.run(document, "r"))
    steps = {each.step_id: each for each in result.steps}
    assert "a" not in till.called and steps["a"].error_code == code and steps["a"].cost_cents == 0
    if on_error == "abort":
        assert (result.status, result.error_code, result.success) == ("rejected", code, False)
        assert topics_of(store, "r")[-1] == "run.rejected"
    else:
        assert result.status == "completed" and topics_of(store, "r")[-1] == "run.completed"
        assert steps["after"].status == ("completed" if on_error == "continue" else "skipped")
    event = next(each for each in decisions(store) if each.step_id == "a")
    assert (event.verdict, event.rule, event.code, event.attempt) == ("refused", rule, code, 1)
    assert event.reason and event.policy == careful.label
    kinds = {"BUDGET_EXCEEDED": ["budget"], "RATE_LIMITED": ["rate"]}.get(code, [])
    assert [hold["kind"] for hold in event.holds.value] == kinds
    failed = next(each for each in events_of(store, "r") if isinstance(each, StepFailed) and each.step_id == "a")
    assert event.reason in failed.message and rule in failed.message
    assert await proved(store, till.skills, "r")


async def test_places_that_are_taken_refuse_where_a_limit_says_fail(store: Store, till: Till) -> None:
    gate = asyncio.Event()

    @till.skills.skill("held")
    async def held() -> None:
        till.called.append("held")
        await gate.wait()

    one = policy(limits=[{"limit": "one", "per": ["workflow"], "places": 1, "when_exceeded": "fail"}])
    async with WorkflowEngine(store, till.skills, policy=one) as engine:
        first = asyncio.create_task(engine.run(spec(step("a", "held")), "first"))
        await until(lambda: till.called)
        second = await soon(engine.run(spec(step("a", "pay")), "second"))
        other = await soon(engine.run(spec(step("a", "pay"), workflow_type="other"), "other"))
        gate.set()
        assert (await soon(first)).success and other.success
    assert (second.status, second.error_code) == ("rejected", "CONCURRENCY_LIMITED")
    (event,) = decisions(store, "second")
    assert event.reason == "places/one/test has 0 left, 1 is asked for"
    assert await proved(store, till.skills, "first", "second", "other")


async def test_what_is_granted_is_recorded_with_the_policy_in_force(store: Store, till: Till) -> None:
    careful = policy(
        budgets=[{"scope": "tenant", "cents": 10}], limits=[{"limit": "l", "places": 2, "rate": {"count": 5}}]
    )
    async with WorkflowEngine(store, till.skills, policy=careful) as engine:
        assert (await engine.run(spec(step("a", "pay")), "r")).success
    (event,) = decisions(store)
    assert (event.verdict, event.code, event.rule, event.reason, event.policy) == ("allowed", "", "", "", careful.label)
    held = {hold["account"]: (hold["kind"], hold["amount"], hold["capacity"]) for hold in event.holds.value}
    assert held == {
        "rate/l": ("rate", 1, 5),
        "places/l": ("concurrency", 1, 2),
        BUDGET: ("budget", 3 * MILLIONTHS, 10 * MILLIONTHS),
    }
    assert spent(store) == 3 and await proved(store, till.skills, "r")


async def test_rules_alone_leave_no_trace_of_what_they_let_through(store: Store, till: Till) -> None:
    async with WorkflowEngine(store, till.skills, policy=policy(rules=[{"rule": "r", "max_run_cents": 9}])) as engine:
        assert (await engine.run(spec(step("a", "pay")), "r")).success
    assert topics_of(store, "r") == ["run.started", "step.completed", "run.completed"]


@pytest.mark.parametrize("whose", ["run", "process"])
async def test_the_policy_of_a_run_and_that_of_the_process_hold_beside_each_other(
    store: Store, till: Till, whose: str
) -> None:
    lenient = policy("lenient", budgets=[{"scope": "tenant", "cents": 100}], rules=[{"rule": "x", "max_run_cents": 50}])
    strict = policy("strict", budgets=[{"scope": "tenant", "cents": 4}])
    process, own = (lenient, strict) if whose == "run" else (strict, lenient)
    async with WorkflowEngine(store, till.skills, policy=process) as engine:
        document = spec(step("a", "pay"), step("b", "pay", depends_on=["a"]))
        result = await soon(engine.run(document, "r", policy=own))
    assert (result.status, result.error_code) == ("rejected", "BUDGET_EXCEEDED")
    assert [each.policy for each in decisions(store)] == [f"{process.label} {own.label}"] * 2
    assert spent(store) == 3 and await proved(store, till.skills, "r")


async def test_a_policy_of_the_run_holds_in_a_process_that_has_none(store: Store, till: Till) -> None:
    own = {"policy": "own", "version": "1", "rules": [{"rule": "no", "deny": "not today"}]}
    async with WorkflowEngine(store, till.skills) as engine:
        assert (await engine.run(spec(step("a", "pay")), "r", policy=own)).status == "rejected"
        assert (await engine.run(spec(step("a", "pay")), "free")).success
    assert [each.policy for each in decisions(store)] == [Policy.parse(own).label]


async def test_a_side_effect_of_a_spec_needs_a_key_and_a_call_of_a_function_has_one(store: Store, till: Till) -> None:
    order = till.skills.get("order")

    @workflow("ordering", version="1")
    async def ordering() -> str:
        return await order()

    till.skills.add_workflow(ordering)
    async with WorkflowEngine(store, till.skills) as engine:
        result = await engine.run(spec(step("a", "order")), "bare")
        assert (result.status, result.error_code) == ("rejected", "IDEMPOTENCY_KEY_MISSING")
        keyed = await engine.run(spec(step("a", "order", idempotency_key="o-${inputs.n}"), inputs={"n": 7}), "keyed")
        assert keyed.output == {"a": "o-7"}
    strict = policy(rules=[{"rule": "keys", "require_idempotency_key": True}])
    async with WorkflowEngine(store, till.skills, policy=strict) as engine:
        called = await engine.run("ordering", "code")
        assert called.success and str(called.output).startswith("code:")
    assert till.called[0] == "a" and len(till.called) == 2
    assert await proved(store, till.skills, "bare", "keyed", "code")


async def test_every_attempt_is_asked_for_and_settled(store: Store, till: Till) -> None:
    careful = policy(budgets=[{"scope": "tenant", "cents": 20}], limits=[{"limit": "l", "places": 1}])
    document = spec(step("a", "flaky", max_retries=4, retry={"initial_seconds": 0}))
    async with WorkflowEngine(store, till.skills, policy=careful) as engine:
        result = await soon(engine.run(document, "r"))
    assert result.success and result.steps[0].attempts == 3
    assert [(each.attempt, each.verdict) for each in decided(store)] == [(1, "allowed"), (2, "allowed"), (3, "allowed")]
    assert spent(store) == cost_in_the_log(store, "r") == 9 and await proved(store, till.skills, "r")


async def test_a_budget_that_ends_between_attempts_refuses_the_next_one(store: Store, till: Till) -> None:
    document = spec(step("a", "flaky", max_retries=4, retry={"initial_seconds": 0}))
    async with WorkflowEngine(store, till.skills, policy=policy(budgets=[{"scope": "tenant", "cents": 7}])) as engine:
        result = await soon(engine.run(document, "r"))
    assert (result.status, result.error_code) == ("rejected", "BUDGET_EXCEEDED")
    assert [(each.attempt, each.verdict) for each in decided(store)] == [(1, "allowed"), (2, "allowed"), (3, "refused")]
    assert decisions(store)[-1].reason == f"{BUDGET} has 1 cents left, 3 cents is asked for"
    assert spent(store) == 6 and await proved(store, till.skills, "r")


async def test_what_a_skill_says_that_it_cost_is_what_counts(store: Store, till: Till) -> None:
    careful = policy(budgets=[{"scope": "tenant", "cents": 10}])
    async with WorkflowEngine(store, till.skills, policy=careful) as engine:
        assert (await engine.run(spec(step("a", "charge", cents=0.25)), "less")).cost_cents == 0.25
        assert spent(store) == 0.25 and not reserved(store)
        assert (await engine.run(spec(step("a", "charge", cents=12.5)), "more")).success
        assert spent(store) == 12.75
        refused = await engine.run(spec(step("a", "charge", cents=0)), "none")
    assert refused.error_code == "BUDGET_EXCEEDED" and "has 0 cents left" in decisions(store, "none")[0].reason
    assert spent(store) == cost_in_the_log(store, "less", "more", "none")
    assert await proved(store, till.skills, "less", "more", "none")


async def test_a_wait_holds_nothing_while_it_waits(store: Store, till: Till) -> None:
    careful = policy(budgets=[{"scope": "tenant", "cents": 10}], limits=[{"limit": "l", "places": 1}])
    document = spec(step("a", "wait_signal", inputs={"name": "go"}, estimated_cost_cents=2), step("b", "pay"))
    async with WorkflowEngine(store, till.skills, policy=careful) as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: till.called and "step.waiting" in topics_of(store, "r") and not reserved(store))
        await engine.signal("r", "go")
        assert (await soon(run)).success
    assert spent(store) == cost_in_the_log(store, "r") == 5 and await proved(store, till.skills, "r")


async def test_an_at_most_once_step_is_granted_before_its_start_is_recorded(store: Store, till: Till) -> None:
    careful = policy(budgets=[{"scope": "tenant", "cents": 5}])
    async with WorkflowEngine(store, till.skills, policy=careful) as engine:
        assert (await engine.run(spec(step("a", "once")), "r")).success
        assert (await engine.run(spec(step("a", "once")), "s")).error_code == "BUDGET_EXCEEDED"
    assert topics_of(store, "r")[1:4] == ["policy.decided", "step.started", "step.completed"]
    assert topics_of(store, "s")[1:] == ["policy.decided", "step.failed", "run.rejected"]
    assert till.called == ["a"] and await proved(store, till.skills, "r", "s")


async def test_more_steps_than_may_run_at_a_time_are_all_asked_for(store: Store, till: Till) -> None:
    careful = policy(budgets=[{"scope": "tenant", "cents": 45}], limits=[{"limit": "l", "places": 3}])
    document = spec(*(step(f"s{n}", "pay", on_error="continue") for n in range(20)))
    async with WorkflowEngine(store, till.skills, policy=careful, limits=Limits(parallel_steps=4)) as engine:
        result = await soon(engine.run(document, "r"))
    assert result.status == "completed" and len(till.called) == 15 and spent(store) == 45
    assert sum(each.error_code == "BUDGET_EXCEEDED" for each in result.steps) == 5
    assert await proved(store, till.skills, "r")


async def test_calls_of_functions_are_under_policies_too(store: Store, till: Till) -> None:
    pay, flaky = till.skills.get("pay"), till.skills.get("flaky")

    @workflow("shopping", version="1")
    async def shopping(times: int) -> list[str]:
        said: list[str] = []
        for _ in range(times):
            try:
                await gather(pay(), pay())
                said.append("paid")
            except Failure as error:
                said.append(error.step_code)
        return said

    till.skills.add_workflow(shopping)
    careful = policy(
        budgets=[{"scope": "workflow", "name": "shopping", "cents": 9}],
        limits=[{"limit": "l", "per": ["agent", "key"], "key": "times", "places": 1}],
    )
    async with WorkflowEngine(store, till.skills, policy=careful) as engine:
        result = await soon(engine.run("shopping", "r", inputs={"times": 2}, agent_id="Ada"))
    assert flaky is not None and result.output == ["paid", "BUDGET_EXCEEDED"]
    assert [each.name for each in store.ledger.accounts("places/")] == ["places/l/Ada/2"]
    assert spent(store) == 9 and await proved(store, till.skills, "r")


@pytest.mark.parametrize("agent", ["", "/", "%", "a b", "☂", "x" * 200])
async def test_whatever_an_agent_is_called_its_budget_is_counted_and_can_be_topped_up(
    store: Store, till: Till, agent: str
) -> None:
    poor = policy(budgets=[{"scope": "agent", "cents": 4}])
    async with WorkflowEngine(store, till.skills, policy=poor) as engine:
        result = await engine.run(spec(step("a", "pay"), step("b", "pay", depends_on=["a"])), "r", agent_id=agent)
        assert result.error_code == "BUDGET_EXCEEDED"
        (account,) = store.ledger.accounts()
        await engine.budgets.top_up(account.name, 2, "more", "Ada")
        assert (await engine.run(spec(step("a", "pay")), "s", agent_id=agent)).success
    assert spent(store) == 6 and await proved(store, till.skills, "r", "s")


async def test_inputs_of_any_text_make_accounts_on_every_store(store: Store, till: Till, postgres_url: str) -> None:
    by_key = policy(limits=[{"limit": "k", "per": ["key", "agent"], "key": "who", "places": 1}])
    elsewhere = open_store(postgres_url)
    for each in (store, elsewhere):
        async with WorkflowEngine(each, till.skills, policy=by_key) as engine:
            for number, text in enumerate(("a\x00b", "😀" * 5000, "'; DROP TABLE ledger_holds; --", "")):
                document = spec(step("a", "pay"), inputs={"who": text})
                assert (await soon(engine.run(document, f"r{number}", agent_id="😀\x00" * 100))).success
        assert len(each.ledger.accounts()) == 4
        assert await proved(each, till.skills, "r0", "r1", "r2", "r3")
    elsewhere.close()


async def test_the_same_run_has_the_same_hash_under_any_policy_that_lets_it_through(till: Till) -> None:
    hashes: set[str | None] = set()
    for careful in (None, policy(budgets=[{"scope": "tenant", "cents": 99}], limits=[{"limit": "l", "places": 1}])):
        async with WorkflowEngine("memory:", till.skills, policy=careful) as engine:
            document = spec(step("a", "pay"), step("b", "pay"), step("c", "pay", depends_on=["a", "b"]))
            hashes.add((await engine.run(document, "r", 7)).workflow_hash)
    assert len(hashes) == 1


async def test_every_decision_is_canonical_and_names_what_decided(store: Store, till: Till) -> None:
    deny = policy(rules=[{"rule": "no", "match": {"step": "b"}, "deny": "schließlich ☂"}])
    async with WorkflowEngine(store, till.skills, policy=deny) as engine:
        await engine.run(spec(step("b", "pay", on_error="continue"), step("c", "pay")), "r")
    assert verdicts(store) == [("b", "refused")]
    for event in events_of(store, "r"):
        if isinstance(event, PolicyDecided):
            assert canonical_json(event.holds.value) == b"[]" and event.reason == "schließlich ☂"
