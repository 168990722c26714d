"""Taking up a run of 100,000 events from its checkpoint, beside folding all of them.

What is timed is all that a worker does before it can decide: reading the head, the first event, the checkpoint and the
events after it, checking and restoring. The plan of the spec is made beforehand, as it is where such a run has rested
and comes back.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from figures import Figure
from workload import sqlite_url

from refold import SkillRegistry, WorkflowEngine, open_store
from refold.core.runtime.history import History
from refold.eventstore.log import EventLog
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.projections.checkpoints import CheckpointsProjection, RunCheckpoints
from refold.projections.runner import Runner, generation_for

EVENTS = 100_000
SHAPES = (1_000, 9_000)
"""Steps of the runs: of few that are tried often, and of many."""

_STREAM = "default/long"


def resuming_figures(folder: Path, rounds: int) -> list[Figure]:
    """Milliseconds to take a run up, for each shape; the limit is what the whole history takes."""
    return [_figure(sqlite_url(folder, f"long-{steps}.db"), steps, rounds) for steps in SHAPES]


def _figure(url: str, steps: int, rounds: int) -> Figure:
    asyncio.run(_grow(url, steps))
    store = open_store(url)
    try:
        _follow(store)
        log = EventLog(store, "")
        quick = History(log, RunCheckpoints(store.tables))
        took = [asyncio.run(_time(quick)) for _ in range(rounds + 1)][1:]
        whole = asyncio.run(_time(History(log)))
    finally:
        store.close()
    return Figure(f"resuming a run of 100,000 events, {steps:,} steps", "ms", took, whole, 50, higher_is_better=False)


async def _time(history: History) -> float:
    started = time.perf_counter()
    past = await history.past(_STREAM)
    past.state()
    return (time.perf_counter() - started) * 1000


def _follow(store: Store) -> None:
    projection = CheckpointsProjection()
    of = generation_for(store, projection)
    assert of is not None
    runner = Runner(store, projection, this_process(uuid4().hex), of)
    while runner.step():
        pass
    runner.release()


def _waits(store: Store) -> bool:
    head = store.heads([_STREAM]).get(_STREAM)
    return head is not None and any(each.topic == "step.waiting" for each in store.read(_STREAM, head.version - 1))


async def _grow(url: str, steps: int) -> None:
    """A run of so many steps, each tried until it all makes 100,000 events, that waits for a signal in the end."""
    tries = EVENTS // steps
    skills = SkillRegistry()
    tried: dict[int, int] = {}

    @skills.skill("stubborn", deterministic=True)
    def stubborn(n: int) -> int:
        tried[n] = tried.get(n, 0) + 1
        if tried[n] < tries:
            raise ConnectionError("not yet")
        return n

    retry = {"max_retries": tries, "retry": {"initial_seconds": 0}}
    every: list[dict[str, Any]] = [
        {"step_id": f"s{n}", "skill_id": "stubborn", "inputs": {"n": n}, **retry} for n in range(steps)
    ]
    after = [step["step_id"] for step in every]
    every.append({"step_id": "asked", "skill_id": "wait_signal", "inputs": {"name": "go"}, "depends_on": after})
    async with WorkflowEngine(url, skills) as engine:
        run = asyncio.create_task(engine.run({"workflow_type": "long", "steps": every}, "long"))
        while not run.done() and not _waits(engine.store):  # noqa: ASYNC110 (the log tells nobody)
            await asyncio.sleep(0.1)
    await asyncio.gather(run, return_exceptions=True)
