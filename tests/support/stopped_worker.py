"""A worker process of the emergency stop's tests: `python -P -m refold.tests.support.stopped_worker URL FILE`.

Each attempt leaves a line in FILE as it begins: the time in microseconds, the process, the run and the step. The worker
drains when its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from random import Random
from typing import Any, NamedTuple

from refold import SkillRegistry, StepContext, Worker, WorkflowEngine
from refold.eventstore.memory import MemoryStore

from .workflows import spec, step

STEPS = 10


class Begun(NamedTuple):
    """An attempt that began: when (microseconds since the epoch), where, and of which step."""

    at: int
    pid: int
    run_id: str
    step_id: str


def load(kind: str = "load") -> dict[str, Any]:
    """A run of some seconds: steps of 0.1 to 0.4 s, two side by side."""
    steps = [
        step(f"s{n}", ("work", "threaded")[n % 2], depends_on=[f"s{n - 2}"] if n > 1 else [], n=n) for n in range(STEPS)
    ]
    return spec(*steps, workflow_type=kind)


def skills(told: int | None) -> SkillRegistry:
    """Skills whose outcome follows from the seed alone; `told` is the descriptor of the file of beginnings."""
    registry = SkillRegistry()

    def begin(ctx: StepContext) -> None:
        if told is not None:
            line = f"{time.time_ns() // 1000} {os.getpid()} {ctx.run_id} {ctx.step_id}\n"
            os.write(told, line.encode())

    def seconds(ctx: StepContext) -> float:
        return 0.1 + Random(ctx.seed).random() * 0.3

    @registry.skill("work", deterministic=True)
    async def work(ctx: StepContext, n: int) -> int:
        begin(ctx)
        if told is not None:
            await asyncio.sleep(seconds(ctx))
        return ctx.seed + n

    @registry.skill("threaded", deterministic=True)
    def threaded(ctx: StepContext, n: int) -> int:
        begin(ctx)
        if told is not None:
            time.sleep(seconds(ctx))
        return ctx.seed - n

    return registry


async def undisturbed(run_id: str, seed: int, tenant: str) -> str | None:
    """The workflow hash of a run that nobody stops."""
    async with WorkflowEngine(MemoryStore(), skills(None)) as engine:
        return (await engine.run(load(), run_id, seed, tenant=tenant)).workflow_hash


def read_begun(path: str) -> list[Begun]:
    """What the file of beginnings holds."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split() for line in file]
    return [Begun(int(at), int(pid), run_id, step_id) for at, pid, run_id, step_id in lines]


async def main(url: str, path: str) -> None:
    """Work until nobody writes to our standard input any more."""
    told = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    worker = Worker(url, skills(told), queues=["default", "free"], concurrency=12, lease_seconds=5)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ended.add_done_callback(lambda _: worker.drain())
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
