"""A short soak with real Prometheus and Alertmanager: faults raise their alerts, and these go away by the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.tests.soak.campaign import Plan, soak

FAULTS = ("lose a worker", "lose the database", "fill the disk of goldens", "corrupt a golden")


@pytest.mark.timeout(600)
async def test_faults_raise_their_alerts_which_go_away_by_the_cure(tmp_path: Path) -> None:
    plan = Plan(60, 1, tmp_path, pauses=(4, 8), rate=3, only=FAULTS, calm=10)
    verdict = await soak(plan)
    assert verdict.fine, (tmp_path / "report.md").read_text()
    assert {fault.kind for fault in verdict.faults if fault.raised and fault.resolved is not None} == set(FAULTS)
