"""Looking after live runs goes on whatever happens to one look."""

from __future__ import annotations

import asyncio

import pytest

from refold import IntegrityError, SkillRegistry, StoreUnreachableError, WorkflowEngine
from refold.core.ports import Record
from refold.eventstore.memory import MemoryStore
from refold.tests.support.workflows import send, soon, spec, step, until

pytestmark = pytest.mark.timeout(60)


class FailingReads(MemoryStore):
    """A store whose inboxes cannot be read while `broken`."""

    broken = False
    failures = 0

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        """Read, or fail."""
        if self.broken and stream.endswith("/inbox"):
            self.failures += 1
            raise StoreUnreachableError("away")
        return super().read(stream, after, limit)


async def test_a_message_is_taken_after_the_store_was_away() -> None:
    store, started = FailingReads(), asyncio.Event()
    registry = SkillRegistry()

    @registry.skill("wait")
    async def wait() -> None:
        started.set()
        await asyncio.sleep(3600)

    async with WorkflowEngine(store, registry) as owner, WorkflowEngine(store, registry) as other:
        run = asyncio.create_task(owner.run(spec(step("a", "wait")), "r"))
        await soon(started.wait())
        await soon(other.cancel("r"))
        store.broken = True
        await until(lambda: store.failures)
        store.broken = False
        assert (await soon(run)).status == "cancelled"


async def test_leases_are_renewed_while_a_run_lives() -> None:
    store, started, go = MemoryStore(), asyncio.Event(), asyncio.Event()
    registry = SkillRegistry()

    @registry.skill("wait")
    async def wait() -> None:
        started.set()
        await go.wait()

    async with WorkflowEngine(store, registry, lease_seconds=1) as engine:
        run = asyncio.create_task(engine.run(spec(step("a", "wait")), "r"))
        await soon(started.wait())
        lease = store.dispatch.lease("default/r")
        assert lease is not None and lease.owner is not None
        first_end = asyncio.get_running_loop().time() + lease.seconds_left
        await until(lambda: asyncio.get_running_loop().time() > first_end)
        renewed = store.dispatch.lease("default/r")
        assert renewed is not None and renewed.owner == lease.owner and renewed.seconds_left > 0
        go.set()
        assert (await soon(run)).success


async def test_a_broken_inbox_stops_its_run_and_no_other() -> None:
    store, started = MemoryStore(), asyncio.Semaphore(0)
    registry = SkillRegistry()

    @registry.skill("wait")
    async def wait() -> None:
        started.release()
        await asyncio.sleep(3600)

    async with WorkflowEngine(store, registry) as owner:
        bad, good = (asyncio.create_task(owner.run(spec(step("a", "wait")), run_id)) for run_id in ("bad", "good"))
        for _ in range(2):
            await soon(started.acquire())
        send(store, "bad", "pause")
        inbox = store._streams["default/bad/inbox"]  # pyright: ignore[reportPrivateUsage]
        inbox[0] = inbox[0]._replace(state=b"{}")
        with pytest.raises(IntegrityError):
            async with asyncio.timeout(2):
                await bad
        send(store, "good", "cancel")
        assert (await soon(good)).status == "cancelled"
