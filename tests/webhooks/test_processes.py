"""Senders as processes of their own, side by side, killed in the middle of what they do."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refold import WorkflowEngine, open_store
from refold.core.addresses import Allowed
from refold.core.webhook_signing import message_id, secret_text
from refold.eventstore.outbox import Lookup
from refold.eventstore.store import Store
from refold.projections.webhook_keys import WebhookKeys, new_key
from refold.tests.support.sink import Sink, Taken, sink
from refold.tests.support.workflows import spec, step

ENDPOINTS = 3
RUNS = 25


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def receiver() -> Iterator[Sink]:
    with sink() as made:
        yield made


class Senders:
    """Processes of `refold webhooks deliver`, which can be killed and are replaced."""

    def __init__(self, url: str, folder: Path):
        self._environment = {
            **os.environ,
            "REFOLD_DATABASE_URL": url,
            "REFOLD_WEBHOOK_KEYS": str(folder / "keys.json"),
            "REFOLD_WEBHOOK_ALLOW": "127.0.0.1",
            "REFOLD_WEBHOOK_HTTP": "1",
        }
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.killed = 0

    def start(self) -> None:
        """Start one."""
        command = [sys.executable, "-P", "-m", "refold", "webhooks", "deliver"]
        self._processes.append(subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL))

    def kill_all(self) -> None:
        """Kill every one with SIGKILL, and start as many."""
        with self._lock:
            killed, self._processes = self._processes, []
            for process in killed:
                process.kill()
                process.wait()
                self.start()
            self.killed += len(killed)

    def end(self) -> list[int]:
        """Ask them to end; their exit codes."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(30) for process in self._processes]


@pytest.fixture
def senders(url: str, tmp_path: Path) -> Iterator[Senders]:
    made = Senders(url, tmp_path)
    yield made
    made.end()


async def subscribe(store: Store, receiver: Sink, folder: Path) -> dict[str, tuple[str, str]]:
    """Endpoints by path of the receiver: id and secret."""
    keys, found = WebhookKeys({}), dict[str, tuple[str, str]]()
    async with WorkflowEngine(store) as engine:
        for number in range(ENDPOINTS):
            key_id, secret = new_key()
            keys = keys.having(key_id, secret)
            allowed = Allowed.parse(["127.0.0.1"], http=True)
            made = await engine.webhooks.subscribe(
                receiver.url(f"/{number}"), ["run.*", "step.failed"], key_id, allowed=allowed
            )
            found[f"/{number}"] = (made.endpoint_id, secret_text(secret))
    keys.save(folder / "keys.json")
    return found


async def run_all(store: Store) -> None:
    async with WorkflowEngine(store) as engine:
        for number in range(RUNS):
            await engine.run(spec(step("a", text="x")), run_id=f"r{number}")


def of_runs(store: Store) -> list[int]:
    """The positions that are to be told."""
    return [each.position for each in store.follow(0, 10_000) if each.record.topic.startswith("run.")]


async def test_nothing_is_lost_and_order_holds_although_senders_are_killed(
    url: str, senders: Senders, receiver: Sink, tmp_path: Path
) -> None:
    store = open_store(url)
    endpoints = await subscribe(store, receiver, tmp_path)
    deaths = {20, 55, 90}

    def kill_sometimes(_: Taken) -> None:
        # Before the answer: whoever sent this one cannot know that it arrived.
        if len(receiver.taken) in deaths:
            deaths.discard(len(receiver.taken))
            senders.kill_all()

    receiver.tell = kill_sometimes
    senders.start()
    senders.start()
    await run_all(store)
    wanted = of_runs(store)
    assert len(wanted) == 2 * RUNS
    all_of_it = {(each, "delivered"): len(wanted) for each, _ in endpoints.values()}
    await in_time(lambda: store.outbox.counts("default") == all_of_it)
    assert senders.killed == 6
    for path, (endpoint_id, secret) in endpoints.items():
        came = [each for each in receiver.taken if each.path == path]
        firsts = list(dict.fromkeys(each.id for each in came))
        assert firsts == [message_id(endpoint_id, position) for position in wanted], (
            "each once, in the order of the log"
        )
        assert all(each.is_signed_with(secret) for each in came)
        bodies = {(each.id, each.body) for each in came}
        assert len(bodies) == len(firsts), "a double says the same"
        ids = [each.id for each in came]
        doubles = [number for number in range(1, len(ids)) if ids[number] in ids[:number]]
        assert all(ids[number] in ids[max(0, number - 2) : number] for number in doubles), "no double out of its order"
    doubled = len(receiver.taken) - ENDPOINTS * len(wanted)
    assert 3 <= doubled <= 2 * ENDPOINTS * 3
    assert set(senders.end()) == {0}
    store.close()


async def in_time(condition: Callable[[], object]) -> None:
    """Wait for what takes several starts of processes."""
    async with asyncio.timeout(80):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_failing_endpoint_keeps_its_order_with_two_senders(
    url: str, senders: Senders, receiver: Sink, tmp_path: Path
) -> None:
    store = open_store(url)
    endpoints = await subscribe(store, receiver, tmp_path)
    receiver.answer(204, 500, 204)
    senders.start()
    senders.start()
    await run_all(store)
    wanted = of_runs(store)
    await in_time(lambda: sum(store.outbox.counts("default").values()) == ENDPOINTS * len(wanted))
    await in_time(lambda: {status for _, status in store.outbox.counts("default")} == {"delivered"})
    for path, (endpoint_id, _) in endpoints.items():
        ids = list(dict.fromkeys(each.id for each in receiver.taken if each.path == path))
        assert ids == [message_id(endpoint_id, position) for position in wanted]
    assert len(receiver.taken) == ENDPOINTS * len(wanted) + 1, "one came again, and nothing else"
    assert [each.attempts for each in store.outbox.deliveries(Lookup("default"), 1000)].count(2) == 1
    store.close()
