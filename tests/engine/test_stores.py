"""The same run on every store and at any width has the same hash; large specs run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from refold import Limits, WorkflowEngine, WorkflowResult
from refold.replay.verify import verify_run
from refold.tests.support.oracle import serial_run
from refold.tests.support.random_specs import Gates, behave, random_spec, work_skills
from refold.tests.support.workflows import soon, spec, step

pytestmark = pytest.mark.timeout(110)

RUNS = 40


async def all_runs(url: str, limits: Limits | None = None) -> dict[str, str | None]:
    """The workflow hashes of the same random runs, run side by side on the store at `url`."""
    gates = Gates()
    gates.open()

    async def one(engine: WorkflowEngine, seed: int) -> WorkflowResult:
        return await engine.run(random_spec(Random(seed)), f"r{seed}", seed)

    async with WorkflowEngine(url, work_skills(gates), limits=limits) as engine:
        results = await soon(asyncio.gather(*(one(engine, seed) for seed in range(RUNS))))
        for result in results:
            verification = await asyncio.to_thread(verify_run, engine.store, result.run_id)
            assert verification.ok and verification.workflow_hash == result.workflow_hash
    return {result.run_id: result.workflow_hash for result in results}


async def test_the_hash_is_the_same_on_every_store_and_at_any_width(tmp_path: Path, postgres_url: str) -> None:
    expected = {
        f"r{seed}": serial_run(random_spec(Random(seed)), f"r{seed}", seed, None, behave).workflow_hash
        for seed in range(RUNS)
    }
    assert await all_runs("memory:") == expected
    assert await all_runs("memory:", Limits(parallel_steps=1)) == expected
    assert await all_runs(f"sqlite:///{tmp_path}/log.db") == expected
    assert await all_runs(postgres_url) == expected


def chain() -> dict[str, Any]:
    """10,000 steps, one after the other."""
    return spec(step("s0", n=0), *(step(f"s{n}", n=f"${{s{n - 1}.n}}") for n in range(1, 10_000)))


def fan() -> dict[str, Any]:
    """One step, 9,998 that depend on it, and one that depends on all of those."""
    middle = [step(f"s{n}", depends_on=["first"]) for n in range(9_998)]
    return spec(step("first"), *middle, step("last", depends_on=[one["step_id"] for one in middle]))


@pytest.mark.parametrize("make", [chain, fan])
async def test_a_spec_of_10_000_steps_runs(make: Any) -> None:
    async with WorkflowEngine("memory:") as engine:
        async with asyncio.timeout(60):
            result = await engine.run(make(), "r")
            again = await engine.run(make(), "r", replay=True)
        assert result.success and len(result.step_hashes) == 10_000
        assert again.workflow_hash == result.workflow_hash
        assert (await asyncio.to_thread(verify_run, engine.store, "r")).ok
