"""The primary of a replicated PostgreSQL is killed under load, again and again: nothing that was acknowledged is lost.

Workers and clients name both servers in one URL and are told nothing; clients also say that they want to write.
REFOLD_HA_ROUNDS says how often, REFOLD_HA_SEED begins another series. How soon work goes on is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from random import Random
from typing import Any, NamedTuple

import pytest

from refold import StoreUnreachableError, WorkflowEngine
from refold.core.events import RunEnd, SignalReceived
from refold.core.results import result_of
from refold.core.state import fold
from refold.eventstore.memory import MemoryStore
from refold.tests.support.chaos_child import follow, random_plan, random_run, skills
from refold.tests.support.replicated import Pair, refold, replicated
from refold.tests.support.workflows import events_of

ROUNDS = int(os.environ.get("REFOLD_HA_ROUNDS", "2"))
SEED = int(os.environ.get("REFOLD_HA_SEED", "0"))
WORKERS = 3
RUNS = 60
"""That are acknowledged in a round before the primary is killed."""
LEASE_SECONDS = 2.0
PATIENCE_SECONDS = 120
PATIENCES = (30.0, 0.2)
"""Of the clients. The second hears of every outage, and asks for the same again until it is told that it is done."""

pytestmark = pytest.mark.timeout(240 + ROUNDS * 60)


async def test_nothing_acknowledged_is_lost_when_the_primary_is_killed() -> None:
    with replicated() as pair, workers(pair.url) as said:
        campaign = Campaign(pair, said)
        for number in range(ROUNDS):
            await campaign.round(number)
        await campaign.check()
    print(campaign.report())  # noqa: T201


class Wanted(NamedTuple):
    """A run that was acknowledged, with as many signals."""

    what: Any
    inputs: dict[str, Any] | None
    signals: int


class Campaign:
    """The load, what was acknowledged, and how soon work went on."""

    def __init__(self, pair: Pair, said: Callable[[], str]):
        self._pair = pair
        self._said = said
        self._random = Random(SEED)
        self._number = count()
        self._acknowledged: dict[str, Wanted] = {}
        self._errors = 0
        self._resumed: list[float] = []
        self._away: list[float] = []

    async def round(self, number: int) -> None:
        """Load, a kill in the midst of it, a promotion, and the former primary as the new standby, all under load."""
        enough = len(self._acknowledged) + RUNS
        stop = asyncio.Event()
        load = [asyncio.create_task(self._load(stop, patience)) for patience in PATIENCES]
        await self._until(lambda: len(self._acknowledged) >= enough, "the load is under way")
        await asyncio.sleep(self._random.random() * 0.5)  # somewhere in the midst of it, another place each time
        killed = time.monotonic()
        await asyncio.to_thread(self._pair.fail_over)
        promoted = time.monotonic()
        ((before,),) = self._pair.primary.ask("SELECT coalesce(max(notification_id), 0) FROM stored_events")
        await self._until(lambda: self._worked_since(before), "the workers go on after the promotion")
        self._resumed.append(time.monotonic() - promoted)
        self._away.append(promoted - killed)
        await asyncio.to_thread(self._pair.rebuild, "basebackup" if number % 2 else "rewind")
        stop.set()
        await asyncio.gather(*load)

    async def check(self) -> None:
        """Every run that was acknowledged is there, ended once, and came out as it does undisturbed."""
        async with WorkflowEngine(self._pair.url) as engine:
            await self._until(lambda: not engine.store.dispatch.rows(), "every run has ended")
            expected = await self._undisturbed()
            streams = engine.store.streams("default")
            assert streams == expected.streams("default"), "there are other runs than were acknowledged"
            for run_id, wanted in self._acknowledged.items():
                events = events_of(engine.store, run_id)
                assert sum(isinstance(event, RunEnd) for event in events) == 1, run_id
                assert sum(isinstance(event, SignalReceived) for event in events) == wanted.signals, run_id
                now, then = (result_of(fold(each)) for each in (events, events_of(expected, run_id)))
                assert (now.status, now.workflow_hash) == (then.status, then.workflow_hash), run_id
        proved = refold(self._pair.url, "verify", "--all")
        assert proved.returncode == 0, proved.stdout + proved.stderr
        looks = [json.loads(line) for line in refold(self._pair.url, "doctor", "--json").stdout.splitlines()]
        assert {"store": "ok", "schema": "ok"}.items() <= {
            each.get("name"): each.get("state") for each in looks
        }.items()
        assert refold(self._pair.url, "migrate").stdout == "the schema is up to date\n"

    def report(self) -> str:
        """The figures, in a line for each."""
        far = {"primary killed until promoted": self._away, "promoted until workers go on": self._resumed}
        lines = [f"{ROUNDS} primaries killed, seed {SEED}: {len(self._acknowledged)} runs, all there, each ended once"]
        lines += [f"{self._errors} calls ended in an error and were made again"]
        for name, seconds in far.items():
            shown = sorted(seconds)
            lines.append(f"{name}: half within {shown[len(shown) // 2]:.2f} s, all within {shown[-1]:.2f} s")
        return "\n".join(lines)

    async def _load(self, stop: asyncio.Event, patience: float) -> None:
        async with WorkflowEngine(f"{self._pair.url}?target_session_attrs=read-write", patience=patience) as client:
            while not stop.is_set():
                number = next(self._number)
                run_id, wanted = f"run-{number}", wanted_run(number)
                await self._insist(partial(client.start, wanted.what, run_id, number, wanted.inputs))
                for each in range(wanted.signals):
                    await self._insist(partial(client.signal, run_id, "go", {"number": each}, key=f"key-{each}"))
                self._acknowledged[run_id] = wanted
                await asyncio.sleep(0.01)

    async def _insist(self, ask: Callable[[], Awaitable[Any]]) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                await ask()
                return
            except StoreUnreachableError:
                self._errors += 1
                assert time.monotonic() < give_up, "no server takes writes any more"
                await asyncio.sleep(0.05)

    def _worked_since(self, position: int) -> bool:
        """Whether a worker has recorded anything: nobody else writes of steps."""
        asked = f"SELECT 1 FROM stored_events WHERE notification_id > {position} AND topic LIKE 'step.%' LIMIT 1"
        return bool(self._pair.primary.ask(asked))

    async def _undisturbed(self) -> MemoryStore:
        store = MemoryStore()
        async with WorkflowEngine(store, skills()) as engine:

            async def alone(run_id: str, wanted: Wanted) -> None:
                seed = int(run_id[4:])
                await engine.start(wanted.what, run_id, seed, wanted.inputs)
                for each in range(wanted.signals):
                    await engine.signal(run_id, "go", {"number": each})
                await engine.run(wanted.what, run_id, seed, wanted.inputs)

            await asyncio.gather(*(alone(run_id, wanted) for run_id, wanted in self._acknowledged.items()))
        return store

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not await asyncio.to_thread(holds):
            assert time.monotonic() < give_up, f"waited in vain until {what}; workers said: {self._said()}"
            await asyncio.sleep(0.02)


def wanted_run(number: int) -> Wanted:
    """A spec or a function by turns."""
    random = Random(f"{SEED} {number}")
    if number % 2:
        plan, signals = random_plan(random)
        return Wanted(follow, {"plan": plan}, signals)
    document, signals = random_run(random)
    return Wanted(document, None, signals)


@contextmanager
def workers(url: str) -> Iterator[Callable[[], str]]:
    """Worker processes that live through it all; gives what tells the last that they said."""

    command = [sys.executable, "-P", "-m", "refold.tests.support.chaos_child", url, str(LEASE_SECONDS)]
    with tempfile.TemporaryFile() as told:

        def said() -> str:
            told.seek(max(told.seek(0, os.SEEK_END) - 4_000, 0))
            return told.read().decode(errors="replace")

        started = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=told) for _ in range(WORKERS)]
        try:
            yield said
            for worker in started:
                assert worker.poll() is None, f"a worker ended by itself: {worker.returncode}; {said()}"
        finally:
            for worker in started:
                worker.kill()
                worker.wait()
                if worker.stdin is not None:
                    worker.stdin.close()
