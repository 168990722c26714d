"""Jobs over many runs: chain and fold, and all four proofs, read from the store, by one process and by one a core."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import limits
import workload
from figures import Figure

from refold import SkillRegistry, open_store
from refold.compose import BUILD
from refold.ops.fleet_pool import ProcessCrew
from refold.ops.fleet_worker import Setup, prover_of
from refold.replay.fleet import Order, Query, pinned
from refold.replay.jobs import JobEnd, LocalCrew, run_job
from refold.replay.today import code_of
from refold.replay.verdicts import PROOFS, Proof

FLEET_RUNS = 8 * workload.RUNS
"""Runs that are proved: 48,000 events, unless told otherwise."""

WANTED_EVENTS = 100_000
"""Chain and fold, events a second, one process."""


def proving_figures(folder: Path, rounds: int, progress: Callable[[str], None]) -> list[Figure]:
    """Jobs on a log in SQLite; the limit is hashing and parsing the same bytes once, in one process."""
    progress("proving fleets")
    url = workload.sqlite_url(folder, "fleet.db")
    workload.run_side_by_side(url, FLEET_RUNS, workload.RUNS)
    records = workload.stored_records(url)
    parsed = len(records) / limits.hash_and_parse(records)
    figures: list[Figure] = []
    for name, proofs in (("chain and fold", PROOFS[:2]), ("all four proofs", PROOFS)):
        for processes in sorted({1, max(2, len(os.sched_getaffinity(0)))}):
            taken = [_job(url, proofs, processes) for _ in range(rounds)]
            target = WANTED_EVENTS if processes == 1 and proofs != PROOFS else None
            beside = f"{processes} process{'es' if processes > 1 else ''}"
            figures.append(Figure(f"job of {name}, SQLite, {beside}", "events/s", taken, parsed, target))
    return figures


def _job(url: str, proofs: tuple[Proof, ...], processes: int) -> float:
    """Events a second of a whole job; several processes have to start, too."""
    skills = SkillRegistry()
    with closing(open_store(url, migrate=False)) as store:
        order = Order(Query(), proofs, None, *pinned(store), code_of(skills, BUILD, None))
        started = time.perf_counter()
        if processes == 1:
            with LocalCrew(store, prover_of(store, skills, order), order) as crew:
                end = run_job(store, order, crew)
        else:
            with ProcessCrew(Setup(url, [], order.to_json()), processes) as crew:
                end = run_job(store, order, crew)
        return _sound(end) / (time.perf_counter() - started)


def _sound(end: JobEnd) -> int:
    if end.tally.verdicts["equal"] != end.tally.runs:
        raise SystemExit(f"a sound run was not found equal: {end.first[:1]}")
    return end.tally.events
