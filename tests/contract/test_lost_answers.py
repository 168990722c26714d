"""A store that fails in the middle: what was acknowledged is there, once, and what was refused is not."""

from __future__ import annotations

import asyncio
import threading
import time
from random import Random
from typing import Any

import psycopg
import pytest

from refold import SkillRegistry, WorkflowEngine, open_store
from refold.core.errors import OwnershipLostError, StoreUnreachableError
from refold.core.ports import EMPTY, Append, Head, Unit
from refold.eventstore.journal import Journal
from refold.eventstore.sealing import Sealer
from refold.eventstore.store import Store
from refold.replay.verify import verify_run
from refold.tests.contract.conftest import Place
from refold.tests.contract.test_postgres import APPEND_LOCK, raw, someone_waits_for_the_append_lock, wait_until
from refold.tests.support.faulty import FaultyStore
from refold.tests.support.postgres import PostgresServer
from refold.tests.support.units import contents, said

SPEC: dict[str, Any] = {
    "workflow_type": "long",
    "steps": [
        {"step_id": f"s{n}", "skill_id": "echo", "inputs": {"n": n, "previous": f"${{s{n - 1}.n}}" if n else None}}
        for n in range(20)
    ],
}


class Actor:
    """Appends to streams that it shares with rivals, and remembers what it was told."""

    def __init__(self, store: Store, name: str, seed: int):
        self._journal = Journal(store, Sealer("build", name), name, patience=20)
        self._name = name
        self._store = store
        self._random = Random(f"{name}:{seed}")
        self.acknowledged: list[str] = []
        self.refused: list[str] = []

    async def work(self, streams: list[str], appends: int) -> None:
        heads = dict[str, Head]()
        for number in range(appends):
            chosen = self._random.sample(streams, self._random.choice([1, 1, 2]))
            text = f"{self._name} {number}"
            unit = Unit([Append(stream, heads.get(stream, EMPTY), [said(text)] * 2) for stream in chosen])
            try:
                for stream, head in zip(chosen, await self._journal.commit(unit), strict=True):
                    heads[stream] = head
                self.acknowledged += [f"{text} in {stream}" for stream in chosen]
            except OwnershipLostError:
                self.refused.append(text)
                heads.update(await asyncio.to_thread(self._store.heads, chosen))

    def close(self) -> None:
        self._journal.close()


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_acknowledged_is_there_once_and_what_was_refused_is_not(place: Place, seed: int) -> None:
    """Four processes, each on a connection of its own that breaks every other commit, quarrel about five streams."""
    stores = [place.open() for _ in range(4)]
    actors = [
        Actor(FaultyStore(store, seed * 10 + n, trouble=0.4), f"actor{n}", seed)  # pyright: ignore[reportArgumentType]
        for n, store in enumerate(stores)
    ]
    streams = [f"default/{n}" for n in range(5)]
    try:
        await asyncio.gather(*(actor.work(streams, 12) for actor in actors))
    finally:
        await asyncio.gather(*(asyncio.to_thread(actor.close) for actor in actors))
    log = place.open().follow(0, 100_000)
    found = [f"{_text(each.record.state)} in {each.record.stream}" for each in log]
    acknowledged = sorted(text for actor in actors for text in actor.acknowledged * 2)
    assert sorted(found) == acknowledged
    assert sum(len(actor.refused) for actor in actors) > 0, "there was no quarrel: the test tests nothing"


@pytest.mark.parametrize("seed", range(2))
async def test_a_run_on_a_store_that_keeps_failing_ends_as_if_nothing_had_happened(place: Place, seed: int) -> None:
    store = place.open()
    async with WorkflowEngine("memory:") as calm:
        expected = await calm.run(SPEC, "run", seed=seed)
    faulty = FaultyStore(store, seed, trouble=0.3)
    engine = WorkflowEngine(faulty, patience=20)  # pyright: ignore[reportArgumentType]
    result = await engine.run(SPEC, "run", seed=seed)
    await engine.close()
    assert (result.status, result.workflow_hash) == ("completed", expected.workflow_hash)
    assert faulty.calls > 22, "no commit failed: the test tests nothing"
    proof = verify_run(store, "run")
    assert proof.ok and proof.events == 22, proof


async def test_a_store_that_stays_away_is_an_error_after_which_the_run_can_go_on(place: Place) -> None:
    store = place.open()
    faulty = FaultyStore(store)
    reached = threading.Event()

    def observe(stream: str, version: int, event: object) -> None:
        if version == 5:
            faulty._trouble = 1.0  # pyright: ignore[reportPrivateUsage]
            reached.set()

    engine = WorkflowEngine(faulty, patience=0.1, observer=observe)  # pyright: ignore[reportArgumentType]
    with pytest.raises(StoreUnreachableError):
        await engine.run(SPEC, "run")
    assert reached.is_set()
    await engine.close()
    before = contents(store)["log"]
    assert len(before) >= 5, "something acknowledged was lost"
    async with WorkflowEngine(store) as second:
        assert (await second.resume("run")).status == "completed"
    assert store.follow(0, 1_000)[: len(before)] == before
    assert verify_run(store, "run").ok


async def test_a_connection_killed_in_the_middle_of_a_commit_settles_to_exactly_once(postgres_place: Place) -> None:
    store = postgres_place.open()
    journal = Journal(store, Sealer("build"), "me")
    with raw(postgres_place.url) as watcher, psycopg.connect(postgres_place.url) as rival:
        rival.execute("SELECT pg_advisory_xact_lock(%s)", (APPEND_LOCK,))
        waiting = asyncio.ensure_future(journal.commit(Unit([Append("default/a", EMPTY, [said()])])))
        await asyncio.to_thread(wait_until, lambda: someone_waits_for_the_append_lock(watcher))
        victim = someone_waits_for_the_append_lock(watcher)
        watcher.execute("SELECT pg_terminate_backend(%s)", (victim,))
        await asyncio.to_thread(wait_until, lambda: someone_waits_for_the_append_lock(watcher) not in (None, victim))
        rival.commit()
        (head,) = await waiting
    journal.close()
    assert head.version == 1 == len(store.follow(0, 10))


@pytest.mark.parametrize("how", ["stopped in good order", "killed"])
async def test_a_server_that_restarts_in_the_middle_of_a_run_costs_nothing_but_time(
    postgres_server: PostgresServer, how: str
) -> None:
    skills = SkillRegistry()
    restarted = asyncio.Event()

    def restart() -> None:
        (postgres_server.kill if how == "killed" else postgres_server.stop)()
        time.sleep(0.1)
        postgres_server.start()

    @skills.skill("restart", deterministic=False)
    async def restart_while_others_go_on() -> bool:
        await asyncio.to_thread(restart)
        restarted.set()
        return True

    @skills.skill("ping", deterministic=False)
    async def ping(n: int) -> int:
        await asyncio.sleep(0.005 * (n % 7))
        return n

    steps = [
        {"step_id": f"p{n}", "skill_id": "ping", "inputs": {"n": n}, "depends_on": [f"p{n - 1}"] if n % 40 else []}
        for n in range(400)
    ]
    steps.append({"step_id": "restart", "skill_id": "restart", "depends_on": ["p3"]})
    async with WorkflowEngine(postgres_server.url, skills) as engine:
        result = await engine.run({"workflow_type": "restarted", "steps": steps}, "run")
    assert (result.status, restarted.is_set()) == ("completed", True)
    store = open_store(postgres_server.url)
    proof = verify_run(store, "run")
    assert proof.ok and proof.events == 403, proof
    store.close()


def _text(state: bytes) -> str:
    return state.split(b'"reason":"')[1].split(b'"')[0].decode()
