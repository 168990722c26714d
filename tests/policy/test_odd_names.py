"""Names that no database can hold, and run policies that name others' limits: under them runs end as without."""

from __future__ import annotations

import pytest

from refold import Policy, WorkflowEngine
from refold.tests.support.workflows import soon, spec, step

PAID = Policy.parse({"policy": "p", "version": "1", "budgets": [{"scope": "agent", "cents": 1}]})
SLOW = Policy.parse(
    {
        "policy": "p",
        "version": "1",
        "limits": [{"limit": "l", "rate": {"count": 2, "seconds": 6000}, "when_exceeded": "fail"}],
    }
)


@pytest.mark.parametrize("agent", ["a\0b", "\x7f\n", "a/b", "%2F", "\U0001f600" * 200])
async def test_an_agent_of_any_name_has_a_budget_in_postgresql(postgres_url: str, agent: str) -> None:
    document = spec(step("a", "echo", estimated_cost_cents=1))
    async with WorkflowEngine(postgres_url, policy=PAID) as engine:
        assert (await soon(engine.run(document, agent_id=agent))).status == "completed"
        assert (await soon(engine.run(document, agent_id=agent))).error_code == "BUDGET_EXCEEDED"
        assert (await soon(engine.run(document, agent_id=f"{agent[:-1]}c"))).status == "completed"


async def test_a_run_that_brings_a_faster_limit_of_the_same_name_is_held_to_the_slower_one_too() -> None:
    faster = {"limit": "l", "rate": {"count": 1_000_000, "seconds": 0.001, "burst": 1}, "when_exceeded": "wait"}
    own = {"policy": "mine", "version": "1", "limits": [faster]}
    document = spec(step("a", "echo"))
    async with WorkflowEngine("memory", policy=SLOW) as engine:
        ends = [(await soon(engine.run(document, policy=own))).error_code for _ in range(3)]
        assert ends == [None, None, "RATE_LIMITED"]


async def test_a_run_that_brings_a_slower_limit_of_the_same_name_leaves_the_others_as_fast_as_they_were() -> None:
    slower = {"limit": "l", "rate": {"count": 1, "seconds": 3_000_000_000}}
    own = {"policy": "mine", "version": "1", "limits": [slower]}
    document = spec(step("a", "echo"))
    async with WorkflowEngine("memory", policy=SLOW) as engine:
        assert (await soon(engine.run(document, policy=own))).status == "completed"
        assert (await soon(engine.run(document))).status == "completed"
