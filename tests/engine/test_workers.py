"""Workers: they take up recorded runs, let go of those that wait, share the work, and survive one another."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from refold import SkillRegistry, Worker, open_store
from refold.core.events import StepCompleted
from refold.core.ports import EMPTY, NEVER, Head, Record, Wake
from refold.eventstore.sealing import SealedAppend, SealedUnit
from refold.eventstore.store import Store
from refold.tests.support.random_specs import Gates
from refold.tests.support.sites import Outage, Site, Through
from refold.tests.support.units import Writer
from refold.tests.support.workflows import events_of, soon, spec, step, until

pytestmark = pytest.mark.timeout(60)

CHAIN = spec(step("a", "gated", name="a"), step("b", "gated", name="b", depends_on=["a"]))


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    sqlite = request.param == "sqlite"
    site = Site(f"sqlite:///{tmp_path / 'log.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield site
    await site.client.close()
    site.store.close()


async def test_a_recorded_run_is_taken_up_and_ended(site: Site) -> None:
    assert (await site.client.start(spec(step("a", x=1)), "r")).status == "running"
    async with site.worker():
        await site.ended("r")
    assert (await site.client.state("r")).status == "completed"
    assert site.store.dispatch.lease("default/r") is None
    assert site.proved()


async def test_a_run_leaves_memory_while_it_sleeps_and_comes_back(site: Site) -> None:
    await site.client.start(spec(step("nap", "sleep", seconds=1.6)), "r")
    async with site.worker() as worker:
        await until(lambda: "step.waiting" in site.topics() and worker.running == 0)
        row = site.store.dispatch.lease("default/r")
        assert row is not None and row.owner is None
        await site.ended("r")
    assert site.topics() == ["run.started", "step.waiting", "step.completed", "run.completed"]
    assert site.proved()


async def test_a_run_leaves_memory_while_it_waits_for_a_signal_and_comes_back(site: Site) -> None:
    await site.client.start(spec(step("ask", "wait_signal", name="go")), "r")
    async with site.worker() as worker:
        await until(lambda: "step.waiting" in site.topics() and worker.running == 0)
        assert site.due() == NEVER
        await soon(site.client.signal("r", "go", {"n": 1}))
        await site.ended("r")
    assert (await site.client.run(spec(step("ask", "wait_signal", name="go")), "r")).output == {"ask": {"n": 1}}
    assert site.proved()


async def test_a_run_leaves_memory_between_attempts_that_lie_far_apart(site: Site) -> None:
    @site.skills.skill("fail_once", inline=True)
    def fail_once() -> str:
        site.started.append("attempt")
        if len(site.started) == 1:
            raise ValueError("not yet")
        return "done"

    retry = {"initial_seconds": 1.6, "jitter": 0}
    await site.client.start(spec(step("a", "fail_once", max_retries=1, retry=retry)), "r")
    async with site.worker() as worker:
        await until(lambda: "step.attempt_failed" in site.topics() and worker.running == 0)
        assert site.started == ["attempt"]
        await site.ended("r")
    assert site.topics()[-1] == "run.completed" and site.proved()


async def test_a_parked_run_times_out(site: Site) -> None:
    await site.client.start(spec(step("ask", "wait_signal", name="go"), timeout_seconds=1.6), "r")
    async with site.worker() as worker:
        await until(lambda: "step.waiting" in site.topics() and worker.running == 0)
        await site.ended("r")
    assert site.topics()[-1] == "run.timed_out" and site.proved()


async def test_a_parked_run_is_cancelled_paused_and_resumed(site: Site) -> None:
    for run_id in ("c", "r"):
        await site.client.start(spec(step("ask", "wait_signal", name="go")), run_id)
    async with site.worker() as worker:
        await until(
            lambda: "step.waiting" in site.topics("c") and "step.waiting" in site.topics() and not worker.running
        )
        await soon(site.client.cancel("c"))
        await soon(site.client.pause("r"))
        await site.ended("c")
        await until(lambda: "run.paused" in site.topics())
        await soon(site.client.signal("r", "go"))
        await until(lambda: "signal.received" in site.topics() and worker.running == 0)
        assert "step.completed" not in site.topics()
        await soon(site.client.resume("r"))
        await site.ended("r")
    assert site.topics("c")[-1] == "run.cancelled" and site.topics()[-1] == "run.completed"
    assert site.proved("c") and site.proved()


async def test_a_signal_that_comes_as_the_run_goes_to_rest_is_not_overlooked(site: Site) -> None:
    document = spec(step("one", "wait_signal", name="go"), step("two", "wait_signal", name="go", depends_on=["one"]))
    names = [f"r{number}" for number in range(12)]
    async with site.worker():
        for name in names:
            await site.client.start(document, name)
        await soon(asyncio.gather(*(site.client.signal(name, "go", n) for name in names for n in range(2))))
        await site.ended(*names)
    assert all(site.proved(name) for name in names)


async def test_two_workers_share_the_work_and_nothing_is_done_twice(site: Site) -> None:
    site.gates.open()
    names = [f"r{number}" for number in range(40)]
    done: dict[str, list[str]] = {"one": [], "two": []}

    def labelled(label: str) -> SkillRegistry:
        skills = SkillRegistry()

        @skills.skill("note")
        async def note(name: str) -> str:
            await asyncio.sleep(0.02)
            done[label].append(name)
            return name

        return skills

    for name in names:
        await site.client.start(spec(step("a", "note", name=name)), name)
    # So few at a time that neither can take them all at once.
    async with site.worker(labelled("one"), concurrency=3), site.worker(labelled("two"), concurrency=3):
        await site.ended(*names)
    assert sorted(done["one"] + done["two"]) == sorted(names)
    assert done["one"] and done["two"]
    assert all(site.proved(name) for name in names)


async def test_no_more_runs_are_held_than_wanted(site: Site) -> None:
    for number in range(5):
        await site.client.start(CHAIN, f"r{number}")
    async with site.worker(concurrency=2) as worker:
        await until(lambda: len(site.started) == 2)
        await asyncio.sleep(0.3)
        assert worker.running == len(site.started) == 2


async def test_a_worker_takes_from_its_own_queues_only(site: Site) -> None:
    await site.client.start(spec(step("a")), "r", queue="slow")
    await site.client.start(spec(step("a")), "s", queue="urgent")
    async with site.worker(queues=["urgent"]):
        await site.ended("s")
    assert site.topics() == ["run.started"]


async def test_draining_lets_running_steps_end_and_leaves_the_rest_due(site: Site) -> None:
    await site.client.start(CHAIN, "r")
    async with site.worker() as worker:
        await until(lambda: site.started == ["a"])
        worker.drain()
        site.gates.open()
        await until(lambda: worker.running == 0)
    assert site.topics() == ["run.started", "step.completed"] and site.started == ["a"]
    row = site.store.dispatch.lease("default/r")
    assert row is not None and row.owner is None
    assert site.due() <= site.store.dispatch.now() / 1_000_000
    assert site.store.dispatch.workers() == []
    async with site.worker():
        await site.ended("r")
    assert site.started == ["a", "b"] and site.proved()


async def test_a_run_that_is_being_read_as_the_draining_begins_is_not_begun(site: Site) -> None:
    await site.client.start(CHAIN, "r")
    store = open_store(site.url)
    reading, go_on = threading.Event(), threading.Event()

    def read(stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        reading.set()
        go_on.wait(20)
        return store.read(stream, after, limit)

    site.gates.open()
    async with site.worker(store=Through(store, read=read)) as worker:
        await until(reading.is_set)
        worker.drain()
        await asyncio.sleep(0.3)
        go_on.set()
    assert site.started == [] and site.topics() == ["run.started"]
    store.close()
    async with site.worker():
        await site.ended("r")


async def test_a_run_of_unknown_skills_is_left_to_a_worker_that_has_them(site: Site) -> None:
    await site.client.start(spec(step("a"), step("b", "rare", depends_on=["a"])), "r")
    await site.client.start(spec(step("a")), "s")
    rare = SkillRegistry()

    @rare.skill("rare", inline=True)
    def known() -> str:
        return "seen"

    async with site.worker():
        await site.ended("s")
        assert site.topics() == ["run.started"]
        async with site.worker(rare):
            await site.ended("r")
    assert site.topics()[-1] == "run.completed" and site.proved()


async def test_a_run_that_cannot_be_folded_is_set_aside_and_others_go_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer()
    assert site.store.commit([writer.run("bad")], "starter") == [True]
    assert site.store.commit([writer.one("default/bad")], "starter") == [True]
    async with site.worker():
        await until(lambda: "default/bad is set aside" in caplog.text)
        await site.client.start(spec(step("a")), "r")
        await site.ended("r")
        await asyncio.sleep(0.6)
    assert caplog.text.count("default/bad is set aside") == 1
    assert site.due("default/bad") > site.store.dispatch.now() / 1_000_000 + 30


async def test_a_run_whose_inbox_cannot_be_read_is_set_aside_and_others_go_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.client.start(spec(step("a")), "bad")
    inbox = "default/bad/inbox"
    garbage = SealedAppend(inbox, EMPTY, [Record(inbox, 1, "message.sent", b"{")], Head(1, "0" * 64))
    assert site.store.commit([SealedUnit([garbage], {}, [Wake("default/bad")])], "starter") == [True]
    async with site.worker():
        await until(lambda: "default/bad is set aside" in caplog.text)
        await site.client.start(spec(step("a")), "r")
        await site.ended("r")
        await asyncio.sleep(0.6)
    assert caplog.text.count("default/bad is set aside") == 1
    assert site.due("default/bad") > site.store.dispatch.now() / 1_000_000 + 30


async def test_a_zombie_records_nothing_and_drops_the_run(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await site.client.start(CHAIN, "r")
    store = open_store(site.url)
    deaf: Any = Through(store, dispatch=Through(store.dispatch, renew=lambda *_: None))
    zombie_gates, gates = Gates(), Gates()
    gates.open()
    # With one run at a time it does not take its own run again when the lease has run out.
    zombie = site.worker(site.registry(zombie_gates, " of the zombie"), deaf, lease_seconds=0.3, concurrency=1)
    async with zombie as dead:
        await until(lambda: site.started)
        async with site.worker(site.registry(gates)):
            await site.ended("r")
        before = site.topics()
        assert dead.running == 1
        zombie_gates.open()
        await until(lambda: dead.running == 0)
    store.close()
    assert site.topics() == before and site.proved()
    assert site.started == ["a of the zombie", "a", "b"]
    outputs = [e.output.value for e in events_of(site.store, "r") if isinstance(e, StepCompleted)]
    assert outputs == ["a", "b"]


async def test_a_worker_that_lost_its_lease_takes_no_lease_from_the_next(site: Site) -> None:
    await site.client.start(CHAIN, "r")
    store = open_store(site.url)
    deaf: Any = Through(store, dispatch=Through(store.dispatch, renew=lambda *_: None))
    zombie_gates = Gates()
    async with site.worker(site.registry(zombie_gates), deaf, lease_seconds=0.3, concurrency=1) as dead:
        await until(lambda: site.started)
        async with site.worker():
            await until(lambda: len(site.started) == 2)
            held = site.store.dispatch.lease("default/r")
            site.gates.release_one(Random(0))
            await until(lambda: len(site.started) == 3)
            zombie_gates.open()
            await until(lambda: dead.running == 0)
            after = site.store.dispatch.lease("default/r")
            assert held is not None and after is not None and held.owner == after.owner
            site.gates.open()
            await site.ended("r")
    store.close()
    assert site.proved()


async def test_an_absent_store_is_survived(site: Site) -> None:
    store: Store = open_store(site.url)
    away = False
    for name in ("r", "s"):
        await site.client.start(CHAIN, name)
    async with site.worker(store=Outage(store, lambda: away)) as worker:
        await until(lambda: len(site.started) == 2)
        away = True
        await site.client.start(spec(step("a")), "late")
        site.gates.open()
        await asyncio.sleep(1.5)
        assert worker.running == 2 and site.topics("late") == site.topics() == ["run.started"]
        away = False
        await site.ended("r", "s", "late")
    store.close()
    assert sorted(site.started) == ["a", "a", "b", "b"]
    assert all(site.proved(name) for name in ("r", "s", "late"))


async def test_a_worker_that_is_gone_reports_itself_no_more(site: Site) -> None:
    async with site.worker(queues=["default", "slow"]):
        await until(site.store.dispatch.workers)
        assert '"queues":["default","slow"]' in site.store.dispatch.workers()[0].report
    assert site.store.dispatch.workers() == []


async def test_a_run_of_a_worker_that_stops_at_once_is_taken_over(site: Site) -> None:
    await site.client.start(CHAIN, "r")
    worker = Worker(site.url, site.skills, lease_seconds=60)
    work = asyncio.create_task(worker.run())
    await until(lambda: site.started)
    work.cancel()
    await asyncio.wait([work])
    site.gates.open()
    async with site.worker():
        await site.ended("r")
    assert site.started == ["a", "a", "b"] and site.proved()


async def test_two_workers_agree_on_a_wait_that_was_asked_for_by_one_and_answered_by_another(site: Site) -> None:
    document = spec(step("ask", "wait_signal", name="go"), step("then", x="${ask}", depends_on=["ask"]))
    await site.client.start(document, "r")
    async with site.worker() as worker:
        await until(lambda: "step.waiting" in site.topics() and worker.running == 0)
    await soon(site.client.signal("r", "go", 3))
    async with site.worker():
        await site.ended("r")
    assert site.topics().count("step.waiting") == 1 and site.proved()
