"""The enforcer: each refusal with its code, in which order reasons count, and what must be granted first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from refold import (
    BudgetExceededError,
    Policy,
    PolicyCheckResult,
    PolicyContext,
    PolicyEnforcer,
    PolicyViolationError,
    StepDescriptor,
)
from refold.core.ledger import Limit
from refold.core.policy.enforcer import period_of


def policy(**fields: Any) -> Policy:
    return Policy.parse({"policy": "p", "version": "1", **fields})


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def check(
    *policies: Policy, skill: str = "ask", step: str = "s", agent: str | None = "ada", **context: Any
) -> PolicyCheckResult:
    described = StepDescriptor(step_id=step, skill_id=skill, estimated_cost_cents=context.pop("estimate", None))
    context.setdefault("at", at("2026-03-31T12:00:00"))
    return PolicyEnforcer(policies).check_can_execute(described, PolicyContext(**context), agent)


def rules(*given: dict[str, Any]) -> Policy:
    return policy(rules=[{"rule": f"r{number}", **each} for number, each in enumerate(given)])


def limits(result: PolicyCheckResult) -> dict[str, Limit]:
    assert result.allowed
    return {limit.account: limit for limit in result.limits}


def test_without_policies_everything_goes_and_nothing_must_be_granted() -> None:
    assert check() == PolicyCheckResult(True)


@pytest.mark.parametrize(
    ("rule", "context", "code", "reason"),
    [
        ({"deny": "not now"}, {}, "POLICY_REFUSED", "not now"),
        ({"allow_skills": ["echo", "h*"]}, {}, "POLICY_REFUSED", "skill 'ask' is none of those allowed"),
        ({"require_idempotency_key": True}, {"keyed": False}, "IDEMPOTENCY_KEY_MISSING", "declares no"),
        ({"max_step_cents": 5}, {"cost_cents": 3, "step_spent_cents": 3}, "STEP_COST_CEILING", "the step has cost 3"),
        ({"max_run_cents": 5}, {"cost_cents": 3, "spent_cents": 3}, "WORKFLOW_COST_CEILING", "3 more would exceed 5"),
    ],
)
def test_each_thing_that_a_rule_can_refuse_has_its_code(
    rule: dict[str, Any], context: dict[str, Any], code: str, reason: str
) -> None:
    refused = check(rules(rule), **context)
    assert (refused.allowed, refused.code, refused.rule, refused.limits) == (False, code, "r0", ())
    assert reason in refused.reason and refused.policy.startswith("p#1@")
    with pytest.raises(PolicyViolationError):
        refused.raise_if_refused()


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({"stopped": "fire"}, "EMERGENCY_STOP"),
        ({"step_ceiling_cents": 5, "cost_cents": 3, "step_spent_cents": 2.5}, "STEP_COST_CEILING"),
        ({"workflow_ceiling_cents": 5, "cost_cents": 3, "spent_cents": 2.5}, "WORKFLOW_COST_CEILING"),
        ({"effect": True, "keyed": False}, "IDEMPOTENCY_KEY_MISSING"),
    ],
)
def test_what_is_built_in_refuses_without_a_rule(context: dict[str, Any], code: str) -> None:
    assert (check(**context).code, check(**context).rule) == (code, "")


def test_what_costs_exactly_as_much_as_a_ceiling_allows_may_run() -> None:
    exact: dict[str, Any] = {"cost_cents": 3, "spent_cents": 2, "step_spent_cents": 2}
    assert check(rules({"max_step_cents": 5, "max_run_cents": 5}), **exact).allowed
    assert check(workflow_ceiling_cents=5, step_ceiling_cents=5, **exact).allowed
    assert not check(workflow_ceiling_cents=4.999999, **exact).allowed


def test_three_times_a_tenth_of_a_cent_is_not_more_than_three_tenths() -> None:
    tenths: dict[str, Any] = {"cost_cents": 0.1, "spent_cents": 0.1 + 0.1, "step_spent_cents": 0.1 + 0.1}
    assert check(rules({"max_step_cents": 0.3, "max_run_cents": 0.3}), **tenths).allowed
    assert check(workflow_ceiling_cents=0.3, step_ceiling_cents=0.3, **tenths).allowed


def test_a_ceiling_of_nothing_allows_what_costs_nothing() -> None:
    assert check(rules({"max_step_cents": 0})).allowed
    assert check(rules({"max_step_cents": 0}), cost_cents=0.000001).code == "STEP_COST_CEILING"


def test_the_cost_is_what_is_known_else_what_the_step_estimates_else_nothing() -> None:
    ceiling = rules({"max_step_cents": 5})
    assert not check(ceiling, estimate=6).allowed
    assert check(ceiling, estimate=6, cost_cents=1).allowed
    assert check(ceiling).allowed


def test_the_first_rule_that_refuses_decides_and_what_is_built_in_comes_first() -> None:
    two = rules({"allow_skills": ["echo"]}, {"deny": "second"})
    assert check(two).rule == "r0"
    assert check(two, skill="echo").rule == "r1"
    assert check(two, stopped="fire").code == "EMERGENCY_STOP"
    assert check(rules({"deny": "x", "max_step_cents": 0}), cost_cents=1).code == "POLICY_REFUSED"


def test_a_rule_is_only_for_steps_that_fit_all_of_its_patterns() -> None:
    only = rules({"match": {"skill": ["ask", "tell*"], "tenant": "acme"}, "deny": "x"})
    assert not check(only, tenant="acme").allowed
    assert not check(only, skill="tell_all", tenant="acme").allowed
    assert check(only, skill="asks", tenant="acme").allowed
    assert check(only, tenant="Acme").allowed


@pytest.mark.parametrize(
    ("field", "value", "other", "context"),
    [
        ("step", "s?", "s??", {}),
        ("workflow", "order*", "Order*", {"workflow_type": "order_now"}),
        ("queue", "fast", "slow", {"queue": "fast"}),
        ("source", "planner", "api", {"source": "planner"}),
        ("side_effect", True, False, {"side_effect": True}),
    ],
)
def test_every_field_of_a_match_counts(field: str, value: Any, other: Any, context: dict[str, Any]) -> None:
    assert not check(rules({"match": {field: value}, "deny": "x"}), step="s1", **context).allowed
    assert check(rules({"match": {field: other}, "deny": "x"}), step="s1", **context).allowed


def test_a_run_without_an_agent_fits_no_pattern_of_agents_but_the_star() -> None:
    assert check(rules({"match": {"agent": "a*"}, "deny": "x"}), agent=None).allowed
    assert not check(rules({"match": {"agent": "*"}, "deny": "x"}), agent=None).allowed
    assert check(policy(budgets=[{"scope": "agent", "cents": 1}]), agent=None).limits == ()


def test_a_pattern_of_many_stars_is_matched_in_no_time() -> None:
    hostile = rules({"match": {"agent": "*a" * 99 + "b"}, "deny": "x"})
    assert check(hostile, agent="a" * 200).allowed


def test_a_rate_is_a_bucket_of_its_burst_whose_tokens_come_back_evenly() -> None:
    rated = policy(limits=[{"limit": "l", "rate": {"count": 50, "seconds": 60}}])
    assert limits(check(rated)) == {"rate/l": Limit("rate/l", "rate", 1, 50, 1.2, True)}
    burst = policy(limits=[{"limit": "l", "rate": {"count": 1, "burst": 9}, "when_exceeded": "fail", "places": 2}])
    assert limits(check(burst)) == {
        "rate/l": Limit("rate/l", "rate", 1, 9, 1.0, False),
        "places/l": Limit("places/l", "concurrency", 1, 2, 0.0, False),
    }


def test_a_limit_is_counted_apart_by_its_dimensions_in_their_order() -> None:
    apart = policy(
        limits=[
            {"limit": "l", "per": ["tenant", "agent", "workflow", "skill", "queue", "key"], "key": "k", "places": 1}
        ]
    )
    given = {"tenant": "t", "workflow_type": "w", "queue": "q"}
    assert list(limits(check(apart, inputs={"k": "v"}, **given))) == ["places/l/t/ada/w/ask/q/v"]
    assert list(limits(check(apart, agent=None, **given))) == ["places/l/t/null/w/ask/q/null"]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        (7, "7"),
        ({"b": 1, "a": [True]}, '{"a":[true],"b":1}'),
        ("a\0b\n", "a%00b%0A"),
        ("x" * 200, "x" * 200),
    ],
)
def test_the_value_of_a_key_is_a_part_of_the_name_that_no_slash_can_leave(value: Any, part: str) -> None:
    keyed = policy(limits=[{"limit": "l", "per": "key", "key": "k", "places": 1}])
    assert list(limits(check(keyed, inputs={"k": value}))) == [f"places/l/{part}"]


@pytest.mark.parametrize("long", ["x" * 500, "/" * 67, "\U0001f600" * 51, "%" * 100])
def test_long_names_that_differ_at_their_end_alone_have_accounts_of_their_own(long: str) -> None:
    keyed = policy(limits=[{"limit": "l", "per": "key", "key": "k", "places": 1}])
    one, other = (next(iter(limits(check(keyed, inputs={"k": long + end})))) for end in "ab")
    assert one != other
    assert len(one.encode()) <= len("places/l/") + 200
    taken = next(iter(limits(check(keyed, inputs={"k": one.rpartition("/")[2]}))))
    assert taken != one, "a name that looks like the account of another one is not that account"


def test_a_refusal_names_the_limit_as_the_policy_does() -> None:
    enforcer = PolicyEnforcer(policy(limits=[{"limit": "a/b", "places": 1}]))
    account = enforcer.applying(StepDescriptor(step_id="s", skill_id="ask"), PolicyContext()).limits[0].account
    assert (account, enforcer.rule_of(account)) == ("places/a%2Fb", "a/b")


def test_the_policy_of_a_run_counts_apart_under_the_names_of_others_limits() -> None:
    ours = policy(limits=[{"limit": "l", "rate": {"count": 3, "seconds": 600}}])
    faster = policy(limits=[{"limit": "l", "rate": {"count": 1_000_000, "seconds": 0.001, "burst": 1}}])
    enforcer = PolicyEnforcer(ours, faster)
    first, second = enforcer.check_can_execute(StepDescriptor(step_id="s", skill_id="ask"), PolicyContext()).limits
    assert first == Limit("rate/l", "rate", 1, 3, 200.0, waits=True)
    assert (second.account, second.capacity) == (f"rate/l%~{faster.sha256[:16]}", 1)
    assert enforcer.rule_of(second.account) == "l"


def test_the_first_budget_of_a_scope_that_fits_counts_and_each_scope_has_its_own() -> None:
    budgets = policy(
        budgets=[
            {"scope": "agent", "name": "a*", "cents": 7},
            {"scope": "agent", "cents": 1},
            {"scope": "tenant", "cents": 9, "when_exceeded": "wait"},
            {"scope": "workflow", "name": "other", "cents": 1},
        ]
    )
    assert limits(check(budgets, cost_cents=2.5)) == {
        "budget/agent/ada/total": Limit("budget/agent/ada/total", "budget", 2_500_000, 7_000_000),
        "budget/tenant/default/total": Limit("budget/tenant/default/total", "budget", 2_500_000, 9_000_000, waits=True),
    }
    assert limits(check(budgets, agent="bob"))["budget/agent/bob/total"].capacity == 1_000_000


@pytest.mark.parametrize(
    ("moment", "month", "day"),
    [
        ("2026-01-31T23:59:59.999999", "2026-01", "2026-01-31"),
        ("2026-02-01T00:00:00", "2026-02", "2026-02-01"),
        ("2026-12-31T23:59:59.999999", "2026-12", "2026-12-31"),
        ("2027-01-01T00:00:00", "2027-01", "2027-01-01"),
        ("2028-02-29T12:00:00", "2028-02", "2028-02-29"),
        ("2028-03-01T00:00:00", "2028-03", "2028-03-01"),
        ("2026-03-29T01:30:00", "2026-03", "2026-03-29"),
    ],
)
def test_months_and_days_of_budgets_begin_and_end_in_utc(moment: str, month: str, day: str) -> None:
    assert (period_of("month", at(moment)), period_of("day", at(moment))) == (month, day)
    assert period_of("total", at(moment)) == "total"
    daily = policy(budgets=[{"scope": "agent", "cents": 1, "period": "day"}])
    assert list(limits(check(daily, at=at(moment)))) == [f"budget/agent/ada/{day}"]


def test_of_two_policies_the_smaller_limit_counts_and_both_are_named() -> None:
    def both(first: int, second: int) -> dict[str, Limit]:
        made = [
            Policy.parse({"policy": name, "version": "1", "budgets": [{"scope": "agent", "cents": cents}]})
            for name, cents in (("a", first), ("b", second))
        ]
        result = check(*made)
        assert result.policy == f"{made[0].label} {made[1].label}"
        return limits(result)

    assert both(7, 3)["budget/agent/ada/total"].capacity == 3_000_000
    assert both(3, 7)["budget/agent/ada/total"].capacity == 3_000_000


def test_a_second_policy_can_only_refuse_more() -> None:
    deny, allow = rules({"deny": "x"}), rules({"allow_skills": ["*"]})
    assert not check(deny, allow).allowed and not check(allow, deny).allowed


def test_a_refusal_over_money_has_an_error_of_its_own() -> None:
    with pytest.raises(BudgetExceededError, match="nothing left"):
        PolicyCheckResult(False, "BUDGET_EXCEEDED", "budget", "nothing left").raise_if_refused()
    PolicyCheckResult(True).raise_if_refused()


def test_an_account_names_the_limit_that_it_is_of() -> None:
    enforcer = PolicyEnforcer()
    assert enforcer.rule_of("budget/agent/ada/2026-01") == "budget"
    assert (enforcer.rule_of("rate/calls/t"), enforcer.rule_of("places/calls")) == ("calls", "calls")


def test_what_applies_is_told_whatever_it_says() -> None:
    made = policy(
        rules=[
            {"rule": "a", "match": {"skill": "ask"}, "deny": "x"},
            {"rule": "b", "match": {"skill": "y"}, "deny": "x"},
        ],
        limits=[{"limit": "l", "places": 1}],
    )
    step = StepDescriptor(step_id="s", skill_id="ask")
    found = PolicyEnforcer(made).applying(step, PolicyContext())
    assert [rule.rule for rule in found.rules] == ["a"] and [limit.account for limit in found.limits] == ["places/l"]


def test_an_agent_has_a_budget_for_each_period() -> None:
    budgets = [{"scope": "agent", "cents": 10, "period": "day"}, {"scope": "agent", "cents": 100, "period": "month"}]
    policy = Policy.parse({"policy": "p", "version": "1", "budgets": budgets})
    checked = PolicyEnforcer(policy).check_can_execute(
        StepDescriptor(step_id="a", skill_id="echo"), PolicyContext(at=1_795_000_000_000_000), "bob"
    )
    assert [limit.account for limit in checked.limits] == ["budget/agent/bob/2026-11-18", "budget/agent/bob/2026-11"]
