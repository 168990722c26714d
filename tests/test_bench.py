"""The benchmarks run at all, in their smallest form: what they measure then means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from refold.tests.support.shared_postgres import shared_server_url
from refold.tests.support.source import ROOT

pytestmark = pytest.mark.timeout(300)

TINY = {"REFOLD_BENCH_ROUNDS": "1", "REFOLD_BENCH_RUNS": "3"}


@pytest.fixture(scope="module")
def figures() -> dict[str, dict[str, Any]]:
    environment = {**os.environ, **TINY, "REFOLD_TEST_POSTGRES_URL": shared_server_url()}
    command = [sys.executable, "-P", ROOT / "bench" / "run.py", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return {figure["name"]: figure for figure in json.loads(done.stdout)}


@pytest.mark.parametrize(
    "name",
    [
        "durable steps, SQLite, 500 runs side by side",
        "one run alone, PostgreSQL",
        "chain and fold verification",
        "job of chain and fold, SQLite, 1 process",
        "job of all four proofs, SQLite, 2 processes",
        "Merkle appends",
        "rebuild of runs, SQLite, 1 process",
        "rebuild of checkpoints, PostgreSQL, 1 process",
        "goldens of ended runs, one process",
        "engine beside a projector, PostgreSQL",
        "checkpoints up again after 612 events, SQLite",
        "3-step run, SQLite, 1 at once, p50, embedded",
        "3-step run, PostgreSQL, 3 at once, p99, worker",
        "1 worker, PostgreSQL, 3 recorded runs",
        "4 workers, PostgreSQL, 3 recorded runs",
        "steps under rules, SQLite",
        "steps under a budget, PostgreSQL",
    ],
)
def test_the_report_has(figures: dict[str, dict[str, Any]], name: str) -> None:
    assert figures[name]["value"] > 0
    assert figures[name]["least"] <= figures[name]["value"] <= figures[name]["most"]


def test_dbos_is_compared_with_or_said_to_be_absent(figures: dict[str, dict[str, Any]]) -> None:
    lines = [figure for name, figure in figures.items() if name.startswith("DBOS")]
    assert lines and all(line["value"] or "not installed" in line["note"] for line in lines)
