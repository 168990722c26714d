"""What is measured: many runs of ten trivial steps, each step fed by the one before."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

from refold import WorkflowEngine, WorkflowSpec
from refold.core.policy.document import Policy
from refold.core.ports import Record

RUNS = int(os.environ.get("REFOLD_BENCH_RUNS", "500"))
"""How many runs at once, or one after the other; fewer only to try whether the benchmark itself works."""
STEPS = 10


def chain_spec(count: int = STEPS) -> WorkflowSpec:
    """`echo` steps in a row, ten unless told."""
    steps = [{"step_id": "s0", "skill_id": "echo", "inputs": {"n": 0, "text": "hello"}}]
    steps += [
        {"step_id": f"s{n}", "skill_id": "echo", "inputs": {"n": n, "text": f"${{s{n - 1}.text}}"}}
        for n in range(1, count)
    ]
    return WorkflowSpec.parse({"workflow_type": "bench", "steps": steps})


def run_side_by_side(url: str, runs: int = RUNS, concurrency: int | None = None, policy: Policy | None = None) -> float:
    """Seconds for `runs` runs of the chain, all at once or `concurrency` at a time, until the last has ended."""

    async def measure() -> float:
        async with WorkflowEngine(url, policy=policy) as engine:
            spec = chain_spec()
            await engine.run(spec, f"warm-up-{time.time_ns()}")
            label = f"{time.time_ns():x}"
            started = time.perf_counter()
            clients = concurrency or runs

            async def client(first: int) -> bool:
                results = [await engine.run(spec, f"run-{label}-{n}") for n in range(first, runs, clients)]
                return all(result.success for result in results)

            succeeded = await asyncio.gather(*map(client, range(clients)))
            seconds = time.perf_counter() - started
        if not all(succeeded):
            raise SystemExit("a run failed: the figure would mean nothing")
        return seconds

    return asyncio.run(measure())


def run_one_by_one(url: str, runs: int = 30) -> float:
    """Seconds that one step of a run takes when nothing else runs."""

    async def measure() -> float:
        async with WorkflowEngine(url) as engine:
            spec = chain_spec()
            await engine.run(spec, f"warm-up-{time.time_ns()}")
            label = f"{time.time_ns():x}"
            took: list[float] = []
            for n in range(runs):
                started = time.perf_counter()
                await engine.run(spec, f"single-{label}-{n}")
                # A run is one append more than it has steps.
                took.append((time.perf_counter() - started) / (STEPS + 1))
        return sorted(took)[len(took) // 2]

    return asyncio.run(measure())


def stored_records(url: str) -> list[Record]:
    """Everything that stands in the store, in the order of its commits."""
    from refold import open_store

    store = open_store(url)
    found: list[Record] = []
    position = 0
    while page := store.follow(position, 5000):
        found += [notification.record for notification in page]
        position = page[-1].position
    store.close()
    return found


def batches(records: Sequence[Record], size: int) -> list[Sequence[Record]]:
    """`records` in slices of `size`."""
    return [records[start : start + size] for start in range(0, len(records), size)]


def sqlite_url(folder: Path, name: str) -> str:
    """The URL of a database file in `folder`."""
    return f"sqlite:///{folder / name}"
