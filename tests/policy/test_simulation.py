"""Simulations: cost, time, critical path, and what policies would say, all without running anything."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from refold import (
    CallError,
    Policy,
    Retry,
    SkillRegistry,
    WorkflowEngine,
    evaluate_plan,
    open_store,
    simulate,
    skill,
)
from refold.core.simulation.simulate import SimulatedStep, Simulation
from refold.eventstore.store import Store
from refold.projections.durations import recorded
from refold.tests.support.workflows import spec, step


def policy(**fields: Any) -> Policy:
    return Policy.parse({"policy": "p", "version": "1", **fields})


def by_id(found: Simulation) -> dict[str, SimulatedStep]:
    return {each.step_id: each for each in found.steps}


def told(found: Simulation) -> list[tuple[str, str, str]]:
    return [(each.outlook, each.code, each.step_id) for each in found.evaluation.findings]


@skill(cost_cents=2, retry=Retry(max_attempts=3, initial_seconds=1, multiplier=2, jitter=0.5), timeout_seconds=10)
def ask() -> dict[str, Any]:
    raise AssertionError("a simulation runs nothing")


@skill(side_effect=True, cost_cents=1)
def pay(cents: int = 1) -> dict[str, Any]:
    raise AssertionError("a simulation runs nothing")


SKILLS = SkillRegistry()
SKILLS.register(ask)
SKILLS.register(pay)


def test_costs_are_what_skills_declare_or_steps_estimate_and_the_worst_counts_every_retry() -> None:
    found = simulate(
        spec(
            step("a", "ask"),
            step("b", "ask", max_retries=0),
            step("c", "echo", estimated_cost_cents=5, max_retries=1),
            step("d", "elsewhere"),
        ),
        skills=None,
    )
    assert found.cost.unpriced_steps == 3, "without its registry nobody knows what `ask` costs"
    found = simulate(
        spec(
            step("a", "ask"), step("b", "ask", max_retries=0), step("c", "echo", estimated_cost_cents=5, max_retries=1)
        ),
        skills=SKILLS,
    )
    assert found.status == "allowed" and found.cost == (9, 18, 0)
    assert [(each.cost_cents, each.worst_cents, each.attempts) for each in found.steps] == [
        (2, 6, 3),
        (2, 2, 1),
        (5, 10, 2),
    ]


def test_the_longest_time_is_all_time_outs_and_pauses_and_none_where_a_step_has_no_limit() -> None:
    found = simulate(spec(step("a", "ask"), step("b", "ask", max_retries=0, depends_on=["a"])), skills=SKILLS)
    assert found.time.longest_seconds == 3 * 10 + (1 + 2) + 10
    assert [each.time_source for each in found.steps] == ["timeout", "timeout"] and found.time.expected_seconds == 20
    unbounded = spec(step("a", "ask"), step("b", "echo"))
    assert simulate(unbounded, skills=SKILLS).time.longest_seconds is None
    assert simulate({**unbounded, "timeout_seconds": 5}, skills=SKILLS).time.longest_seconds == 5


def test_what_nobody_knows_is_said_openly() -> None:
    found = simulate(spec(step("a"), step("b", "sleep", seconds=3, depends_on=["a"])))
    assert by_id(found)["a"].duration_seconds is None and by_id(found)["b"].time_source == "pause"
    assert found.time.unknown_steps == 1 and found.time.expected_seconds == 3 and found.recorded_runs == 0


def test_the_critical_path_is_the_longest_and_levels_and_width_are_counted() -> None:
    found = simulate(
        spec(
            step("root"),
            step("short", "sleep", seconds=1, depends_on=["root"]),
            step("long", "sleep", seconds=5, depends_on=["root"]),
            step("more", "sleep", seconds=2, depends_on=["short"]),
            step("end", depends_on=["more", "long"]),
        )
    )
    assert found.critical_path == ("root", "long", "end") and (found.levels, found.widest) == (4, 2)
    assert by_id(found)["more"].start_seconds == 1 and by_id(found)["end"].start_seconds == 5


def test_at_most_64_steps_of_a_run_go_side_by_side() -> None:
    found = simulate(spec(*(step(f"s{number}", "sleep", seconds=1) for number in range(130))))
    assert found.widest == 130 and found.time.expected_seconds == 3


def test_ceilings_refuse_in_index_order_and_what_is_refused_costs_nothing() -> None:
    steps = [step(name, estimated_cost_cents=cents) for name, cents in (("a", 4), ("b", 9), ("c", 6), ("d", 1))]
    found = simulate(spec(*steps, workflow_ceiling_cents=10))
    assert found.status == "refused"
    assert told(found) == [("refused", "WORKFLOW_COST_CEILING", "b"), ("refused", "WORKFLOW_COST_CEILING", "d")]
    assert found.evaluation.findings[0].pointer == "/steps/1"
    assert [each.outlook for each in found.steps] == [None, "refused", None, "refused"]


def test_what_only_retries_would_exceed_is_possible_and_names_the_attempt() -> None:
    retried = step("a", estimated_cost_cents=3, max_retries=9)
    found = simulate(spec(retried, step_ceiling_cents=10))
    assert found.status == "allowed" and told(found) == [("possible", "STEP_COST_CEILING", "a")]
    assert "attempt 4" in found.evaluation.findings[0].reason
    after = simulate(spec(retried, step("b", estimated_cost_cents=5), workflow_ceiling_cents=31))
    assert told(after) == [("possible", "WORKFLOW_COST_CEILING", "b")]


def test_dependents_of_a_refused_step_that_skips_are_not_judged_and_of_one_that_continues_they_are() -> None:
    deny = policy(rules=[{"rule": "no", "match": {"skill": "ask"}, "deny": "x"}])
    for on_error, expected in (("skip", ["a"]), ("continue", ["a", "c"])):
        steps = [step("a", "ask", on_error=on_error), step("b", depends_on=["a"]), step("c", "ask", depends_on=["b"])]
        assert [each for _, _, each in told(simulate(spec(*steps), policy=deny))] == expected


def test_a_side_effect_without_a_key_is_refused_and_one_that_the_inputs_decide_is_possible() -> None:
    post = step("a", "http_call", inputs={"url": "https://x.example", "method": "POST"})
    get = step("a", "http_call", inputs={"url": "https://x.example"})
    open_ = step("a", "http_call", inputs={"url": "https://x.example", "method": "${inputs.method}"})
    assert told(simulate(spec(post))) == [("refused", "IDEMPOTENCY_KEY_MISSING", "a")]
    assert told(simulate(spec({**post, "idempotency_key": "k"}))) == [] == told(simulate(spec(get)))
    assert told(simulate(spec(open_))) == [("possible", "IDEMPOTENCY_KEY_MISSING", "a")]
    assert told(simulate(spec(step("a", "pay")), skills=SKILLS)) == [("refused", "IDEMPOTENCY_KEY_MISSING", "a")]


def test_unknown_skills_are_faults_where_the_skills_are_given_and_told_otherwise() -> None:
    asked = spec(step("a", "elsewhere"), step("b", "ecko"))
    found = simulate(asked)
    assert found.status == "allowed" and found.evaluation.unknown_skills == ("ecko", "elsewhere")
    found = simulate(asked, skills=SKILLS)
    assert found.status == "invalid"
    assert [problem.pointer for problem in found.evaluation.problems] == ["/steps/0/skill_id", "/steps/1/skill_id"]
    assert found.evaluation.problems[1].fix == "did you mean 'echo'?"


@pytest.mark.parametrize(
    "document", [None, [], {}, {"workflow_type": "t", "steps": []}, "text", 7, {"a": float("nan")}]
)
def test_what_is_no_plan_is_invalid_and_never_raises(document: object) -> None:
    found = simulate(document)
    assert found.status == "invalid" and found.evaluation.problems and found.steps == ()
    assert json.loads(json.dumps(found.to_json()))["status"] == "invalid"


def test_a_planner_must_pass_the_sandbox_others_are_only_told() -> None:
    evil = spec(step("a", "echo", text="'; DROP TABLE users; --"))
    assert evaluate_plan(evil).status == "refused"
    trusted = evaluate_plan(evil, source="")
    assert trusted.allowed and trusted.sandbox.violations
    assert evaluate_plan(evil, source="", policy=policy(sandbox="all")).status == "refused"
    fine = spec(step("a", "echo", text="${inputs.text}"))
    assert evaluate_plan(fine, inputs={"text": "' or 1=1--"}).status == "refused", "inputs may be the planner's, too"


def test_inputs_that_are_still_missing_are_named() -> None:
    found = evaluate_plan(spec(step("a", "echo", text="${inputs.name} ${inputs.given}"), inputs={"given": 1}))
    assert found.allowed and found.missing_inputs == ("name",)


def test_a_budget_is_used_up_step_by_step() -> None:
    budgeted = policy(budgets=[{"scope": "agent", "cents": 5}])
    steps = [step(name, estimated_cost_cents=2, max_retries=1) for name in "abc"]
    found = simulate(spec(*steps), policy=budgeted, agent_id="ada")
    assert told(found) == [("possible", "BUDGET_EXCEEDED", "b"), ("refused", "BUDGET_EXCEEDED", "c")]
    (account,) = found.evaluation.accounts
    assert (account.account, account.left, account.needed, account.worst, account.known) == (
        "budget/agent/ada/total",
        5,
        4,
        8,
        False,
    )
    waiting = policy(budgets=[{"scope": "agent", "cents": 5, "when_exceeded": "wait"}])
    late = simulate(spec(*steps), policy=waiting, agent_id="ada")
    assert late.status == "allowed" and told(late)[-1] == ("delayed", "BUDGET_EXCEEDED", "c")


def test_a_rate_holds_steps_up_and_says_for_how_long() -> None:
    rated = policy(limits=[{"limit": "l", "rate": {"count": 2, "seconds": 10}}])
    found = simulate(spec(*(step(f"s{number}", "sleep", seconds=1) for number in range(4))), policy=rated)
    assert [each.start_seconds for each in found.steps] == [0, 0, 5, 10]
    assert found.steps[3].held_up_by == "rate/l" and found.evaluation.accounts[0].seconds == 10
    assert (found.time.expected_seconds, found.time.without_limits_seconds) == (11, 1)
    assert told(found) == [("delayed", "RATE_LIMITED", "")]


def test_a_rate_that_fails_refuses_what_surely_comes_at_once() -> None:
    strict = policy(limits=[{"limit": "l", "rate": {"count": 2, "seconds": 10}, "when_exceeded": "fail"}])
    assert simulate(spec(*(step(f"s{number}") for number in range(3))), policy=strict).status == "refused"
    chain = [step("s0"), step("s1", depends_on=["s0"]), step("s2", depends_on=["s1"])]
    one_by_one = simulate(spec(*chain), policy=strict)
    assert one_by_one.status == "allowed" and told(one_by_one) == [("possible", "RATE_LIMITED", "")]


def test_places_hold_steps_up_and_none_is_left_behind() -> None:
    two_kinds = policy(
        limits=[
            {"limit": "all", "places": 2},
            {"limit": "odd", "match": {"step": "*[13579]"}, "places": 1},
        ]
    )
    found = simulate(spec(*(step(f"s{number}", "sleep", seconds=1) for number in range(9))), policy=two_kinds)
    running: dict[float, list[str]] = {}
    for each in found.steps:
        assert each.end_seconds == each.start_seconds + 1, f"{each.step_id} never ran"
        running.setdefault(each.start_seconds, []).append(each.step_id)
    assert all(len(names) <= 2 for names in running.values()) and found.time.expected_seconds == 5
    assert all(sum(int(name[1:]) % 2 for name in names) <= 1 for names in running.values())
    assert ("delayed", "CONCURRENCY_LIMITED", "") in told(found)


def test_circumstances_that_cannot_be_are_refused() -> None:
    for ask in (
        lambda: simulate({}, source="elsewhere"),
        lambda: simulate({}, tenant="a/b"),
        lambda: simulate({}, queue="a/b"),
        lambda: simulate({}, policy={"policy": "p"}),
        lambda: simulate({}, policy="none.yaml"),
    ):
        with pytest.raises(CallError):
            ask()


def test_a_plan_of_ten_thousand_steps_is_played_through() -> None:
    steps = [step(f"s{number}", estimated_cost_cents=1, max_retries=999) for number in range(10_000)]
    limited = policy(
        limits=[{"limit": "l", "rate": {"count": 100}, "places": 7}, {"limit": "m", "places": 3}],
        rules=[{"rule": "r", "max_run_cents": 10_000}],
    )
    found = simulate(spec(*steps), policy=limited)
    assert found.cost == (10_000, 10_000_000, 0) and found.time.expected_seconds == pytest.approx(99)
    assert found.status == "allowed" and found.steps[-1].outlook == "possible"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with closing(open_store(f"sqlite:///{tmp_path / 's.db'}")) as opened:
        yield opened


async def test_nothing_is_appended_and_budgets_count_as_they_stand(store: Store) -> None:
    budgeted = policy(budgets=[{"scope": "agent", "cents": 5}])
    paid = spec(step("a", estimated_cost_cents=4))
    async with WorkflowEngine(store, policy=budgeted) as engine:
        assert (await engine.run(paid, "r1", agent_id="ada")).success
        before = store.last_position()
        found = simulate(paid, policy=budgeted, agent_id="ada", store=store)
        assert told(found) == [("refused", "BUDGET_EXCEEDED", "a")]
        assert found.evaluation.accounts[0].left == 1 and found.evaluation.accounts[0].known
        assert simulate(paid, policy=budgeted, agent_id="bob", store=store).status == "allowed"
        assert store.last_position() == before
        assert (await engine.run(paid, "r2", agent_id="ada")).error_code == "BUDGET_EXCEEDED"


def test_a_store_without_projections_knows_no_durations(store: Store) -> None:
    assert recorded(store, "default", "test", {"echo"}) == (0, {}, {})
