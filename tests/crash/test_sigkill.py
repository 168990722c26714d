"""A process killed with SIGKILL at random instants loses nothing that it was told is safe, and does nothing twice.

REFOLD_CRASHES says how many times it is killed on each store, REFOLD_CRASH_SEED begins another series.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from refold import WorkflowEngine, open_store
from refold.core.events import Event, StepCompleted, StepFailed, StepSkipped, StepStarted
from refold.eventstore.log import EventLog
from refold.eventstore.store import Store
from refold.replay.verify import verify_run
from refold.tests.support.crash_child import seed_of, skills_in, specs_of, work_until_killed
from refold.tests.support.oracle import serial_run
from refold.tests.support.random_specs import behave

CRASHES = int(os.environ.get("REFOLD_CRASHES", "30"))
FIRST_SEED = int(os.environ.get("REFOLD_CRASH_SEED", "0"))
LONGEST_WORK = 0.06
"""Seconds; about what a generation of runs takes undisturbed."""

_processes = multiprocessing.get_context("forkserver")


@pytest.mark.timeout(7200 if CRASHES > 100 else 110)
async def test_kills_on_sqlite(tmp_path: Path) -> None:
    await campaign(f"sqlite:///{tmp_path}/log.db", tmp_path)


@pytest.mark.timeout(7200 if CRASHES > 100 else 110)
async def test_kills_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    await campaign(postgres_url, tmp_path)


async def campaign(url: str, folder: Path) -> None:
    """Kill `CRASHES` processes, a few to each generation of runs, and look at what they leave."""
    _processes.set_forkserver_preload([work_until_killed.__module__])
    store = open_store(url)
    random = Random(FIRST_SEED)
    kills = hits = generation = 0
    while kills < CRASHES:
        seed = random.getrandbits(32)
        try:
            more_kills, more_hits = one_generation(url, folder, generation, Random(seed))
            kills, hits = kills + more_kills, hits + more_hits
            await check(store, folder, generation)
        except Exception as error:
            raise AssertionError(f"generation {generation} (seed {seed}, series {FIRST_SEED}): {error!r}") from error
        generation += 1
    store.close()
    assert hits >= kills / 4, f"only {hits} of {kills} kills came while runs were under way: they prove too little"


def one_generation(url: str, folder: Path, generation: int, random: Random) -> tuple[int, int]:
    """Start process after process on the same runs, each killed after a random while, until one gets to the end.

    Returns the number of kills, and how many of them came after something was acknowledged.
    """
    kills = hits = 0
    acknowledged = folder / "acknowledged"
    acknowledged.touch()
    while True:
        before = acknowledged.stat().st_size
        process = _processes.Process(
            target=work_until_killed, args=(url, str(folder), generation, random.getrandbits(32)), daemon=True
        )
        process.start()
        # Most of them get as far as to work, the others die as they start.
        early = random.random() < 0.15
        while not early and process.is_alive() and acknowledged.stat().st_size == before:
            time.sleep(0.002)
        # Ever longer lives: a machine too slow for the first ones must still get to the end.
        process.join(random.random() * LONGEST_WORK * (1 + kills / 10))
        if process.is_alive():
            process.kill()
            process.join()
        if process.exitcode == 0:
            return kills, hits
        assert process.exitcode == -9, f"the process failed by itself: exit code {process.exitcode}"
        kills += 1
        hits += acknowledged.stat().st_size > before


async def check(store: Store, folder: Path, generation: int) -> None:
    """All that must hold of a generation when its runs have ended."""
    log = EventLog(store, "test")
    events = {run_id: log.events(f"default/{run_id}") for run_id in specs_of(generation)}
    check_acknowledged(folder, events)
    for run_id, spec in specs_of(generation).items():
        verification = verify_run(store, run_id)
        assert verification.ok, [str(finding) for finding in verification.chain + verification.fold]
        outcomes = Counter(e.index for e in events[run_id] if isinstance(e, StepCompleted | StepFailed | StepSkipped))
        assert max(outcomes.values()) == 1, f"{run_id}: {outcomes}"
        async with WorkflowEngine(store, skills_in(None, Random(0))) as engine:
            result = await engine.run(spec, run_id, seed_of(run_id))
            await engine.run(spec, run_id, seed_of(run_id), replay=True)
        if run_id.endswith("once"):
            check_once(folder, run_id, events[run_id])
        else:
            expected = serial_run(spec, run_id, seed_of(run_id), None, behave)
            assert (result.workflow_hash, result.step_hashes) == (expected.workflow_hash, expected.step_hashes), run_id
            assert all(outcomes[index] == 1 for index in range(len(expected.step_hashes)))


def check_acknowledged(folder: Path, events: dict[str, list[Event]]) -> None:
    """What was reported as durable is in the log, where it was said to be."""
    for line in (folder / "acknowledged").read_text().splitlines():
        stream, version, topic = json.loads(line)
        run_id = stream.partition("/")[2]
        if run_id in events:
            found = events[run_id][version - 1].topic if version <= len(events[run_id]) else "nothing"
            assert found == topic, f"{topic} was acknowledged as event {version} of {stream}; there is {found}"


def check_once(folder: Path, run_id: str, events: list[Event]) -> None:
    """The at-most-once step was called at most once, and if it was not, nothing says that it succeeded."""
    path = folder / "once"
    calls = path.read_text().splitlines().count(run_id) if path.exists() else 0
    assert calls <= 1
    assert sum(isinstance(event, StepStarted) for event in events) == 1
    (outcome,) = [event for event in events if isinstance(event, StepCompleted | StepFailed) and event.index == 0]
    if isinstance(outcome, StepCompleted):
        assert calls == 1
    else:
        assert outcome.error_code == "INTERRUPTED"
