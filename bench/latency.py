"""How long a short run takes from the call that starts it until its end is durable."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from figures import Figure
from processes import working
from workload import RUNS, chain_spec

from refold import WorkflowEngine

STEPS = 3


async def through_a_worker(url: str, concurrency: int, starts: int, apart: float) -> list[float]:
    """Seconds of each run: started in this process, worked on in another one.

    So many clients at once start one run after the other, and let `apart` seconds go by between two.
    """
    async with working(url, max(concurrency, 100)) as expect, WorkflowEngine(url) as engine:
        spec = chain_spec(STEPS)

        async def one(run_id: str) -> float:
            end = expect(run_id)
            began = time.time_ns()
            await engine.start(spec, run_id)
            return (await asyncio.wait_for(end, 60) - began) / 1e9

        await one(f"warm-up-{time.time_ns()}")
        return await _clients(one, concurrency, starts, apart)


async def embedded(url: str, concurrency: int, starts: int) -> list[float]:
    """Seconds of each run, started and worked on in this process."""
    async with WorkflowEngine(url) as engine:
        spec = chain_spec(STEPS)

        async def one(run_id: str) -> float:
            began = time.perf_counter()
            await engine.run(spec, run_id)
            return time.perf_counter() - began

        await one(f"warm-up-{time.time_ns()}")
        return await _clients(one, concurrency, starts, 0)


async def _clients(one: Callable[[str], Awaitable[float]], clients: int, starts: int, apart: float) -> list[float]:
    label = f"{time.time_ns():x}"

    async def client(number: int) -> list[float]:
        took: list[float] = []
        for n in range(starts):
            await asyncio.sleep(apart)
            took.append(await one(f"{label}-{number}-{n}"))
        return took

    return [seconds for took in await asyncio.gather(*map(client, range(clients))) for seconds in took]


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def latency_figures(store: str, url: str, rounds: int, progress: Callable[[str], None]) -> list[Figure]:
    """p50 and p99 for one client and for a hundred, through a worker and embedded, which is the other's limit."""
    found: list[Figure] = []
    for clients in (1, min(100, RUNS)):
        starts = max(1, min(RUNS // 40, 12)) if clients == 1 else 3
        # One client comes to a worker that has been idle for a while; a hundred leave it no rest.
        apart = 0.3 if clients == 1 else 0.0
        taken: dict[str, list[list[float]]] = {"embedded": [], "worker": []}
        for _ in range(rounds):
            progress(f"latency, {store}, {clients} clients")
            taken["embedded"].append(asyncio.run(embedded(url, clients, starts)))
            taken["worker"].append(asyncio.run(through_a_worker(url, clients, starts, apart)))
        for share in (0.5, 0.99):
            values = {way: [percentile(each, share) * 1000 for each in lists] for way, lists in taken.items()}
            label = f"3-step run, {store}, {clients} at once, p{share * 100:.0f}"
            limit = statistics.median(values["embedded"])
            found += [
                Figure(f"{label}, embedded", "ms", values["embedded"], higher_is_better=False),
                Figure(f"{label}, worker", "ms", values["worker"], limit, None, False, "limit: embedded"),
            ]
    return found
