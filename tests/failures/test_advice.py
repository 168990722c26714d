"""What the catalog says to do about a refusal does help."""

from __future__ import annotations

from typing import Any

import pytest

from refold import CallError, WorkflowEngine
from refold.core.failures import FAILURES
from refold.tests.support.provoked_policies import ONE_PLACE, gated_run, policy
from refold.tests.support.workflows import soon, spec, step, topics_of


def says(code: str, *commands: str) -> None:
    assert all(f"refold {each}" in FAILURES[code].suggestion for each in commands)


async def test_a_run_without_budget_is_retried_after_a_top_up() -> None:
    says("BUDGET_EXCEEDED", "budgets top-up ACCOUNT CENTS --reason TEXT", "retry RUN_ID")
    async with WorkflowEngine("memory:") as engine:
        given = policy(budgets=[{"scope": "tenant", "cents": 5}])
        result = await engine.run(spec(step("a", estimated_cost_cents=6)), "r", policy=given)
        assert result.error_code == "BUDGET_EXCEEDED"
        await engine.budgets.top_up("budget/tenant/default/total", 1, "it is urgent", "ada")
        assert (await soon(engine.retry("r", here=True))).success


async def test_a_run_without_a_place_is_retried_when_there_is_one() -> None:
    says("CONCURRENCY_LIMITED", "retry RUN_ID")
    given = policy(limits=[ONE_PLACE])
    async with WorkflowEngine("memory:") as engine:
        async with gated_run(engine, "first", policy=given) as (gate, first):
            assert (await engine.run(spec(step("a")), "r", policy=given)).error_code == "CONCURRENCY_LIMITED"
            gate.set()
            assert (await first).success
        assert (await soon(engine.retry("r", here=True))).success


@pytest.mark.parametrize("limit", [{"rate": {"count": 1, "seconds": 0.1}}, {"places": 1}], ids=["rate", "places"])
async def test_a_limit_that_is_to_be_waited_for_fails_nothing(limit: dict[str, Any]) -> None:
    for code in ("RATE_LIMITED", "CONCURRENCY_LIMITED"):
        assert "with when_exceeded: wait" in FAILURES[code].suggestion
    given = policy(limits=[{"limit": "few", **limit, "when_exceeded": "wait"}])
    async with WorkflowEngine("memory:") as engine:
        assert (await soon(engine.run(spec(*(step(name) for name in "abcd")), policy=given))).success


async def test_an_approval_that_expired_is_asked_for_again() -> None:
    says("APPROVAL_EXPIRED", "retry RUN_ID")
    ask = step("ask", "approval", inputs={"reason": "ship it", "approvers": ["ada"], "timeout_seconds": 0.1})
    async with WorkflowEngine("memory:") as engine:
        assert (await soon(engine.run(spec(ask), "r"))).error_code == "APPROVAL_EXPIRED"
        assert (await soon(engine.retry("r", new_id="s", here=True))).error_code == "APPROVAL_EXPIRED"
        assert "approval.requested" in topics_of(engine.store, "s")


async def test_a_plan_that_was_rejected_cannot_be_retried_and_the_reason_is_told() -> None:
    assert "retry" not in FAILURES["SANDBOX_REJECTED"].suggestion
    async with WorkflowEngine("memory:") as engine:
        await engine.run(spec(step("a", text="cat ../../../../etc/passwd")), "r", source="planner")
        with pytest.raises(CallError, match=r"rejected before its first step: path\.traversal"):
            await engine.retry("r")
