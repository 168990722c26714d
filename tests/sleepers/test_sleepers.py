"""Many sleeping runs cost rows, not tasks: a worker puts them all to sleep, is killed, and all wake, none twice.

REFOLD_SLEEPERS says how many; REFOLD_SLEEPERS_PACE how many runs a second this machine can at least start and put to
sleep, and wake, from which the times of waking follow; REFOLD_SLEEPERS_SEED which are verified.
The figures are printed.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import psycopg
import pytest

from refold import WorkflowEngine, WorkflowSpec
from refold.replay.verify import verify_run
from refold.tests.support.sleeper_figures import MEGABYTE, Figures, Memory, awakenings, spread
from refold.tests.support.workflows import spec, step

RUNS = int(os.environ.get("REFOLD_SLEEPERS", "500"))
PACE = float(os.environ.get("REFOLD_SLEEPERS_PACE", "800"))
SEED = int(os.environ.get("REFOLD_SLEEPERS_SEED", "0"))
CROWD = min(1000, RUNS // 5)
"""These wake at one moment; of the others every twentieth waits for a signal, the rest for a time of its own."""
LEAD_SECONDS = 8 + RUNS / PACE
"""From the first start to the moment when the crowd wakes; by then all must be asleep."""
SPREAD_SECONDS = 2 + RUNS / PACE
"""For so long the others wake after the crowd."""
SAMPLE = 2000
"""So many runs are verified in full."""
MOST_MEMORY = 300 * MEGABYTE
MOST_LATE_SECONDS = 5.0

pytestmark = pytest.mark.timeout(int(3 * (LEAD_SECONDS + SPREAD_SECONDS)) + 180)

COMPLETED = Counter(["run.started", "step.waiting", "step.completed", "run.completed"])
ANSWERED = COMPLETED + Counter(["message.sent", "signal.received"])


async def test_sleeping_runs_are_rows_on_sqlite(tmp_path: Path) -> None:
    await campaign(f"sqlite:///{tmp_path}/log.db")


async def test_sleeping_runs_are_rows_on_postgres(postgres_url: str) -> None:
    await campaign(postgres_url)


async def campaign(url: str) -> None:
    """Start, sleep, die, wake; then count."""
    figures = Figures(url.partition(":")[0], RUNS)
    async with WorkflowEngine(url) as client:
        sleepers = Sleepers(url, client, figures)
        try:
            await sleepers.start()
            await sleepers.fall_asleep()
            await sleepers.wake()
        finally:
            sleepers.end()
        sleepers.count()
    print(f"\n{figures.report()}")  # noqa: T201
    assert figures.megabytes_max * MEGABYTE < MOST_MEMORY
    assert figures.late["crowd"].p99 < MOST_LATE_SECONDS


class Sleepers:
    """One campaign: its runs, and the worker of the moment."""

    def __init__(self, url: str, client: WorkflowEngine, figures: Figures):
        self._url = url
        self._client = client
        self._store: Any = client.store
        self._figures = figures
        self._crowd_wakes = time.time() + LEAD_SECONDS
        self._worker: subprocess.Popen[bytes] | None = None
        self._memory: Memory | None = None

    def _kind(self, number: int) -> str:
        if number < CROWD:
            return "crowd"
        return "signalled" if number % 20 == 0 else "others"

    async def _start(self, number: int) -> None:
        kind = self._kind(number)
        later = self._crowd_wakes + 1 + SPREAD_SECONDS * number / RUNS - time.time()
        inputs = {"crowd": {"at": self._crowd_wakes}, "others": {"seconds": max(1.0, later)}, "signalled": {}}[kind]
        await self._client.start(_SPECS[kind], f"run-{number}", inputs=inputs)

    async def start(self) -> None:
        """Record all runs; nobody works on them yet."""
        began = time.perf_counter()
        for first in range(0, RUNS, 500):
            await asyncio.gather(*map(self._start, range(first, min(first + 500, RUNS))))
        self._figures.started_per_second = RUNS / (time.perf_counter() - began)

    async def fall_asleep(self) -> None:
        """Let a worker put them all to sleep, and look at what it costs to have them there."""
        began = time.perf_counter()
        memory = self._work()
        while asleep(self._url) < RUNS:
            assert time.time() < self._crowd_wakes, f"{asleep(self._url)} of {RUNS} are asleep: set a lower pace"
            await asyncio.sleep(0.2)
        self._figures.seconds_to_sleep = time.perf_counter() - began
        samples, used, since = list[int](), memory.cpu_seconds(), time.perf_counter()
        while len(samples) < 20:
            samples.append(memory.now())
            await asyncio.sleep(0.1)
        self._figures.cpu_percent_asleep = 100 * (memory.cpu_seconds() - used) / (time.perf_counter() - since)
        self._figures.megabytes_asleep = median(samples) / MEGABYTE
        assert asleep(self._url) == RUNS, "some woke before their time"

    async def wake(self) -> None:
        """Kill the worker and start another; once more when half of them have ended; and answer those who wait."""
        self._kill()
        self._work()
        await asyncio.sleep(self._crowd_wakes - time.time())
        answers = asyncio.create_task(self._answer())
        give_up = time.monotonic() + 2 * SPREAD_SECONDS + 60
        while left := open_runs(self._url):
            assert time.monotonic() < give_up, f"{left} runs never woke"
            if left < RUNS / 2 and self._figures.kills < 2:
                self._kill()
                self._work()
            await asyncio.sleep(0.1)
        await answers

    async def _answer(self) -> None:
        numbers = [number for number in range(RUNS) if self._kind(number) == "signalled"]
        for first in range(0, len(numbers), 20):
            signals = (self._client.signal(f"run-{n}", "go", n) for n in numbers[first : first + 20])
            await asyncio.gather(*signals)
            await asyncio.sleep(SPREAD_SECONDS * 20 / (2 * len(numbers)))

    def count(self) -> None:
        """Look at every event of the log, and verify some runs in full."""
        found = awakenings(self._store)
        assert len(found) == RUNS
        lateness: dict[str, list[float]] = {"crowd": [], "others": [], "signalled": []}
        for number in range(RUNS):
            run, kind = found[f"run-{number}"], self._kind(number)
            lateness[kind].append(run.late)
            self._figures.twice += max(run.topics.values()) > 1
            assert run.topics == (ANSWERED if kind == "signalled" else COMPLETED), (number, run.topics)
            assert kind == "signalled" or run.late >= 0, f"run-{number} woke {-run.late} s before its time"
        self._figures.woken = len(found)
        self._figures.late = {kind: spread(late) for kind, late in lateness.items()}
        for number in Random(SEED).sample(range(RUNS), min(SAMPLE, RUNS)):
            verification = verify_run(self._store, f"run-{number}")
            assert verification.ok, (f"seed {SEED}", number, verification)

    def _work(self) -> Memory:
        command = [sys.executable, "-P", "-m", "refold", "worker", "--database", self._url]
        command += ["--skills", "refold.tests.support.sleeper_skills"]
        self._worker = subprocess.Popen(command)
        self._memory = Memory(self._worker.pid)
        return self._memory

    def _kill(self) -> None:
        assert self._worker is not None
        assert self._worker.poll() is None, "the worker ended by itself"
        self.end()
        self._figures.kills += 1

    def end(self) -> None:
        """Kill the worker, if there is one, and note what memory it needed."""
        if self._memory is not None:
            self._memory.stop()
            highest = self._memory.highest / MEGABYTE
            self._figures.megabytes_max = max(self._figures.megabytes_max, highest)
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()


_SPECS = {
    kind: WorkflowSpec.parse(spec(step("nap", skill, **inputs)))
    for kind, skill, inputs in (
        ("crowd", "sleep_until", {"at": "${inputs.at}"}),
        ("others", "sleep", {"seconds": "${inputs.seconds}"}),
        ("signalled", "wait_signal", {"name": "go", "timeout_seconds": 86_400}),
    )
}


def asleep(url: str) -> int:
    """How many runs are held by nobody and due later."""
    return _number(url, "SELECT count(*) FROM dispatch WHERE owner IS NULL AND due_at > " + _NOW[url[:6]])


def open_runs(url: str) -> int:
    """How many runs have not ended."""
    return _number(url, "SELECT count(*) FROM dispatch")


_NOW = {"sqlite": "unixepoch('now')", "postgr": "extract(epoch FROM now())"}


def _number(url: str, sql: str) -> int:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()
    with psycopg.connect(url) as connection:
        row = connection.execute(sql.encode()).fetchone()
        return row[0] if row else 0
