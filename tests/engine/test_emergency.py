"""Emergency stops: nothing begins while one is in force, what runs ends or is dropped, and the release resumes all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from refold import EmergencyStopError, SkillRegistry, Worker, WorkflowEngine, sleep, workflow
from refold.core.emergency import EVERYTHING, NO_STOPS, Running, Scope, Stops
from refold.core.emergency_events import EmergencyStopped
from refold.core.events import PolicyDecided, StepFailed, StepStarted
from refold.core.ids import EMERGENCY
from refold.core.policy.document import Policy
from refold.core.ports import HELD, NEVER
from refold.core.runtime.local_stops import FILE_VARIABLE, VARIABLE
from refold.eventstore.dispatch import seconds_of
from refold.eventstore.memory import MemoryStore
from refold.replay.control import verify_emergency
from refold.replay.verify import verify_run
from refold.tests.support.random_specs import Gates
from refold.tests.support.sites import Site
from refold.tests.support.workflows import SOON_SECONDS, events_of, soon, spec, step, topics_of, until

TWO = spec(step("a", "gated", name="a"), step("b", "gated", name="b", depends_on=["a"]))


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    sqlite = request.param == "sqlite"
    site = Site(f"sqlite:///{tmp_path / 'stopped.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield site
    await site.client.close()
    site.store.close()


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    """An embedded engine in memory."""
    here = Here()
    yield here
    await here.engine.close()


class Here:
    """An engine on a store in memory, whose skill `gated` waits for its gates."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.skills = SkillRegistry()
        self.gates = Gates()
        self.begun: list[str] = []

        @self.skills.skill("gated")
        async def gated(name: str = "") -> str:
            self.begun.append(name)
            await self.gates()
            return name

        @self.skills.skill("once", at_most_once=True)
        async def once() -> str:
            self.begun.append("once")
            await self.gates()
            return "once"

        self.engine = WorkflowEngine(self.store, self.skills)

    def topics(self, run_id: str = "r") -> list[str]:
        return topics_of(self.store, run_id)


def of_acme(site: Site) -> list[str]:
    return [event.topic for event in events_of(site.store, "stopped", "acme")]


async def test_running_steps_finish_and_nothing_new_begins_until_the_release(site: Site) -> None:
    await site.client.start(TWO, "r")
    async with site.worker() as worker:
        await until(lambda: site.started == ["a"])
        await site.client.emergency.enable(reason="fire", by="ada")
        await until(lambda: worker.stops)
        site.gates.open()
        await until(lambda: "step.completed" in site.topics() and worker.running == 0)
        await site.client.start(TWO, "later")
        assert site.started == ["a"] and site.topics() == ["run.started", "step.completed", "policy.decided"]
        await site.client.emergency.disable()
        await site.ended("r", "later")
    assert site.started.count("a") == 2 and site.started.count("b") == 2
    assert site.proved() and site.proved("later")
    proof = verify_emergency(site.store)
    assert proof is not None and proof.ok and proof.events == 2


async def test_cancelled_steps_leave_nothing_and_are_executed_again(site: Site) -> None:
    await site.client.start(TWO, "r")
    async with site.worker() as worker:
        await until(lambda: site.started == ["a"])
        await site.client.emergency.enable(running="cancel")
        await until(lambda: worker.running == 0)
        assert site.topics() == ["run.started", "policy.decided"]
        site.gates.open()
        await site.client.emergency.disable()
        await site.ended("r")
    assert site.started == ["a", "a", "b"] and site.proved()


@pytest.mark.parametrize(
    "scope", [Scope("tenant", "acme"), Scope("workflow", "risky"), Scope("queue", "slow")], ids=lambda each: each.kind
)
async def test_a_scoped_stop_holds_back_its_own_and_nobody_else(site: Site, scope: Scope) -> None:
    site.gates.open()
    await site.client.emergency.enable(scope)
    await site.client.start({**TWO, "workflow_type": "risky"}, "stopped", tenant="acme", queue="slow")
    async with site.worker(queues=["default", "slow"]) as worker:
        await site.client.start(TWO, "free")
        await site.ended("free")
        if scope.kind != "queue":
            await until(lambda: site.due("acme/stopped") >= seconds_of(HELD) and worker.running == 0)
            assert site.due("acme/stopped") < seconds_of(NEVER)
        assert of_acme(site) == ["run.started", *(["policy.decided"] if scope.kind != "queue" else [])]
        await site.client.emergency.disable(scope)
        await until(lambda: of_acme(site)[-1] == "run.completed")


async def test_who_was_held_back_by_an_old_look_and_left_alone_is_freed_by_others(site: Site) -> None:
    await site.client.start(TWO, "r")
    await site.client.emergency.enable(Scope("tenant", "default"))
    site.gates.open()
    async with site.worker() as worker:
        await until(lambda: site.due() >= seconds_of(HELD) and worker.running == 0)
    await site.client.emergency.disable()
    assert site.due() >= seconds_of(HELD)
    async with site.worker():
        await site.ended("r")


async def test_a_run_under_a_stop_can_be_cancelled_paused_and_told(site: Site) -> None:
    for run_id in ("c", "p", "s"):
        await site.client.start(spec(step("ask", "wait_signal", name="go")), run_id)
    await site.client.emergency.enable()
    async with site.worker():
        assert (await soon(site.client.cancel("c"))).status == "cancelled"
        assert (await soon(site.client.pause("p"))).status == "paused"
        await soon(site.client.signal("s", "go"))
        await site.client.emergency.disable()
        await site.ended("s")
    assert site.proved("c") and site.proved("s")


async def test_an_embedded_run_does_not_begin_under_a_stop(here: Here) -> None:
    await here.engine.emergency.enable(reason="fire", by="ada")
    with pytest.raises(EmergencyStopError, match="by ada: fire"):
        await here.engine.run(TWO, "r")
    assert here.store.heads(["default/r"]) == {} and here.store.dispatch.rows() == []


async def test_an_embedded_run_that_has_ended_is_returned_under_a_stop(here: Here) -> None:
    here.gates.open()
    done = await here.engine.run(TWO, "r")
    await here.engine.emergency.enable()
    again = await here.engine.run(TWO, "r")
    assert again.workflow_hash == done.workflow_hash
    assert (await here.engine.run(TWO, "r", replay=True)).success


async def test_an_embedded_run_rests_under_a_stop_and_is_resumed_after_it(here: Here) -> None:
    run = asyncio.create_task(here.engine.run(TWO, "r"))
    await until(lambda: here.begun == ["a"])
    await here.engine.emergency.enable()
    here.gates.open()
    with pytest.raises(EmergencyStopError):
        await soon(run)
    assert here.topics() == ["run.started", "step.completed", "policy.decided"]
    with pytest.raises(EmergencyStopError):
        await here.engine.resume("r")
    await here.engine.emergency.disable()
    assert (await here.engine.resume("r")).success


async def test_an_at_most_once_step_that_was_cut_off_is_not_run_again(here: Here) -> None:
    document = spec(step("once", "once", on_error="continue"), step("b", "gated", depends_on=["once"]))
    run = asyncio.create_task(here.engine.run(document, "r"))
    await until(lambda: here.begun == ["once"])
    await here.engine.emergency.enable(running="cancel")
    with pytest.raises(EmergencyStopError):
        await soon(run)
    _, _, failed, withheld = events_of(here.store, "r")
    assert isinstance(withheld, PolicyDecided) and withheld.step_id == "b"
    assert isinstance(failed, StepFailed) and failed.error_code == "INTERRUPTED"
    here.gates.open()
    await here.engine.emergency.disable()
    assert (await here.engine.resume("r")).success and here.begun == ["once", ""]


async def test_a_child_that_was_stopped_goes_on_for_the_parent_that_was_not(here: Here) -> None:
    here.gates.open()
    await here.engine.specs.put({**TWO, "workflow_type": "child"})
    await here.engine.emergency.enable(Scope("workflow", "child"))
    parent = spec(step("kid", "run_workflow", workflow="child"))
    run = asyncio.create_task(here.engine.run(parent, "r"))
    await until(lambda: "step.waiting" in here.topics())
    await here.engine.emergency.disable()
    assert (await soon(run)).success


@pytest.mark.parametrize("running", ["finish", "cancel"])
async def test_what_is_held_back_occupies_no_place_that_others_could_have(site: Site, running: Running) -> None:
    limit = {"limit": "one", "match": {"skill": "gated"}, "places": 1}
    policy = Policy.parse({"policy": "places", "version": "1", "limits": [limit]})
    await site.client.start(TWO, "stopped", tenant="acme")
    async with site.worker(policy=policy) as worker:
        await until(lambda: site.started == ["a"])
        await site.client.emergency.enable(Scope("tenant", "acme"), running=running)
        await until(lambda: worker.stops)
        site.gates.open()
        await until(lambda: site.due("acme/stopped") >= seconds_of(HELD))
        await site.client.start(TWO, "free")
        await site.ended("free")
        await site.client.emergency.disable(Scope("tenant", "acme"))
        await until(lambda: of_acme(site)[-1] == "run.completed")
    assert verify_run(site.store, "stopped", "acme").ok and site.proved("free")
    assert site.store.ledger.holds() == []


async def test_a_busy_event_loop_does_not_delay_a_stop(site: Site) -> None:
    blocked = threading.Event()

    @site.skills.skill("block", inline=True)
    def block() -> None:
        blocked.set()
        deadline = time.monotonic() + SOON_SECONDS
        while not worker.stops and time.monotonic() < deadline:  # What nobody should do on an event loop.
            time.sleep(0.01)

    async with WorkflowEngine(site.url) as client:
        await client.start(spec(step("a", "block"), step("b", "gated", name="b", depends_on=["a"])), "r")
        worker = Worker(site.url, site.skills)
        thread = threading.Thread(target=lambda: asyncio.run(worker.run()))
        thread.start()
        await until(blocked.is_set)
        await client.emergency.enable()
        await until(lambda: "step.completed" in site.topics() and worker.running == 0)
        assert worker.stops and site.started == []
        worker.drain()
        await asyncio.to_thread(thread.join)


async def test_the_environment_stops_a_process_for_as_long_as_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "yes")
    async with WorkflowEngine(MemoryStore()) as engine:
        monkeypatch.delenv(VARIABLE)
        with pytest.raises(EmergencyStopError, match="WORKFLOW_EMERGENCY_STOP=yes"):
            await engine.run(spec(step("a")), "r")
        assert await engine.emergency.disable() == []
        assert [stop.source for stop in (await engine.emergency.status()).all()] == ["environment"]
        assert (await engine.start(spec(step("a")), "r")).status == "running"


@pytest.mark.parametrize("said", ["", "0", "false", "No", " off "])
async def test_the_environment_can_say_no(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(VARIABLE, said)
    async with WorkflowEngine(MemoryStore()) as engine:
        assert (await engine.run(spec(step("a")))).success


async def test_a_file_stops_the_host_while_it_exists(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "stop"
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    site.gates.open()
    async with site.worker():
        await site.client.start(TWO, "before")
        await site.ended("before")
        file.write_text("the cellar is wet\n")
        async with WorkflowEngine(site.store) as engine:
            (stop,) = (await engine.emergency.status()).all()
            assert (stop.source, stop.reason) == ("file", "the cellar is wet")
            with pytest.raises(EmergencyStopError, match="the cellar is wet"):
                await engine.run(spec(step("a")), "embedded")
        await asyncio.sleep(1)
        await site.client.start(TWO, "r")
        await asyncio.sleep(1)
        assert site.topics() == ["run.started"]
        file.unlink()
        await site.ended("r")


async def test_a_function_holds_back_and_goes_on(here: Here) -> None:
    @workflow("napper")
    async def napper() -> str:
        await sleep(0.05)
        await sleep(0.05)
        return "rested"

    here.skills.add_workflow(napper)
    await here.engine.emergency.enable(Scope("workflow", "napper"))
    with pytest.raises(EmergencyStopError):
        await here.engine.run(napper, "r")
    await here.engine.emergency.disable(Scope("workflow", "napper"))
    assert (await here.engine.run(napper, "r")).output == "rested"


async def test_a_store_that_is_away_keeps_the_last_known_state(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = here.engine.emergency.watch
    await here.engine.emergency.enable()
    with pytest.raises(EmergencyStopError):
        await here.engine.run(TWO, "r")

    def away(*_: Any) -> Any:
        raise OSError("gone")

    monkeypatch.setattr(watch, "_log", type("Away", (), {"head": away})())
    changes: list[int] = []
    end = watch.keep(lambda: changes.append(1))
    await asyncio.sleep(0.6)
    assert watch.stops.find(EVERYTHING) is not None and not changes
    end()


async def test_enabling_again_changes_the_stop_and_the_same_again_records_nothing(here: Here) -> None:
    control = here.engine.emergency
    await control.enable(reason="one", by="ada")
    await control.enable(reason="one", by="ada")
    stop = await control.enable(running="cancel", reason="two", by="bob")
    assert (stop.running, stop.reason, stop.by) == ("cancel", "two", "bob")
    assert here.store.heads([EMERGENCY])[EMERGENCY].version == 2
    assert len(await control.disable(EVERYTHING)) == 1 and await control.disable(EVERYTHING) == []
    assert not (await control.status())


async def test_what_is_held_back_is_recorded_once_and_that_it_goes_on(site: Site) -> None:
    site.gates.open()
    scope = Scope("tenant", "default")
    await site.client.emergency.enable(scope, reason="fire", by="ada")
    await site.client.start(TWO, "r")
    async with site.worker() as worker:
        await until(lambda: site.due() >= seconds_of(HELD) and worker.running == 0)
        assert (await site.client.state("r")).status == "waiting"
        await site.client.signal("r", "anything")
        await until(lambda: "signal.received" in site.topics() and worker.running == 0)
        await site.client.emergency.disable(scope)
        await site.ended("r")
    decided = [event for event in events_of(site.store, "r") if isinstance(event, PolicyDecided)]
    assert [(each.step_id, each.verdict, each.rule, each.code) for each in decided] == [
        ("a", "deferred", "emergency-stop", "EMERGENCY_STOP"),
        ("a", "allowed", "", ""),
    ]
    assert "by ada: fire" in decided[0].reason and site.proved()


async def test_an_at_most_once_step_whose_start_is_just_being_recorded_waits_for_the_release(here: Here) -> None:
    here.gates.open()
    watch = here.engine.emergency.watch
    stops = Stops.of([EmergencyStopped(1, "global", "", "cancel", "", "")])

    def observe(_stream: str, _version: int, event: object) -> None:
        if isinstance(event, StepStarted):
            watch._publish(stops)  # pyright: ignore[reportPrivateUsage]

    await here.engine.close()
    here.engine = WorkflowEngine(here.store, here.skills, observer=observe)
    watch = here.engine.emergency.watch
    run = asyncio.create_task(here.engine.run(spec(step("once", "once")), "r"))
    await until(lambda: watch.stops)
    await asyncio.sleep(0.1)
    assert here.begun == [] and here.topics() == ["run.started", "step.started"]
    watch._publish(NO_STOPS)  # pyright: ignore[reportPrivateUsage]
    assert (await soon(run)).success and here.begun == ["once"]
