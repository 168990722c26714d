"""Steps that wait for people, on a real engine: who decides, what comes of it, and that the log proves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from refold import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    ApproverUnknownError,
    CallError,
    DelegationRefusedError,
    RunNotFoundError,
    WorkflowEngine,
)
from refold.core.approval_requests import ApprovalRequest
from refold.core.events import ApprovalGranted, ApprovalRequested, MessageRefused, StepCompleted
from refold.core.runtime.wait import Wait
from refold.tests.support.sites import Waits
from refold.tests.support.workflows import events_of, soon, spec, step, until

pytestmark = pytest.mark.timeout(60)

THREE = ["ada", "bob", "eve"]


def asking(**inputs: Any) -> dict[str, Any]:
    """A spec whose first step asks, and whose second one has what came of it."""
    asked = {"reason": "ship it", "approvers": THREE, **inputs}
    return spec(step("ask", "approval", inputs=asked), step("then", x="${ask}", depends_on=["ask"]))


@pytest.fixture
def waits() -> Waits:
    return Waits()


@asynccontextmanager
async def asked(waits: Waits, document: dict[str, Any]) -> AsyncIterator[tuple[WorkflowEngine, asyncio.Task[Any]]]:
    """An engine whose run `r` waits for people."""
    async with waits.engine() as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: "approval.requested" in waits.topics())
        yield engine, run
        if not run.done():
            await engine.cancel("r")
            await soon(run)


async def replays(waits: Waits, document: dict[str, Any]) -> bool:
    """Whether the run proves itself, and comes out the same when it is run again beside its log."""
    async with waits.engine() as engine:
        recorded = await soon(engine.run(document, "r"))
        again = await soon(engine.run(document, "r", replay=True))
    return waits.proved() and again.workflow_hash == recorded.workflow_hash


async def test_a_grant_completes_the_step_and_says_who_and_why(waits: Waits) -> None:
    document = asking(details={"build": 7})
    async with asked(waits, document) as (engine, run):
        assert (await soon(engine.state("r"))).status == "waiting"
        found = await soon(engine.approvals.decide("r", "ask", "grant", "bob", "looks good"))
        assert (found.standing, found.approvers) == ("granted", ("ada", "eve"))
        result = await soon(run)
    given = {"approved": True, "by": ["bob"], "comments": [{"by": "bob", "comment": "looks good"}]}
    assert result.output == {"then": {"x": given}}
    assert waits.topics() == [
        "run.started",
        "step.waiting",
        "approval.requested",
        "approval.granted",
        "step.completed",
        "step.completed",
        "run.completed",
    ]
    requested = events_of(waits.store, "r")[2]
    assert isinstance(requested, ApprovalRequested)
    assert (requested.approvers.value, requested.details.value, requested.deadline) == (THREE, {"build": 7}, None)
    assert await replays(waits, document)


async def test_the_event_of_a_decision_names_its_message_its_step_and_its_author(waits: Waits) -> None:
    async with asked(waits, asking()) as (engine, run):
        await soon(engine.approvals.decide("r", None, "comment", "ada", "who tested it?"))
        await soon(engine.approvals.decide("r", None, "grant", "eve"))
        await soon(run)
    granted = next(event for event in events_of(waits.store, "r") if isinstance(event, ApprovalGranted))
    assert (granted.message, granted.step_id, granted.index, granted.by) == (2, "ask", 0, "eve")


async def test_two_of_three_must_grant_where_the_quorum_is_two(waits: Waits) -> None:
    document = asking(quorum=2)
    async with asked(waits, document) as (engine, run):
        assert (await soon(engine.approvals.decide("r", "ask", "grant", "eve", "fine"))).standing == "open"
        assert (await soon(engine.state("r"))).status == "waiting"
        assert (await soon(engine.approvals.decide("r", "ask", "grant", "ada"))).standing == "granted"
        result = await soon(run)
    assert result.output["then"]["x"]["by"] == ["eve", "ada"]
    assert await replays(waits, document)


async def test_one_rejection_rejects_the_run(waits: Waits) -> None:
    document = asking(quorum=2)
    async with asked(waits, document) as (engine, run):
        await soon(engine.approvals.decide("r", "ask", "grant", "eve"))
        found = await soon(engine.approvals.decide("r", "ask", "reject", "ada", "not on a friday"))
        assert found.standing == "rejected"
        result = await soon(run)
    assert (result.status, result.error_code) == ("rejected", "APPROVAL_REJECTED")
    assert result.message == "ada rejected it: not on a friday"
    assert waits.topics()[-2:] == ["step.failed", "run.rejected"]
    assert await replays(waits, document)


async def test_a_rejection_is_not_tried_again(waits: Waits) -> None:
    document = spec(step("ask", "approval", reason="?", approvers=["ada"], max_retries=3, on_error="continue"))
    async with asked(waits, document) as (engine, run):
        await soon(engine.approvals.decide("r", "ask", "reject", "ada"))
        result = await soon(run)
    assert (result.status, result.steps[0].error_code, result.steps[0].attempts) == (
        "completed",
        "APPROVAL_REJECTED",
        1,
    )
    assert await replays(waits, document)


@pytest.mark.parametrize("limit", ["its own", "the step's"])
async def test_nobody_deciding_until_the_deadline_rejects_the_run(waits: Waits, limit: str) -> None:
    document = asking(timeout_seconds=0.05 if limit == "its own" else 60)
    if limit == "the step's":
        document["steps"][0]["timeout_seconds"] = 0.05
    async with asked(waits, document) as (_, run):
        result = await soon(run)
    assert (result.status, result.error_code) == ("rejected", "APPROVAL_EXPIRED")
    assert waits.topics()[3:] == ["approval.overdue", "approval.expired", "step.failed", "run.rejected"]
    assert await replays(waits, document)


async def test_a_deadline_of_no_time_has_passed_at_once(waits: Waits) -> None:
    async with asked(waits, asking(timeout_seconds=0)) as (_, run):
        assert (await soon(run)).error_code == "APPROVAL_EXPIRED"


async def test_a_decision_that_came_before_the_deadline_counts_though_it_is_taken_after_it(waits: Waits) -> None:
    document = asking(timeout_seconds=2)
    async with waits.engine() as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: "approval.requested" in waits.topics())
        run.cancel()
        await asyncio.wait([run])
    elsewhere = waits.engine()
    async with elsewhere as other:
        await soon(other.approvals.decide("r", "ask", "grant", "ada"))
        requested = events_of(waits.store, "r")[2]
        assert isinstance(requested, ApprovalRequested) and requested.deadline is not None
        deadline = requested.deadline
        await until(lambda: other._services.clock.now() > deadline)  # pyright: ignore[reportPrivateUsage]
        assert (await soon(other.run(document, "r"))).success
    assert waits.proved()


BAD_DECISIONS: list[tuple[str, str | None, str, str, dict[str, Any], type[Exception]]] = [
    ("a stranger", "ask", "grant", "mallory", {}, ApproverUnknownError),
    ("another spelling", "ask", "grant", "Ada", {}, ApproverUnknownError),
    ("nobody", "ask", "grant", "", {}, CallError),
    ("spaces around", "ask", "grant", " ada", {}, CallError),
    ("a control character", "ask", "grant", "ada\x07", {}, CallError),
    ("a long name", "ask", "grant", "a" * 201, {}, CallError),
    ("another step", "then", "grant", "ada", {}, ApprovalNotFoundError),
    ("no such step", "nothing", "grant", "ada", {}, ApprovalNotFoundError),
    ("no such action", "ask", "approve", "ada", {}, CallError),
    ("an action of time", "ask", "escalate", "ada", {}, CallError),
    ("a long comment", "ask", "grant", "ada", {"comment": "x" * 2001}, CallError),
    ("a comment that is no text", "ask", "grant", "ada", {"comment": "\ud800"}, CallError),
    ("an empty comment", "ask", "comment", "ada", {"comment": " "}, CallError),
    ("a stranger's comment", "ask", "comment", "mallory", {"comment": "no"}, ApproverUnknownError),
    ("delegating to nobody", "ask", "delegate", "ada", {}, CallError),
    ("delegating to oneself", "ask", "delegate", "ada", {"to": "ada"}, DelegationRefusedError),
    ("delegating to who may anyway", "ask", "delegate", "ada", {"to": "bob"}, DelegationRefusedError),
    ("granting to somebody", "ask", "grant", "ada", {"to": "zoe"}, CallError),
]


@pytest.mark.parametrize("bad", BAD_DECISIONS, ids=[each[0] for each in BAD_DECISIONS])
async def test_what_cannot_be_decided_is_refused_before_anything_is_written(waits: Waits, bad: Any) -> None:
    _, step_id, action, by, options, expected = bad
    async with asked(waits, asking()) as (engine, _):
        with pytest.raises(expected) as refused:
            await soon(engine.approvals.decide("r", step_id, action, by, **options))
        assert type(refused.value) is expected and str(refused.value)
        assert "default/r/inbox" not in waits.store.heads(["default/r/inbox"])
        assert waits.topics()[-1] == "approval.requested"


async def test_nobody_decides_twice_nor_after_it_was_decided(waits: Waits) -> None:
    async with asked(waits, asking(quorum=2)) as (engine, run):
        await soon(engine.approvals.decide("r", "ask", "grant", "ada"))
        for action in ("grant", "reject"):
            with pytest.raises(ApprovalDecidedError, match="ada has granted"):
                await soon(engine.approvals.decide("r", "ask", action, "ada"))
        await soon(engine.approvals.decide("r", "ask", "grant", "bob"))
        await soon(run)
        for step_id in ("ask", None):
            with pytest.raises(ApprovalDecidedError, match="is granted already"):
                await soon(engine.approvals.decide("r", step_id, "grant", "eve"))
    assert waits.proved()


async def test_the_same_key_again_is_the_same_decision(waits: Waits) -> None:
    async with asked(waits, asking(quorum=2)) as (engine, run):
        for _ in range(3):
            found = await soon(engine.approvals.decide("r", "ask", "grant", "ada", key="k"))
            assert (found.standing, len(found.granted)) == ("open", 1)
        await soon(engine.approvals.decide("r", "ask", "grant", "bob"))
        await soon(run)
        again = await soon(engine.approvals.decide("r", "ask", "grant", "ada", key="k"))
    assert again.standing == "granted"
    assert waits.topics().count("approval.granted") == 2


async def test_a_delegate_decides_in_the_place_of_who_delegated(waits: Waits) -> None:
    document = asking(quorum=2, approvers=["ada", "bob"])
    async with asked(waits, document) as (engine, run):
        decide = engine.approvals.decide
        found = await soon(decide("r", "ask", "delegate", "ada", "on holiday", to="zoe"))
        assert (found.approvers, found.delegated) == (("zoe", "bob"), (("ada", "zoe"),))
        with pytest.raises(ApproverUnknownError, match="ada has delegated it to zoe"):
            await soon(decide("r", "ask", "grant", "ada"))
        with pytest.raises(DelegationRefusedError, match="ada has delegated it themselves"):
            await soon(decide("r", "ask", "delegate", "zoe", to="ada"))
        await soon(decide("r", "ask", "delegate", "zoe", to="kim"))
        with pytest.raises(DelegationRefusedError, match="zoe has delegated"):
            await soon(decide("r", "ask", "delegate", "kim", to="zoe"))
        await soon(decide("r", "ask", "comment", "ada", "kim knows"))
        await soon(decide("r", "ask", "grant", "kim"))
        await soon(decide("r", "ask", "grant", "bob"))
        result = await soon(run)
    assert result.output["then"]["x"]["by"] == ["kim", "bob"]
    assert await replays(waits, document)


async def test_an_escalation_adds_people_who_may_decide(waits: Waits) -> None:
    escalation = [
        {"after_seconds": 0.05, "to": ["boss", "ada"], "note": "ada is slow"},
        {"after_seconds": 0.1, "to": ["owner"]},
    ]
    document = asking(approvers=["ada"], escalation=escalation)
    async with asked(waits, document) as (engine, run):
        with pytest.raises(ApproverUnknownError):
            await soon(engine.approvals.decide("r", "ask", "grant", "owner"))
        await until(lambda: waits.topics().count("approval.escalated") == 2)
        assert (await soon(engine.approvals.list("r")))[0].approvers == ("ada", "boss", "owner")
        await soon(engine.approvals.decide("r", "ask", "grant", "owner"))
        assert (await soon(run)).success
    assert await replays(waits, document)


async def test_reminders_are_events_until_somebody_decides(waits: Waits) -> None:
    document = asking(remind_every_seconds=1)
    async with asked(waits, document) as (engine, run):
        await until(lambda: "approval.reminded" in waits.topics())
        await soon(engine.approvals.decide("r", "ask", "grant", "ada"))
        await soon(run)
    assert await replays(waits, document)


async def test_a_cancel_takes_the_approval_with_it(waits: Waits) -> None:
    async with asked(waits, asking()) as (engine, run):
        await soon(engine.cancel("r"))
        assert (await soon(run)).status == "cancelled"
        assert (await soon(engine.approvals.list("r")))[0].standing == "cancelled"
        with pytest.raises(ApprovalDecidedError, match="cancelled"):
            await soon(engine.approvals.decide("r", None, "grant", "ada"))
    assert waits.proved()


async def test_a_paused_run_hears_decisions_and_goes_on_when_it_is_resumed(waits: Waits) -> None:
    async with asked(waits, asking()) as (engine, run):
        await soon(engine.pause("r"))
        await soon(run)
        assert (await soon(engine.approvals.decide("r", "ask", "grant", "ada"))).standing == "granted"
        assert waits.topics()[-1] == "approval.granted"
        assert (await soon(engine.resume("r"))).success
    assert waits.proved()


async def test_of_several_open_approvals_the_step_must_be_named(waits: Waits) -> None:
    ask = {"reason": "?", "approvers": ["ada"]}
    document = spec(step("a", "approval", **ask), step("b", "approval", **ask))
    async with waits.engine() as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: waits.topics().count("approval.requested") == 2)
        with pytest.raises(CallError, match="name the step: a, b"):
            await soon(engine.approvals.decide("r", None, "grant", "ada"))
        await soon(engine.approvals.decide("r", "b", "grant", "ada"))
        await soon(engine.approvals.decide("r", None, "grant", "ada"))
        assert (await soon(run)).success


async def test_a_run_without_approvals_has_none_to_decide_on(waits: Waits) -> None:
    async with waits.engine() as engine:
        await soon(engine.run(spec(step("a")), "r"))
        with pytest.raises(ApprovalNotFoundError, match="has no approval"):
            await soon(engine.approvals.decide("r", None, "grant", "ada"))
        with pytest.raises(RunNotFoundError):
            await soon(engine.approvals.decide("nothing", None, "grant", "ada"))


async def test_of_all_who_decide_at_once_in_one_process_one_counts(waits: Waits) -> None:
    names = [f"p{n}" for n in range(20)]
    async with asked(waits, asking(approvers=names)) as (engine, run):
        decisions = [engine.approvals.decide("r", "ask", "grant" if n % 2 else "reject", name)
                     for n, name in enumerate(names)]  # fmt: skip
        told = await soon(asyncio.gather(*decisions, return_exceptions=True))
        await soon(run)
    assert sum(not isinstance(each, Exception) for each in told) == 1
    assert sum(isinstance(each, ApprovalDecidedError) for each in told) == 19
    assert not any(isinstance(event, MessageRefused) for event in events_of(waits.store, "r"))
    assert waits.proved()


BAD_REQUESTS: list[tuple[str, dict[str, Any], str]] = [
    ("nobody", {"approvers": []}, "approvers"),
    ("an empty name", {"approvers": [""]}, "approvers/0"),
    ("somebody twice", {"approvers": ["ada", "ada"]}, "twice"),
    ("no reason", {"reason": " "}, "reason"),
    ("a long reason", {"reason": "x" * 2001}, "reason"),
    ("a quorum of none", {"quorum": 0}, "quorum"),
    ("a negative quorum", {"quorum": -1}, "quorum"),
    ("more than there are", {"quorum": 4}, "quorum"),
    ("too many approvers", {"approvers": [f"p{n}" for n in range(101)]}, "approvers"),
    ("a negative deadline", {"timeout_seconds": -1}, "timeout_seconds"),
    ("a deadline beyond all time", {"timeout_seconds": 1e18}, "timeout_seconds"),
    ("reminders without end", {"remind_every_seconds": 0}, "remind_every_seconds"),
    ("reminders in a million years", {"remind_every_seconds": 1e13}, "remind_every_seconds"),
    ("an escalation at once", {"escalation": [{"after_seconds": 0, "to": ["x"]}]}, "after_seconds"),
    ("an escalation to nobody", {"escalation": [{"after_seconds": 1, "to": []}]}, "escalation/0/to"),
    ("an escalation without a time", {"escalation": [{"to": ["x"]}]}, "after_seconds"),
    ("an escalation with more", {"escalation": [{"after_seconds": 1, "to": ["x"], "cc": 1}]}, "cc"),
    ("a time that is none", {"escalation": [{"after_seconds": "soon", "to": ["x"]}]}, "after_seconds"),
    ("a truth as a time", {"escalation": [{"after_seconds": True, "to": ["x"]}]}, "after_seconds"),
    ("names that are none", {"escalation": [{"after_seconds": 1, "to": "boss"}]}, "escalation/0/to"),
    ("one after the deadline", {"timeout_seconds": 5, "escalation": [{"after_seconds": 5, "to": ["x"]}]}, "deadline"),
    (
        "two out of order",
        {"escalation": [{"after_seconds": 2, "to": ["x"]}, {"after_seconds": 1, "to": ["y"]}]},
        "escalation/1",
    ),
    ("too many escalations", {"escalation": [{"after_seconds": n + 1, "to": ["x"]} for n in range(21)]}, "escalation"),
]


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=[each[0] for each in BAD_REQUESTS])
async def test_what_nobody_could_approve_fails_the_step(waits: Waits, bad: tuple[str, dict[str, Any], str]) -> None:
    async with waits.engine() as engine:
        result = await soon(engine.run(asking(**bad[1]), "r"))
    assert result.error_code == "SKILL_INPUT_INVALID" and bad[2] in (result.message or "")
    assert result.status == "failed" and waits.proved()


@pytest.mark.parametrize(
    "wait",
    [
        Wait(approval=ApprovalRequest("?", [])),
        Wait(approval=ApprovalRequest("?", ["ada"], details=object())),
        Wait(approval="ada"),  # pyright: ignore[reportArgumentType]
        Wait(signal="go", approval=ApprovalRequest("?", ["ada"])),
    ],
)
async def test_a_skill_that_asks_for_the_impossible_fails(waits: Waits, wait: Wait) -> None:
    @waits.skills.skill("asks", inline=True)
    def asks() -> Wait:
        return wait

    async with waits.engine() as engine:
        result = await soon(engine.run(spec(step("a", "asks")), "r"))
    assert result.error_code == "SKILL_OUTPUT_INVALID"


async def test_a_skill_of_ones_own_may_ask_people(waits: Waits) -> None:
    @waits.skills.skill("asks", inline=True)
    def asks(amount: int) -> Wait:
        return Wait(approval=ApprovalRequest(f"spend {amount}", ["ada"]))

    document = spec(step("a", "asks", amount=5))
    async with asked(waits, document) as (engine, run):
        await soon(engine.approvals.decide("r", "a", "grant", "ada"))
        assert (await soon(run)).success
    assert isinstance(events_of(waits.store, "r")[-2], StepCompleted)
    assert await replays(waits, document)
