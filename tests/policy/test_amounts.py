"""Amounts of money as large as they can be: what is more is refused where it is said, not where it is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold import CallError, Policy, SkillRegistry, SpecError, StepContext, WorkflowEngine, WorkflowSpec
from refold.core.spec import MAX_CENTS
from refold.tests.support.workflows import soon, spec, step

RICH = Policy.parse({"policy": "p", "version": "1", "budgets": [{"scope": "agent", "cents": MAX_CENTS}]})


def test_no_step_can_be_estimated_at_more_than_can_be_counted() -> None:
    WorkflowSpec.parse(spec(step("a", estimated_cost_cents=MAX_CENTS)))
    with pytest.raises(SpecError, match="must be at most"):
        WorkflowSpec.parse(spec(step("a", estimated_cost_cents=MAX_CENTS + 1)))


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_what_an_attempt_charges_can_always_be_counted(store: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue("tmp_path")
    url = request.getfixturevalue("postgres_url") if store == "postgres" else f"sqlite:///{folder / 'refold.db'}"
    skills, refused = SkillRegistry(), list[str]()

    @skills.skill("dear", version="1")
    async def dear(ctx: StepContext) -> None:
        ctx.charge(MAX_CENTS - 1)
        for more in (2, 2.0**53, float("inf"), float("nan")):
            try:
                ctx.charge(more)
            except CallError as error:
                refused.append(str(error))

    async with WorkflowEngine(url, skills, policy=RICH) as engine:
        assert (await soon(engine.run(spec(step("a", "dear")), agent_id="ada"))).status == "completed"
        assert len(refused) == 4
        assert [account.spent for account in engine.store.ledger.accounts()] == [(MAX_CENTS - 1) * 1_000_000]
