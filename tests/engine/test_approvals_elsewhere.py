"""Approvals across processes: many who decide at once, workers that come and go, crashes in between, forks, and a watch
over runs that nobody works on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from refold import StepFailedError, StepTimeoutError, WorkflowEngine, approval, open_store, workflow
from refold.core.approval_messages import ApprovalAct
from refold.core.canonical import Payload
from refold.core.events import ApprovalEscalated, ApprovalGranted, MessageRefused, MessageSent
from refold.core.ids import inbox_of
from refold.core.ports import EMPTY, NEVER, Append, Unit, Wake
from refold.eventstore.sealing import Sealer
from refold.eventstore.store import Store
from refold.projections.approval_watch import ApprovalWatch
from refold.replay.verify import verify_run
from refold.testing import TestEnvironment
from refold.tests.support.functions import Stage
from refold.tests.support.sites import Site
from refold.tests.support.workflows import events_of, send, soon, spec, step, topics_of, until

pytestmark = pytest.mark.timeout(120)

PROCESSES = 4


def asking(**inputs: Any) -> dict[str, Any]:
    asked = {"reason": "ship it", "approvers": ["ada", "bob"], **inputs}
    return spec(step("ask", "approval", inputs=asked), step("then", x="${ask}", depends_on=["ask"]))


@workflow("release")
async def release(quorum: int = 1, seconds: float | None = None) -> Any:
    """Asks, and says what came of it."""
    try:
        asked = await approval(
            "release it",
            ["ada", "bob", "eve"],
            quorum=quorum,
            timeout=seconds,
            escalation=[] if seconds is None or seconds < 3600 else [{"after_seconds": 3600, "to": ["boss"]}],
            details={"build": 7},
        )
    except StepTimeoutError as error:
        return {"late": error.step_code}
    except StepFailedError as error:
        return {"no": error.step_code}
    return asked["by"]


@workflow("strict")
async def strict() -> Any:
    """Lets a rejection end it."""
    return await approval("?", ["ada"])


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    sqlite = request.param == "sqlite"
    site = Site(f"sqlite:///{tmp_path / 'log.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield site
    await site.client.close()
    site.store.close()


def decider(url: str, *names: str) -> subprocess.Popen[str]:
    """A process that waits for its cue to decide in these names."""
    words = [sys.executable, "-P", "-m", "refold.tests.support.deciding_process", url, "r", *names]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def decided_at_once(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What came of it all when every process was given its cue."""
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told: list[str] = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        told += json.loads(out.splitlines()[-1])
    return told


@pytest.mark.parametrize("quorum", [1, 3])
def test_of_four_processes_that_decide_at_once_as_many_count_as_are_wanted(postgres_url: str, quorum: int) -> None:
    names = [f"p{number}" for number in range(PROCESSES * 3)]

    async def ask() -> None:
        async with WorkflowEngine(postgres_url) as engine:
            run = asyncio.create_task(engine.run(asking(approvers=names, quorum=quorum), "r"))
            await until(lambda: "approval.requested" in topics_of(engine.store, "r"))
            run.cancel()
            await asyncio.wait([run])

    asyncio.run(ask())
    each = len(names) // PROCESSES
    told = decided_at_once(
        [decider(postgres_url, *names[number * each : (number + 1) * each]) for number in range(PROCESSES)]
    )
    assert sorted(told) == sorted(["APPROVAL_DECIDED"] * (len(names) - quorum) + ["open"] * (quorum - 1) + ["granted"])
    store = open_store(postgres_url)
    try:
        events = events_of(store, "r")
        assert sum(isinstance(event, ApprovalGranted) for event in events) == quorum
        assert not any(isinstance(event, MessageRefused) for event in events)
        assert verify_run(store, "r").ok
    finally:
        store.close()


async def test_a_run_leaves_memory_while_people_think_and_comes_back(site: Site) -> None:
    await site.client.start(asking(), "r")
    async with site.worker() as worker:
        await until(lambda: "approval.requested" in site.topics() and worker.running == 0)
        assert site.due() == NEVER
        await soon(site.client.approvals.decide("r", None, "grant", "bob"))
        await site.ended("r")
    assert (await site.client.state("r")).status == "completed"
    assert site.proved()


async def test_a_worker_wakes_a_run_for_its_escalation_and_its_deadline(site: Site) -> None:
    document = asking(escalation=[{"after_seconds": 1.3, "to": ["boss"]}], timeout_seconds=2.6)
    await site.client.start(document, "r")
    async with site.worker() as worker:
        await until(lambda: "approval.requested" in site.topics() and worker.running == 0)
        assert site.due() != NEVER
        await until(lambda: site.topics()[-1] == "run.rejected")
    assert site.topics()[3:] == [
        "approval.escalated",
        "approval.overdue",
        "approval.expired",
        "step.failed",
        "run.rejected",
    ]
    assert site.proved()


async def test_a_decision_that_no_process_outlived_counts_when_the_run_is_taken_up_again(site: Site) -> None:
    await site.client.start(asking(), "r")
    async with site.worker() as worker:
        await until(lambda: "approval.requested" in site.topics() and worker.running == 0)
    # The message is stored, and whoever sent it died before it was taken.
    put(site.store, ApprovalAct("ask", "grant", "ada"))
    assert site.topics()[-1] == "approval.requested"
    (found,) = await soon(site.client.approvals.list("r"))
    assert found.standing == "granted"
    async with site.worker():
        await until(lambda: site.topics()[-1] == "run.completed")
    assert site.proved()


def put(store: Store, act: ApprovalAct, at: int = 1) -> None:
    """A message that a process sends that dies right afterwards."""
    inbox = inbox_of("default/r")
    head = store.heads([inbox]).get(inbox, EMPTY)
    message = MessageSent(at, "approval", f"k{head.version}", "", "", act.payload())
    unit = Unit((Append(inbox, head, (message,)),), (Wake("default/r"),))
    assert store.commit([Sealer("sender").seal(unit)], "sender") == [True]


async def test_what_foreign_programs_put_into_the_inbox_is_refused_on_record(site: Site) -> None:
    await site.client.start(asking(), "r")
    async with site.worker() as worker:
        await until(lambda: "approval.requested" in site.topics() and worker.running == 0)
    put(site.store, ApprovalAct("ask", "grant", "mallory"))
    put(site.store, ApprovalAct("nothing", "grant", "ada"))
    put(site.store, ApprovalAct("ask", "seize", "ada"))
    await soon(site.client.approvals.decide("r", "ask", "grant", "ada"))
    refused = [event.reason for event in events_of(site.store, "r") if isinstance(event, MessageRefused)]
    assert [reason.partition(":")[0] for reason in refused] == [
        "APPROVER_UNKNOWN",
        "APPROVAL_NOT_FOUND",
        "INPUT_INVALID",
    ]
    assert site.proved()


async def test_a_killed_owner_changes_nothing_for_those_who_decide(site: Site) -> None:
    async with WorkflowEngine(site.url) as engine:
        run = asyncio.create_task(engine.run(asking(quorum=2), "r"))
        await until(lambda: "approval.requested" in site.topics())
        await soon(engine.approvals.decide("r", "ask", "grant", "ada"))
    await asyncio.wait([run])
    run.exception()
    await soon(site.client.approvals.decide("r", "ask", "grant", "bob"))
    assert site.topics()[-1] == "approval.granted"
    assert (await soon(site.client.resume("r"))).success
    assert site.proved()


async def test_the_watch_escalates_and_ends_the_deadline_of_a_run_that_nobody_works_on(site: Site) -> None:
    document = asking(approvers=["ada"], escalation=[{"after_seconds": 0.1, "to": ["boss"]}], timeout_seconds=3600)
    await asked_and_left(site, document)
    watches = [
        ApprovalWatch(site.store, site.client.approvals, now, late_seconds=0, look_seconds=0.05) for _ in range(2)
    ]
    tasks = [asyncio.create_task(watch.run()) for watch in watches]
    await until(lambda: "approval.escalated" in site.topics())
    for watch in watches:
        watch.drain()
    await soon(asyncio.gather(*tasks))
    escalated = [event for event in events_of(site.store, "r") if isinstance(event, ApprovalEscalated)]
    assert [(event.number, event.message) for event in escalated] == [(1, 1)]
    assert (await soon(site.client.approvals.decide("r", None, "grant", "boss"))).standing == "granted"
    assert site.proved()


async def test_pressing_a_run_again_and_again_changes_nothing_more(site: Site) -> None:
    await asked_and_left(site, asking(timeout_seconds=0.2, remind_every_seconds=1))
    await until(lambda: now() > events_of(site.store, "r")[2].at + 200_000)
    told = await soon(asyncio.gather(*(site.client.approvals.press("r") for _ in range(5))))
    assert sum(told) >= 1 and site.topics()[-1] == "approval.expired"
    assert await soon(site.client.approvals.press("r")) == 0
    assert site.topics().count("approval.expired") == 1
    assert (await soon(site.client.resume("r"))).error_code == "APPROVAL_EXPIRED"
    assert site.proved()


def now() -> int:
    """As the engines of these tests have it."""
    return time.time_ns() // 1000


async def asked_and_left(site: Site, document: dict[str, Any]) -> None:
    """A run that waits for people, and that nobody holds."""
    async with WorkflowEngine(site.url) as engine:
        run = asyncio.create_task(engine.run(document, "r"))
        await until(lambda: "approval.requested" in site.topics())
    await asyncio.wait([run])
    run.exception()


# Functions.


async def decided(stage: Stage, inputs: dict[str, Any], *decisions: tuple[str, str]) -> Any:
    """What a run of `release` returns after these decisions; the log must prove itself, and replay."""
    async with stage.engine() as engine:
        run = asyncio.create_task(engine.run(release, "r", inputs=inputs))
        await until(lambda: "approval.requested" in topics_of(stage.store, "r"))
        for action, by in decisions:
            await soon(engine.approvals.decide("r", None, action, by))
        result = await soon(run)
        await soon(engine.replay("r"))
    assert verify_run(stage.store, "r").ok
    return result.output


async def test_a_function_gets_who_granted_it() -> None:
    assert await decided(Stage(release), {"quorum": 2}, ("grant", "eve"), ("grant", "ada")) == ["eve", "ada"]


async def test_a_function_may_catch_a_rejection_and_a_deadline() -> None:
    assert await decided(Stage(release), {}, ("reject", "eve")) == {"no": "APPROVAL_REJECTED"}
    assert await decided(Stage(release), {"seconds": 0.05}) == {"late": "APPROVAL_EXPIRED"}


async def test_a_rejection_that_a_function_does_not_catch_rejects_its_run() -> None:
    stage = Stage(strict)
    async with stage.engine() as engine:
        run = asyncio.create_task(engine.run(strict, "r"))
        await until(lambda: "approval.requested" in topics_of(stage.store, "r"))
        await soon(engine.approvals.decide("r", "approval#0", "reject", "ada", "no"))
        result = await soon(run)
    assert (result.status, result.error_code) == ("rejected", "APPROVAL_REJECTED")
    assert verify_run(stage.store, "r").ok


async def test_a_function_goes_on_with_its_approval_in_another_engine() -> None:
    stage = Stage(release)
    async with stage.engine() as engine:
        run = asyncio.create_task(engine.run(release, "r", inputs={"quorum": 2}))
        await until(lambda: "approval.requested" in topics_of(stage.store, "r"))
        await soon(engine.approvals.decide("r", None, "grant", "ada"))
    await asyncio.wait([run])
    run.exception()
    async with stage.engine() as other:
        await soon(other.approvals.decide("r", None, "grant", "bob"))
        assert (await soon(other.resume("r"))).output == ["ada", "bob"]
        await soon(other.replay("r"))
    assert verify_run(stage.store, "r").ok


async def test_a_cancelled_function_waits_for_nobody_any_more() -> None:
    stage = Stage(release)
    async with stage.engine() as engine:
        run = asyncio.create_task(engine.run(release, "r"))
        await until(lambda: "approval.requested" in topics_of(stage.store, "r"))
        await soon(engine.cancel("r"))
        assert (await soon(run)).status == "cancelled"
        (found,) = await soon(engine.approvals.list("r"))
        assert found.standing == "cancelled"
    assert verify_run(stage.store, "r").ok


async def test_a_week_of_waiting_passes_in_skipped_time() -> None:
    async with TestEnvironment(workflows=[release]) as env:
        run = await env.start(release, 1, 7 * 86_400, run_id="r")
        await env.advance("2h")
        assert (await env.engine.approvals.list(run))[0].approvers == ("ada", "bob", "eve", "boss")
        assert (await env.result(run)).output == {"late": "APPROVAL_EXPIRED"}
        assert verify_run(env.store, "r").ok


# Forks.


async def test_a_fork_takes_a_granted_approval_over_and_asks_again_for_an_open_one(site: Site) -> None:
    ask = {"reason": "?", "approvers": ["ada"]}
    document = spec(step("one", "approval", inputs=ask), step("two", "approval", inputs=ask, depends_on=["one"]))
    await site.client.start(document, "r")
    async with site.worker():
        await until(lambda: "approval.requested" in site.topics())
        await soon(site.client.approvals.decide("r", "one", "grant", "ada"))
        await until(lambda: site.topics().count("approval.requested") == 2)
        await soon(site.client.fork("r", new_id="f", from_step="two"))
        await until(lambda: "approval.requested" in site.topics("f"))
        assert site.topics("f")[:2] == ["run.started", "step.reused"]
        (open_,) = await soon(site.client.approvals.list("f"))
        assert open_.step_id == "two"
        await soon(site.client.approvals.decide("f", None, "grant", "ada"))
        await until(lambda: site.topics("f")[-1] == "run.completed")
        assert site.topics("r")[-1] == "approval.requested"
    assert site.proved("f") and site.proved("r")


async def test_a_rejected_run_can_be_forked_to_be_asked_again(site: Site) -> None:
    await site.client.start(asking(), "r")
    async with site.worker():
        await until(lambda: "approval.requested" in site.topics())
        await soon(site.client.approvals.decide("r", None, "reject", "ada"))
        await until(lambda: site.topics()[-1] == "run.rejected")
        await soon(site.client.fork("r", new_id="f", from_step="ask"))
        await until(lambda: "approval.requested" in site.topics("f"))
        await soon(site.client.approvals.decide("f", None, "grant", "bob"))
        await until(lambda: site.topics("f")[-1] == "run.completed")
    assert site.proved("f")


async def test_a_message_that_nobody_took_is_part_of_what_the_next_one_is_judged_by(site: Site) -> None:
    await asked_and_left(site, asking(quorum=2))
    put(site.store, ApprovalAct("ask", "grant", "ada"))
    found = await soon(site.client.approvals.decide("r", "ask", "grant", "bob"))
    assert [each.by for each in found.granted] == ["ada", "bob"] and found.standing == "granted"
    send(site.store, "r", "cancel")
    assert (await soon(site.client.approvals.list("r")))[0].standing == "granted"
    assert Payload.of(found.output.value["by"]).value == ["ada", "bob"]
