"""Jobs worked on in this process, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from refold.api.jobs.means import Means
from refold.compose import WorkflowEngine
from refold.core.job_log import Job
from refold.eventstore.memory import MemoryStore
from refold.ops.job_keeper import JobKeeper
from refold.ops.job_means import means_of

from .workflows import spec, step

WAITS = spec(step("ask", "wait_signal", inputs={"name": "go"}), workflow_type="ask")
"""A run that waits."""


@contextmanager
def kept(store: Any) -> Generator[None]:
    """Have the jobs of a store in memory worked on."""
    with JobKeeper(store, "memory:"):
        yield


def means(engine: WorkflowEngine, **others: Any) -> Means:
    """What jobs are worked on with in this process."""
    return replace(means_of(engine, "memory:"), **others)


async def waiting_runs(engine: WorkflowEngine, count: int) -> list[str]:
    """So many runs that nobody works on."""
    names = [f"run-{number}" for number in range(count)]
    for name in names:
        await engine.start(WAITS, name)
    return names


async def bulk(engine: WorkflowEngine, verb: str, runs: list[str], **others: Any) -> Job:
    """Ask for a job that tells these runs something."""
    what = {"verb": verb, "reason": "", "force": False, "filter": None, "run_ids": runs, **others}
    store = engine.store
    return (await engine.jobs.ask("bulk", what, await asyncio.to_thread(store.last_position)))[0]


def messages(store: Any, run_id: str) -> int:
    """How many messages a run was sent."""
    return len(store.read(f"default/{run_id}/inbox"))


def memory_engine() -> WorkflowEngine:
    """An engine that executes nothing, on a store of its own in memory."""
    return WorkflowEngine(MemoryStore(), parks=True)
