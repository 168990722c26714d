"""The short form of `make soak`: real processes under load and faults, then calm, then the judgement."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from refold.tests.soak.campaign import Plan, soak
from refold.tests.soak.memory import FEWEST, Life, Memory

SECONDS = float(os.environ.get("REFOLD_SOAK_SECONDS", "40"))
SEED = int(os.environ.get("REFOLD_SOAK_SEED", "1"))


@pytest.mark.timeout(int(SECONDS * 2) + 400)
async def test_under_faults_every_run_ends_and_every_proof_holds(tmp_path: Path) -> None:
    plan = Plan(SECONDS, SEED, tmp_path, pauses=(1, 4), rate=3, alerts=False, shortened=0.4)
    verdict = await soak(plan)
    assert verdict.fine, (tmp_path / "report.md").read_text()
    assert len(verdict.faults) >= SECONDS / 10
    assert verdict.started > SECONDS
    assert verdict.ended.keys() == {"completed", "failed"}


def test_a_process_that_grows_in_the_second_half_is_found() -> None:
    memory = Memory()
    steady, leaking = Life("steady", 1), Life("leaking", 2)
    for at in range(2 * FEWEST):
        noise = 3_000_000 * (at % 7 == 0)
        memory.series[steady].append((at, 100_000_000 + noise))
        memory.series[leaking].append((at, 100_000_000 + 200_000 * at + noise))
    found = {growth.life: growth for growth in memory.growths(FEWEST, 2 * FEWEST)}
    assert found[steady].fine
    assert not found[leaking].fine
