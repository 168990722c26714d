"""Prometheus and Alertmanager themselves say that their files are right, and their rules do what they are meant to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from refold.tests.support.root_package import ROOT

ALERTS = ROOT / "ops/alerts"


@pytest.mark.parametrize(
    "words",
    [
        ("promtool", "check", "rules", "refold.yaml"),
        ("promtool", "check", "config", "prometheus.yaml"),
        ("amtool", "check-config", "alertmanager.yaml"),
    ],
    ids=lambda words: words[-1],
)
def test_a_file_is_accepted(words: tuple[str, ...]) -> None:
    checked = subprocess.run(words, cwd=ALERTS, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", sorted((ALERTS / "tests").glob("*.yaml")), ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    tested = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=critical group=cost", "on-call"),
        ("severity=warning group=cost", "team"),
        ("severity=warning", "team"),
    ],
)
def test_critical_alerts_wake_somebody_and_others_do_not(labels: str, receiver: str) -> None:
    words = ["amtool", "config", "routes", "test", "--config.file=alertmanager.yaml", *labels.split()]
    assert subprocess.run(words, cwd=ALERTS, capture_output=True, text=True).stdout.strip() == receiver
