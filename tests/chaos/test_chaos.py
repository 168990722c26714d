"""Several workers, killed and stopped at random while they share many runs, and a database that goes away meanwhile.

Each run, a spec's or a function's, with timers, signals and children, ends as if nothing had happened.

REFOLD_CHAOS_SECONDS says for how long on each store, REFOLD_CHAOS_SEED begins another series.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from refold import StoreUnreachableError, WorkflowEngine
from refold.core.events import SignalReceived, StepCompleted, StepFailed, StepSkipped
from refold.core.ids import run_of
from refold.core.results import result_of
from refold.core.state import fold
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.chaos_child import follow, random_plan, random_run, skills
from refold.tests.support.postgres import fresh_database, temporary_server
from refold.tests.support.workflows import events_of

SECONDS = float(os.environ.get("REFOLD_CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("REFOLD_CHAOS_SEED", "0"))
RUNS = max(500, int(SECONDS * 7))
WORKERS = 4
RESTARTS = 2
"""How often the database goes away."""
AWAY_SECONDS = 2.0
LEASE_SECONDS = 1.0
PATIENCE_SECONDS = 60
"""For the runs that are left when the chaos ends."""

pytestmark = pytest.mark.timeout(int(SECONDS * 3) + 120)


async def test_chaos_on_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    def lock_it() -> None:
        """A database file cannot be restarted; but it can be kept from everybody."""
        with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_SECONDS)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(AWAY_SECONDS)
            connection.execute("ROLLBACK")

    await campaign(f"sqlite:///{path}", SEED, lock_it)


async def test_chaos_on_postgres() -> None:
    with temporary_server() as server, fresh_database(server.url) as url:
        random = Random(SEED)

        def restart() -> None:
            """Half of the time it is killed, and recovers as after a crash."""
            server.kill() if random.random() < 0.5 else server.stop()
            time.sleep(AWAY_SECONDS)
            server.start()

        await campaign(url, SEED + 1, restart)


async def campaign(url: str, seed: int, take_away: Callable[[], None]) -> None:
    """Chaos for a while, then quiet; then look at what was done. `take_away` makes the database go away for a while."""
    print(f"chaos on {url.partition(':')[0]}, seed {seed}, {SECONDS:g} s")  # noqa: T201
    chaos = Chaos(url, seed, take_away)
    try:
        async with WorkflowEngine(url) as chaos.client:
            await asyncio.gather(chaos.start_runs(), chaos.send_signals(), chaos.torment(), chaos.restarts())
            await chaos.quiet()
            await chaos.check_all(await chaos.undisturbed())
        print(  # noqa: T201
            f"{len(chaos.runs)} runs with {chaos.children} children: {chaos.kills} workers killed, "
            f"{chaos.stops} stopped, the database away {RESTARTS} times"
        )
        assert chaos.kills + chaos.stops >= SECONDS / 3, "too little was done to them"
    except BaseException as error:
        error.add_note(f"chaos seed {seed}; workers said at the end: {chaos.said()}")
        with suppress(AssertionError):  # What comes first counts.
            chaos.end()
        raise
    chaos.end()


class Chaos:
    """One campaign: its workers, and what it was told is safe."""

    client: WorkflowEngine

    def __init__(self, url: str, seed: int, take_away: Callable[[], None]):
        self._url = url
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the campaign)
        self._take_away = take_away
        self._seed = seed
        self._random = Random(seed)
        self._until = time.monotonic() + SECONDS
        self.runs: dict[str, Wanted] = {}
        self.children = 0
        self.signals: dict[str, list[Any]] = {}
        self.kills = self.stops = 0
        self._started = False
        self._workers = [self._worker() for _ in range(WORKERS)]

    def _worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "refold.tests.support.chaos_child", self._url, str(LEASE_SECONDS)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self._said)

    async def start_runs(self) -> None:
        """Record runs; one that was acknowledged must end."""
        for each in range(RUNS):
            run_id = f"run-{each}"
            wanted = wanted_run(Random(f"{self._seed} {each}"), each)
            await insisting(partial(self.client.start, wanted.what, run_id, each, wanted.inputs))
            self.runs[run_id] = wanted
            self.signals[run_id] = []
            await asyncio.sleep(self._random.random() * 1.4 * SECONDS / RUNS)
        self._started = True

    async def send_signals(self) -> None:
        """Send each run as many signals as it waits for, at random times, some of them twice under one key."""
        while not self._started or any(self._unsent(run_id) for run_id in self.runs):
            open_runs = [run_id for run_id in self.runs if self._unsent(run_id)]
            if open_runs:
                run_id = self._random.choice(open_runs)
                number = len(self.signals[run_id])
                for _ in range(self._random.choice([1, 1, 2])):
                    body = {"number": number}
                    await insisting(partial(self.client.signal, run_id, "go", body, key=f"key-{number}"))
                self.signals[run_id].append({"number": number})
            await asyncio.sleep(self._random.random() * 0.02)

    async def restarts(self) -> None:
        """Have the database go away now and then."""
        for _ in range(RESTARTS):
            await asyncio.sleep(SECONDS / (RESTARTS + 1))
            await asyncio.to_thread(self._take_away)

    def _unsent(self, run_id: str) -> bool:
        return len(self.signals[run_id]) < self.runs[run_id].signals

    async def torment(self) -> None:
        """Kill workers, or stop them for longer than their leases last."""
        while time.monotonic() < self._until:
            await asyncio.sleep(self._random.random() * 1.2)
            place = self._random.randrange(WORKERS)
            worker = self._workers[place]
            assert worker.poll() is None, f"a worker ended by itself: {worker.returncode}"
            if self._random.random() < 0.5:
                kill(worker)
                self._workers[place] = self._worker()
                self.kills += 1
            else:
                worker.send_signal(signal.SIGSTOP)
                await asyncio.sleep(LEASE_SECONDS * (0.5 + self._random.random()))
                worker.send_signal(signal.SIGCONT)
                self.stops += 1

    async def quiet(self) -> None:
        """Let the workers end what is left."""
        give_up = time.monotonic() + PATIENCE_SECONDS + SECONDS
        while left := self.client.store.dispatch.rows():
            assert time.monotonic() < give_up, f"{len(left)} runs never ended, such as {left[0]}"
            await asyncio.sleep(0.1)

    async def check_all(self, expected: MemoryStore) -> None:
        """Whether all runs and their children came out as they do undisturbed."""
        streams = self.client.store.streams("default")
        assert streams == expected.streams("default"), "there are other runs"
        self.children = len(streams) - len(self.runs)
        for stream in streams:
            self._check(run_of(stream)[1], expected)

    def _check(self, run_id: str, expected: MemoryStore) -> None:
        """Whether the run came out so, with everything in it that was acknowledged."""
        verification = verify_run(self.client.store, run_id)
        assert verification.ok, (run_id, [str(each) for each in verification.chain + verification.fold])
        events = events_of(self.client.store, run_id)
        outcomes = Counter(e.index for e in events if isinstance(e, StepCompleted | StepFailed | StepSkipped))
        assert max(outcomes.values(), default=1) == 1, f"{run_id}: {outcomes}"
        if run_id in self.runs:
            taken = [e.body.value for e in events if isinstance(e, SignalReceived)]
            assert taken == self.signals[run_id], f"{run_id}: signals were lost"
        now, then = (result_of(fold(each)) for each in (events, events_of(expected, run_id)))
        assert now.workflow_hash == then.workflow_hash, f"{run_id}: {now.steps} {then.steps}"
        assert (now.status, now.output, now.step_hashes) == (then.status, then.output, then.step_hashes)

    async def undisturbed(self) -> MemoryStore:
        """The same runs in memory, side by side, where nobody is killed and the signals are there from the start."""
        store = MemoryStore()
        async with WorkflowEngine(store, skills()) as engine:

            async def alone(run_id: str, wanted: Wanted) -> None:
                seed = int(run_id[4:])
                await engine.start(wanted.what, run_id, seed, wanted.inputs)
                for body in self.signals[run_id]:
                    await engine.signal(run_id, "go", body)
                await engine.run(wanted.what, run_id, seed, wanted.inputs)

            await asyncio.gather(*(alone(run_id, wanted) for run_id, wanted in self.runs.items()))
        return store

    def said(self) -> str:
        """The last that workers wrote to their standard errors."""
        self._said.seek(max(self._said.seek(0, os.SEEK_END) - 4_000, 0))
        return self._said.read().decode(errors="replace")

    def end(self) -> None:
        """Stop the workers: those that still live must end with grace."""
        for worker in self._workers:
            worker.send_signal(signal.SIGCONT)
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in self._workers:
            try:
                assert worker.wait(20) == 0, "a worker did not end with grace"
            finally:
                kill(worker)
        self._said.close()


class Wanted(NamedTuple):
    """A run to be started, and how many signals it waits for."""

    what: Any
    inputs: dict[str, Any] | None
    signals: int


def wanted_run(random: Random, number: int) -> Wanted:
    """A spec or a function by turns."""
    if number % 2:
        plan, signals = random_plan(random)
        return Wanted(follow, {"plan": plan}, signals)
    document, signals = random_run(random)
    return Wanted(document, None, signals)


async def insisting(ask: Callable[[], Awaitable[Any]]) -> None:
    """Ask until there is an answer: what is asked for twice happens once."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await ask()
            return
        except StoreUnreachableError:
            assert time.monotonic() < give_up, "the database never came back"
            await asyncio.sleep(0.1)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """End a process at once, and let go of what leads to it."""
    worker.kill()
    worker.wait()
    if worker.stdin is not None:
        worker.stdin.close()
