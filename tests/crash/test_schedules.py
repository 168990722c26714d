"""However many workers there are, and whatever becomes of them, each firing of a schedule happens once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from refold import Schedule, WorkflowEngine
from refold.replay.verify import verify_run
from refold.tests.support.workflows import spec, step

FIRINGS = 6
SECONDS = 60
"""Far longer than the firings take: whoever gets here has lost one."""


async def test_a_killed_worker_costs_no_firing_on_sqlite(tmp_path: Path) -> None:
    await each_second(f"sqlite:///{tmp_path}/log.db", tmp_path)


async def test_a_killed_worker_costs_no_firing_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    await each_second(postgres_url, tmp_path)


async def each_second(url: str, folder: Path) -> None:
    """Two workers fire each second, one of them is killed, another one comes."""
    schedule = Schedule(
        schedule_id="tick", spec=spec(step("a")), every="1s", catch_up="all", overlap="allow", time_input="at"
    )
    async with WorkflowEngine(url) as engine:
        await engine.schedules.create(schedule)
        workers = [worker(url, folder), worker(url, folder)]
        try:
            await fired(engine, 2)
            # Whichever holds the schedule now or next, within these firings each of them is gone once.
            for number in range(2):
                workers[number].send_signal(signal.SIGKILL)
                workers[number].wait()
                workers.append(worker(url, folder))
                await fired(engine, 4 + 2 * number)
            await engine.schedules.delete("tick")
        finally:
            for process in workers:
                process.kill()
                process.wait()
        status = await engine.schedules.get("tick")
        runs = [stream.removeprefix("default/tick.") for stream in engine.store.streams("default")]
        times = sorted(datetime.strptime(run, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for run in runs if "/" not in run)
        assert len(times) == status.fired >= FIRINGS
        assert [later - earlier for earlier, later in pairwise(times)] == ([timedelta(seconds=1)] * (len(times) - 1)), (
            "a firing is missing, or happened twice"
        )
        assert verify_run(engine.store, "tick").ok


def worker(url: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "REFOLD_DATABASE_URL": url}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "refold", "worker"], cwd=folder, env=environment, stderr=subprocess.DEVNULL
    )


async def fired(engine: WorkflowEngine, count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while (await engine.schedules.get("tick")).fired < count:
        assert time.monotonic() < deadline, f"after {SECONDS} s there are fewer than {count} firings"
        await asyncio.sleep(0.05)
