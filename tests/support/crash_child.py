"""A process that works on runs until it is killed, and says what it was told is safe.

Each event that the engine reports as durable becomes a line of the side file, written by one system call: what stands
there was acknowledged, whatever happens to the process afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from random import Random
from typing import Any

from refold import (
    Failure,
    OwnershipLostError,
    RunOwnedError,
    SkillRegistry,
    StepContext,
    WorkflowEngine,
    WorkflowResult,
)
from refold.core.events import Event

from .oracle import SkillFailedError
from .own_codes import OWN_CODES
from .random_specs import behave, random_spec

SPECS = 6
"""Random specs of one generation; one with an at-most-once step comes on top."""


def specs_of(generation: int) -> dict[str, dict[str, Any]]:
    """The runs of a generation, by id. The last has a step that must not run twice."""
    specs = {
        f"g{generation}-{number}": random_spec(
            Random(f"{generation} {number}"), ("async_work", "thread_work", "guess_work")
        )
        for number in range(SPECS)
    }
    once = [{"step_id": "once", "skill_id": "once", "on_error": "continue"}]
    then = [{"step_id": "then", "skill_id": "async_work", "depends_on": ["once"]}]
    specs[f"g{generation}-once"] = {"workflow_type": "once", "steps": once + then}
    return specs


def seed_of(run_id: str) -> int:
    """The seed of a run."""
    return Random(run_id).getrandbits(53)


def skills_in(folder: Path | None, random: Random) -> SkillRegistry:
    """The skills of `random_specs`, taking a few milliseconds each; `once` leaves a line in `folder` at each call."""
    registry = SkillRegistry()

    async def work(skill_id: str, inputs: dict[str, Any], ctx: StepContext) -> Any:
        await asyncio.sleep(random.random() * 0.01)
        return result(skill_id, inputs, ctx)

    def result(skill_id: str, inputs: dict[str, Any], ctx: StepContext) -> Any:
        try:
            return behave(skill_id, inputs, ctx.seed, ctx.attempt)
        except SkillFailedError as error:
            raise Failure(error.code, "as wanted", retryable=None if error.again else False) from None

    @registry.skill("async_work", deterministic=True, failures=OWN_CODES)
    async def async_work(ctx: StepContext, **inputs: Any) -> Any:
        return await work("async_work", inputs, ctx)

    @registry.skill("guess_work", failures=OWN_CODES)
    async def guess_work(ctx: StepContext, **inputs: Any) -> Any:
        return await work("guess_work", inputs, ctx)

    @registry.skill("thread_work", deterministic=True, failures=OWN_CODES)
    def thread_work(ctx: StepContext, **inputs: Any) -> Any:
        return result("thread_work", inputs, ctx)

    @registry.skill("once", at_most_once=True)
    async def once(ctx: StepContext) -> str:
        if folder is not None:
            _append(folder / "once", ctx.run_id)
        await asyncio.sleep(0.02)
        return ctx.run_id

    return registry


def work_until_killed(url: str, folder: str, generation: int, seed: int) -> None:
    """Drive all runs of `generation` to their end; the entry point of the child process."""
    asyncio.run(_work(url, Path(folder), generation, seed))


async def _work(url: str, folder: Path, generation: int, seed: int) -> None:
    told = os.open(folder / "acknowledged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def observe(stream: str, version: int, event: Event) -> None:
        os.write(told, (json.dumps([stream, version, event.topic]) + "\n").encode())

    async with WorkflowEngine(url, skills_in(folder, Random(seed)), observer=observe) as engine:
        runs = specs_of(generation)
        await asyncio.gather(*(_drive(engine, run_id, spec) for run_id, spec in runs.items()))


async def _drive(engine: WorkflowEngine, run_id: str, spec: dict[str, Any]) -> WorkflowResult:
    while True:
        try:
            return await engine.run(spec, run_id, seed_of(run_id))
        except (OwnershipLostError, RunOwnedError):
            # The last commit of the process before was still under way in the database.
            await asyncio.sleep(0.01)


def _append(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (line + "\n").encode())
    os.close(file)
