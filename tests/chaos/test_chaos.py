"""Several workers, killed and stopped at random while they share many runs: each run ends as if nothing had happened.

REFOLD_CHAOS_SECONDS says for how long on each store, REFOLD_CHAOS_SEED begins another series.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from refold import WorkflowEngine, WorkflowResult
from refold.core.events import SignalReceived, StepCompleted, StepFailed, StepSkipped
from refold.eventstore.memory import MemoryStore
from refold.replay.verify import verify_run
from refold.tests.support.chaos_child import random_run, skills
from refold.tests.support.workflows import events_of

SECONDS = float(os.environ.get("REFOLD_CHAOS_SECONDS", "15"))
SEED = int(os.environ.get("REFOLD_CHAOS_SEED", "0"))
RUNS_PER_SECOND = 7
WORKERS = 3
LEASE_SECONDS = 1.0
PATIENCE_SECONDS = 60
"""For the runs that are left when the chaos ends."""

pytestmark = pytest.mark.timeout(int(SECONDS * 3) + 120)


async def test_chaos_on_sqlite(tmp_path: Path) -> None:
    await campaign(f"sqlite:///{tmp_path}/log.db", SEED)


async def test_chaos_on_postgres(postgres_url: str) -> None:
    await campaign(postgres_url, SEED + 1)


async def campaign(url: str, seed: int) -> None:
    """Chaos for a while, then quiet; then look at what was done."""
    print(f"chaos on {url.partition(':')[0]}, seed {seed}, {SECONDS:g} s")  # noqa: T201
    chaos = Chaos(url, seed)
    try:
        async with WorkflowEngine(url) as chaos.client:
            await asyncio.gather(chaos.start_runs(), chaos.send_signals(), chaos.torment())
            await chaos.quiet()
            expected = await chaos.undisturbed()
            for run_id in chaos.runs:
                await chaos.check(run_id, expected[run_id])
        assert chaos.kills + chaos.stops >= SECONDS / 3, "too little was done to them"
    except BaseException as error:
        error.add_note(f"chaos seed {seed}")
        raise
    finally:
        chaos.end()


class Chaos:
    """One campaign: its workers, and what it was told is safe."""

    client: WorkflowEngine

    def __init__(self, url: str, seed: int):
        self._url = url
        self._seed = seed
        self._random = Random(seed)
        self._until = time.monotonic() + SECONDS
        self.runs: dict[str, tuple[dict[str, Any], int]] = {}
        self.signals: dict[str, list[Any]] = {}
        self.kills = self.stops = 0
        self._started = False
        self._workers = [self._worker() for _ in range(WORKERS)]

    def _worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "refold.tests.support.chaos_child", self._url, str(LEASE_SECONDS)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    async def start_runs(self) -> None:
        """Record runs; one that was acknowledged must end."""
        number = int(SECONDS * RUNS_PER_SECOND)
        for each in range(number):
            document, wanted = random_run(Random(f"{self._seed} {each}"))
            run_id = f"run-{each}"
            await self.client.start(document, run_id, seed=each)
            self.runs[run_id] = (document, wanted)
            self.signals[run_id] = []
            await asyncio.sleep(self._random.random() * 1.4 * SECONDS / number)
        self._started = True

    async def send_signals(self) -> None:
        """Send each run as many signals as it waits for, at random times, some of them twice under one key."""
        while not self._started or any(self._unsent(run_id) for run_id in self.runs):
            open_runs = [run_id for run_id in self.runs if self._unsent(run_id)]
            if open_runs:
                run_id = self._random.choice(open_runs)
                number = len(self.signals[run_id])
                for _ in range(self._random.choice([1, 1, 2])):
                    await self.client.signal(run_id, "go", {"number": number}, key=f"key-{number}")
                self.signals[run_id].append({"number": number})
            await asyncio.sleep(self._random.random() * 0.03)

    def _unsent(self, run_id: str) -> bool:
        return len(self.signals[run_id]) < self.runs[run_id][1]

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
        while self.client_store.dispatch.rows():
            left = self.client_store.dispatch.rows()
            assert time.monotonic() < give_up, f"{len(left)} runs never ended, such as {left[0]}"
            await asyncio.sleep(0.1)

    @property
    def client_store(self) -> Any:
        """The store, as this process sees it."""
        return self.client.store

    async def check(self, run_id: str, expected: WorkflowResult) -> None:
        """Whether the run came out as it does undisturbed, with everything in it that was acknowledged."""
        document, _ = self.runs[run_id]
        verification = verify_run(self.client_store, run_id)
        assert verification.ok, (run_id, [str(each) for each in verification.chain + verification.fold])
        events = events_of(self.client_store, run_id)
        outcomes = Counter(e.index for e in events if isinstance(e, StepCompleted | StepFailed | StepSkipped))
        assert max(outcomes.values()) == 1, f"{run_id}: {outcomes}"
        taken = [(e.message, e.body.value) for e in events if isinstance(e, SignalReceived)]
        assert taken == list(enumerate(self.signals[run_id], 1)), f"{run_id}: signals were lost"
        async with WorkflowEngine(self.client_store, skills()) as engine:
            result = await engine.run(document, run_id, seed=int(run_id[4:]))
        assert result.workflow_hash == expected.workflow_hash, f"{run_id}: {result.steps} {expected.steps}"
        assert (result.status, result.step_hashes) == (expected.status, expected.step_hashes)

    async def undisturbed(self) -> dict[str, WorkflowResult]:
        """The same runs in memory, side by side, where nobody is killed and the signals are there from the start."""
        async with WorkflowEngine(MemoryStore(), skills()) as engine:

            async def alone(run_id: str) -> WorkflowResult:
                document, _ = self.runs[run_id]
                await engine.start(document, run_id, seed=int(run_id[4:]))
                for body in self.signals[run_id]:
                    await engine.signal(run_id, "go", body)
                return await engine.run(document, run_id, seed=int(run_id[4:]))

            return dict(zip(self.runs, await asyncio.gather(*map(alone, self.runs)), strict=True))

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


def kill(worker: subprocess.Popen[bytes]) -> None:
    """End a process at once, and let go of what leads to it."""
    worker.kill()
    worker.wait()
    if worker.stdin is not None:
        worker.stdin.close()
