"""Workers in processes of their own: how fast they drain runs that were recorded beforehand."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import workload
from figures import Figure, interleaved
from processes import WorkerProcess, worker_processes

from refold import WorkflowEngine

COUNTS = (1, 2, 4)


def drain(url: str, workers: int, concurrency: int, runs: int) -> float:
    """Durable steps a second while so many workers, told to go at once, end `runs` recorded runs."""
    asyncio.run(_record(url, runs))
    with worker_processes(url, workers, concurrency) as processes:
        ended = threading.Semaphore(0)
        listeners = [threading.Thread(target=_count, args=(process, ended)) for process in processes]
        for listener in listeners:
            listener.start()
        started = time.perf_counter()
        for process in processes:
            process.go()
        for _ in range(runs):
            if not ended.acquire(timeout=60):
                raise SystemExit("the workers came to a halt: the figure would mean nothing")
        seconds = time.perf_counter() - started
        for process in processes:
            process.end()
        for listener in listeners:
            listener.join()
    return runs * workload.STEPS / seconds


async def _record(url: str, runs: int) -> None:
    async with WorkflowEngine(url) as engine:
        spec = workload.chain_spec()
        label = f"{time.time_ns():x}"
        await asyncio.gather(*(engine.start(spec, f"{label}-{n}") for n in range(runs)))


def _count(process: WorkerProcess, ended: threading.Semaphore) -> None:
    with suppress(ValueError):  # the pipe was closed: the parent gave up
        for _ in process.ended():
            ended.release()


def scaling_figures(url: str, rounds: int, progress: Callable[[str], None]) -> list[Figure]:
    """One, two and four workers on the database at `url`, beside one."""
    runs = workload.RUNS
    names = {count: f"{count} worker{'s' if count > 1 else ''}, PostgreSQL, {runs} recorded runs" for count in COUNTS}
    taken = interleaved(
        {names[count]: lambda count=count: drain(url, count, runs, runs) for count in COUNTS}, rounds, progress
    )
    one = statistics.median(taken[names[1]])
    return [Figure(name, "steps/s", values, one, note="limit: one worker") for name, values in taken.items()]
