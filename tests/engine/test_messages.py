"""Cancel, pause and resume: through the inbox, from this engine or from another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from random import Random

import pytest

from refold import RunEndedError, RunNotFoundError, SkillRegistry, WorkflowEngine
from refold.core.events import MessageRefused, RunPaused
from refold.core.runtime.engine import Engine
from refold.eventstore.journal import Journal
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import SealedUnit, Sealer
from refold.replay.verify import verify_run
from refold.tests.support.random_specs import Gates
from refold.tests.support.workflows import events_of, send, soon, spec, step, topics_of, until

pytestmark = pytest.mark.timeout(60)


class Workshop:
    """A store, gated skills, and as many engines as are asked for, all of one process."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.gates = Gates()
        self.started: list[str] = []
        self.skills = SkillRegistry()

        @self.skills.skill("gated")
        async def gated(name: str = "") -> str:
            self.started.append(name)
            await self.gates()
            return name

    def engine(self, skills: SkillRegistry | None = None) -> WorkflowEngine:
        """Another engine on the store."""
        return WorkflowEngine(self.store, skills or self.skills)


CHAIN = spec(step("a", "gated", name="a"), step("b", "gated", name="b", depends_on=["a"]))


async def test_a_live_run_is_cancelled_and_what_runs_is_stopped() -> None:
    work = Workshop()
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
        told = await soon(engine.cancel("r", "changed my mind"))
        result = await soon(run)
    assert told.status == result.status == "cancelled"
    assert (result.success, result.error_code, result.message) == (False, "RUN_CANCELLED", "changed my mind")
    assert work.started == ["a"]
    assert verify_run(work.store, "r").ok


async def test_a_run_is_cancelled_from_another_engine() -> None:
    work = Workshop()
    async with work.engine() as owner, work.engine() as other:
        run = asyncio.create_task(owner.run(CHAIN, "r"))
        await until(lambda: work.started)
        assert (await soon(other.cancel("r"))).status == "running"
        assert (await soon(run)).status == "cancelled"


async def test_an_ended_or_unknown_run_takes_no_messages() -> None:
    work = Workshop()
    async with work.engine() as engine:
        await soon(engine.run(spec(step("a")), "r"))
        with pytest.raises(RunEndedError):
            await engine.cancel("r")
        with pytest.raises(RunNotFoundError):
            await engine.pause("nobody")
        with pytest.raises(RunNotFoundError):
            await engine.resume("nobody")


async def test_pausing_lets_running_steps_end_and_starts_no_other() -> None:
    work = Workshop()
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
        await soon(engine.pause("r", "lunch"))
        work.gates.open()
        assert (await soon(run)).status == "paused"
        assert work.started == ["a"]
        result = await soon(engine.resume("r"))
    assert result.status == "completed"
    assert work.started == ["a", "b"]
    assert topics_of(work.store, "r") == [
        "run.started",
        "run.paused",
        "step.completed",
        "run.resumed",
        "step.completed",
        "run.completed",
    ]


async def test_a_paused_run_is_given_back_as_paused_when_run_again() -> None:
    work = Workshop()
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
        await soon(engine.pause("r"))
        work.gates.open()
        await soon(run)
        assert (await soon(engine.run(CHAIN, "r"))).status == "paused"
        async with work.engine() as other:
            assert (await soon(other.run(CHAIN, "r"))).status == "paused"
            assert (await soon(other.resume("r"))).status == "completed"


async def test_the_same_key_sends_a_message_once() -> None:
    work = Workshop()
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
        for _ in range(2):
            await soon(engine.pause("r", key="k"))
        work.gates.open()
        assert (await soon(run)).status == "paused"
        assert (await soon(engine.pause("r", key="k"))).status == "paused"
        assert sum(isinstance(event, RunPaused | MessageRefused) for event in events_of(work.store, "r")) == 1


async def test_what_was_asked_for_before_may_be_asked_again_though_the_run_has_ended_since() -> None:
    work = Workshop()
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
        await soon(engine.signal("r", "unused", key="k"))
        work.gates.open()
        assert (await soon(run)).status == "completed"
        assert (await soon(engine.signal("r", "unused", key="k"))).status == "completed"
        with pytest.raises(RunEndedError):
            await soon(engine.signal("r", "unused", key="another"))


async def test_a_repeated_pause_request_never_runs_the_workflow() -> None:
    work = Workshop()
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
        await soon(engine.pause("r", key="k"))
        work.gates.release_one(Random(0))
        await soon(run)
        resumed = asyncio.create_task(engine.resume("r"))
        await until(lambda: len(work.started) == 2)
    await asyncio.gather(resumed, return_exceptions=True)
    async with work.engine() as engine:
        work.gates.open()
        assert (await soon(engine.pause("r", key="k"))).status == "running"
    assert work.started == ["a", "b"]


async def test_pausing_a_paused_run_is_refused_as_an_event() -> None:
    work = Workshop()
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
        await soon(engine.pause("r"))
        await soon(engine.pause("r"))
        work.gates.open()
        assert (await soon(run)).status == "paused"
        await soon(engine.pause("r"))
    refused = [event for event in events_of(work.store, "r") if isinstance(event, MessageRefused)]
    assert [event.message for event in refused] == [2, 3]
    assert "paused" in refused[0].reason
    assert verify_run(work.store, "r").ok


async def test_messages_that_wait_for_a_cut_off_run_are_all_taken() -> None:
    work = Workshop()
    await abandon(work)
    send(work.store, "r", "pause", "cancel")
    async with work.engine() as engine:
        assert (await soon(engine.run(CHAIN, "r"))).status == "cancelled"


async def test_a_cancel_that_arrives_as_the_owner_pauses_is_not_forgotten() -> None:
    work = Workshop()
    async with work.engine() as owner:
        run = asyncio.create_task(owner.run(CHAIN, "r"))
        await until(lambda: work.started)
        await soon(owner.pause("r"))

        # Between the keeper's looks at the inbox; the lease is still held, so nobody but the owner can take it.
        send(work.store, "r", "cancel")
        work.gates.open()
        assert (await soon(run)).status == "cancelled"


async def test_an_engine_without_the_skills_can_cancel_and_pause() -> None:
    work = Workshop()
    await abandon(work)
    async with WorkflowEngine(work.store, SkillRegistry()) as stranger:
        assert (await soon(stranger.pause("r"))).status == "paused"
        assert (await soon(stranger.cancel("r"))).status == "cancelled"
    assert work.started == ["a"]


async def test_cancelling_tells_nothing_that_is_not_stored() -> None:
    work = Workshop()
    async with work.engine() as owner:
        run = asyncio.create_task(owner.run(CHAIN, "r"))
        await until(lambda: work.started)
        told = await soon(owner.cancel("r"))
        assert told.status == "cancelled"
        assert topics_of(work.store, "r")[-1] == "run.cancelled"
        assert verify_run(work.store, "r").status == told.status
        await soon(run)


async def abandon(work: Workshop) -> None:
    """Leave the run cut off while its first step runs."""
    async with work.engine() as engine:
        run = asyncio.create_task(engine.run(CHAIN, "r"))
        await until(lambda: work.started)
    await asyncio.gather(run, return_exceptions=True)


class SlowStore(MemoryStore):
    """A store that takes its time over commits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.waiting = False

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """Commit when `go` is set; messages are not kept waiting."""
        if any(not append.stream.endswith("/inbox") for unit in units for append in unit.appends):
            self.waiting = not self.go.is_set()
            self.go.wait()
        return super().commit(units, owner)


async def test_cancelling_waits_until_the_end_is_stored() -> None:
    work = Workshop()
    store = SlowStore()
    sealer = Sealer("test")
    journal = Journal(store, sealer, "owner")
    engine = Engine(EventLog(store, "owner"), journal, work.skills)
    run = asyncio.create_task(engine.run(CHAIN, "r"))
    await until(lambda: work.started)
    store.go.clear()
    cancelled = asyncio.create_task(engine.cancel("r"))
    await until(lambda: store.waiting)
    done, _ = await asyncio.wait([cancelled], timeout=0.05)
    assert not done, "it told of a cancellation that a crash would have undone"
    store.go.set()
    assert (await soon(cancelled)).status == (await soon(run)).status == "cancelled"
    await engine.close()
    journal.close()
