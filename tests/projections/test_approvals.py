"""What the projection `approvals` says of runs, and that it says the same however it came to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from refold import ApprovalDecidedError, workflow
from refold.core.runtime.functions.durable import approval
from refold.projections.approval_list import WantedApprovals, approvals, late
from refold.projections.approvals import ApprovalsProjection
from refold.projections.projector import known_projections
from refold.testing import TestEnvironment
from refold.tests.support.grown import named
from refold.tests.support.projected import caught_up, rows_of, wanted_rows
from refold.tests.support.workflows import spec, step

HOUR = 3_600


@workflow("asks")
async def asks() -> Any:
    """Asks twice."""
    await approval("first", ["ada"])
    return await approval("second", ["ada"])


def asking(**inputs: Any) -> dict[str, Any]:
    return spec(step("ask", "approval", inputs={"reason": "?", "approvers": ["ada", "bob"], **inputs}))


@pytest.fixture
async def env() -> AsyncIterator[TestEnvironment]:
    async with TestEnvironment(workflows=[asks]) as env:
        yield env


def the_rows(env: TestEnvironment) -> list[dict[str, Any]]:
    """The rows, caught up."""
    caught_up(env.store, ApprovalsProjection())
    return named(env.store, "approvals")


async def test_a_row_follows_an_approval_from_the_question_to_the_answer(env: TestEnvironment) -> None:
    await env.start(asking(quorum=2, timeout_seconds=10 * HOUR, remind_every_seconds=6 * HOUR), run_id="r")
    (row,) = the_rows(env)
    asked = row["requested_at"]
    assert (row["status"], row["granted"], row["decided_at"], row["next_due"]) == (
        "open",
        0,
        None,
        asked + 6 * HOUR * 1_000_000,
    )
    await env.engine.approvals.decide("r", None, "grant", "bob", "password=hunter2")
    await env.advance("7h")
    (row,) = the_rows(env)
    assert (row["granted"], row["reminded"], row["next_due"]) == (1, 1, row["deadline"])
    assert json.loads(row["approvers"]) == ["ada"] and "hunter2" not in row["said"]
    await env.result("r")
    (row,) = the_rows(env)
    assert (row["status"], row["decided_at"], row["next_due"]) == ("expired", row["deadline"], None)


async def test_a_function_that_asks_twice_has_two_rows(env: TestEnvironment) -> None:
    await env.start(asks, run_id="r")
    await env.engine.approvals.decide("r", None, "grant", "ada")
    await env.settle()
    rows = the_rows(env)
    assert [(row["step_id"], row["status"]) for row in rows] == [("approval#0", "granted"), ("approval#1", "open")]


async def test_what_is_cancelled_with_its_run_is_open_no_more(env: TestEnvironment) -> None:
    for run_id, what in (("spec", asking()), ("code", asks)):
        await env.start(what, run_id=run_id)
        await env.cancel(run_id)
        with pytest.raises(ApprovalDecidedError):
            await env.engine.approvals.decide(run_id, None, "grant", "ada")
    assert [row["status"] for row in the_rows(env)] == ["cancelled", "cancelled"]


async def test_the_list_is_paged_through_and_what_is_late_is_found(
    env: TestEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refold.projections.approval_list._PAGE", 2)
    for number in range(5):
        await env.start(asking(timeout_seconds=(number + 1) * HOUR), run_id=f"r{number}")
    of = caught_up(env.store, ApprovalsProjection()).of
    found = list(approvals(env.store, of, WantedApprovals(open_only=True)))
    assert [each["run_id"] for each in found] == [f"r{number}" for number in range(5)]
    at = env.clock.now()
    assert late(env.store, of, at) == []
    assert late(env.store, of, at + 2 * HOUR * 1_000_000 + 1) == [("default", "r0"), ("default", "r1")]


async def test_the_rows_are_those_of_a_fold_however_the_log_was_cut_into_batches(env: TestEnvironment) -> None:
    escalation = [{"after_seconds": HOUR, "to": ["boss"]}]
    await env.start(asking(quorum=2, escalation=escalation, timeout_seconds=9 * HOUR), run_id="a")
    await env.start(asks, run_id="b")
    await env.engine.approvals.decide("a", None, "delegate", "ada", to="zoe")
    await env.advance("2h")
    await env.engine.approvals.decide("a", None, "grant", "boss")
    await env.engine.approvals.decide("b", None, "grant", "ada")
    await env.cancel("b")
    await env.result("a")
    projection = known_projections()["approvals"]
    for batch in (1, 2, 7):
        caught_up(env.store, projection, batch=batch, cached=1)
        assert rows_of(env.store, "approvals") == wanted_rows(env.store, projection)
