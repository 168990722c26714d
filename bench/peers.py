"""Refold beside DBOS: the same chain of ten steps, as many runs at a time, on the same server, in the same minutes."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import workload
from figures import Figure, interleaved
from scaling import drain

from refold.tests.support.postgres import fresh_database

CHILD = Path(__file__).parent / "dbos_child.py"
CONCURRENCY = (50, 200)
TARGET = 20
"""So many times as fast as DBOS is the embedded engine to be."""


def dbos(server: str, form: str, concurrency: int, runs: int) -> float:
    """Steps a second of DBOS in a fresh database, `form` being async or sync."""
    with fresh_database(server) as url:
        command = [sys.executable, "-P", CHILD, url, form, str(runs), str(concurrency)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}")
    return runs * workload.STEPS / float(done.stdout.split()[-1])


def peer_figures(server: str, url: str, rounds: int, progress: Callable[[str], None]) -> list[Figure]:
    """DBOS, and beside it Refold embedded and as one worker; `url` is Refold's database on `server`."""
    if importlib.util.find_spec("dbos") is None:
        return [Figure("DBOS", "steps/s", (), note="not installed: pip install 'refold[bench]'")]
    found: list[Figure] = []
    for concurrency in CONCURRENCY:
        try:
            found += _beside(server, url, rounds, progress, concurrency)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            found.append(Figure(f"DBOS, {concurrency} at a time", "steps/s", (), note=f"failed: {error}"))
    return found


def _beside(server: str, url: str, rounds: int, progress: Callable[[str], None], concurrency: int) -> list[Figure]:
    runs = workload.RUNS
    # Steps a second do not depend on how many runs there are; DBOS is given fewer, or it would take minutes.
    few = min(runs, max(100, concurrency))
    steps = runs * workload.STEPS
    embedded, worker = f"Refold embedded, {concurrency} at a time", f"one Refold worker, {concurrency} at a time"
    taken = interleaved(
        {
            "async": lambda: dbos(server, "async", concurrency, few),
            embedded: lambda: steps / workload.run_side_by_side(url, runs, min(concurrency, runs)),
            "sync": lambda: dbos(server, "sync", concurrency, few),
            worker: lambda: drain(url, 1, concurrency, runs),
        },
        rounds,
        progress,
    )
    form = max(("async", "sync"), key=lambda form: statistics.median(taken[form]))
    best = statistics.median(taken[form])
    return [
        Figure(f"DBOS 3.4.0 ({form}), {concurrency} at a time", "steps/s", taken[form]),
        Figure(embedded, "steps/s", taken[embedded], best, TARGET * best, note="limit: DBOS"),
        Figure(worker, "steps/s", taken[worker], best, note="limit: DBOS"),
    ]
