"""Runs under crashes, lost answers, zombies and pauses: each ends as the oracle's serial, undisturbed run does.

REFOLD_SIMULATIONS says how many runs are simulated, REFOLD_SIMULATION_SEED where the seeds begin: to see one again,
    REFOLD_SIMULATION_SEED=<its seed> REFOLD_SIMULATIONS=1 pytest tests/property/test_simulation.py
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from refold import WorkflowEngine, WorkflowResult
from refold.core.events import Event, StepCompleted, StepFailed, StepSkipped
from refold.core.ports import EMPTY, Append, Schedule, Unit
from refold.core.results import result_of
from refold.core.state import fold
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import Sealer
from refold.replay.verify import verify_run
from refold.tests.support.oracle import Expected, serial_run
from refold.tests.support.random_specs import Gates, behave, random_spec, work_skills
from refold.tests.support.simulation import Simulation
from refold.tests.support.states import check_expected, slots_of

SIMULATIONS = int(os.environ.get("REFOLD_SIMULATIONS", "2000"))
FIRST_SEED = int(os.environ.get("REFOLD_SIMULATION_SEED", "0"))
PARTS = 6
STREAM = "default/r"


@pytest.mark.timeout(0 if SIMULATIONS > 5_000 else 300)
@pytest.mark.parametrize("part", range(PARTS))
async def test_a_run_under_trouble_ends_as_if_there_was_none(part: int) -> None:
    for seed in range(FIRST_SEED + part, FIRST_SEED + SIMULATIONS, PARTS):
        try:
            await simulate(seed)
        except Exception as error:
            raise AssertionError(f"the simulation of seed {seed} failed: {error!r}") from error


async def simulate(seed: int) -> None:
    """One run under trouble, with all that must hold afterwards."""
    random = Random(f"spec {seed}")
    spec = random_spec(random)
    expected = serial_run(spec, "r", seed, None, behave)
    simulation = Simulation(seed, spec, trouble=random.choice((0.0, 0.3, 0.6)), messages=random.random() < 0.5)
    result = await simulation.run()
    events = EventLog(simulation.store, "test").events(STREAM)
    check_expected(result, expected)
    check_log(simulation, events, result)
    await check_replay(simulation.store, spec, seed)
    versions = range(1, len(events)) if seed % 10 == 0 else random.sample(range(1, len(events)), 1)
    for version in versions:
        await check_prefix(events[:version], EventLog(simulation.store, "test").events(f"{STREAM}/inbox"), expected)


def check_log(simulation: Simulation, events: Sequence[Event], result: WorkflowResult) -> None:
    """One outcome a step; nothing reported is lost; both proofs hold; the fold of the log is what the engine had."""
    outcomes = Counter(e.index for e in events if isinstance(e, StepCompleted | StepFailed | StepSkipped))
    assert all(outcomes[index] == 1 for index in range(len(result.step_hashes))), outcomes
    assert max(outcomes.values()) == 1, outcomes
    for stream, version, event in simulation.observed:
        assert stream == STREAM
        assert events[version - 1] == event, f"event {version} was reported as durable and is another one now"
    verification = verify_run(simulation.store, "r")
    assert verification.ok, [str(finding) for finding in verification.chain + verification.fold]
    state = fold(events)
    assert result_of(state).to_json() == result.to_json()
    for life in simulation.lives:
        # The state of an engine that was refused went further than the log: only who wrote the end has the log's.
        if life.last_state is not None and life.observed[-1][1] == len(events):
            assert slots_of(state) == slots_of(life.last_state)


async def check_replay(store: MemoryStore, spec: dict[str, Any], seed: int) -> None:
    """Executing again gives the same, and appends nothing."""
    before = store.last_position()
    async with WorkflowEngine(store, open_skills()) as engine:
        await engine.run(spec, "r", seed, replay=True)
    assert store.last_position() == before


async def check_prefix(prefix: Sequence[Event], inbox: Sequence[Event], expected: Expected) -> None:
    """A run of which only `prefix` was stored goes on to the same end."""
    store = MemoryStore()
    appends = [Append(STREAM, EMPTY, prefix)] + ([Append(f"{STREAM}/inbox", EMPTY, inbox)] if inbox else [])
    unit = Unit(appends, (Schedule(STREAM, 0),))
    assert store.commit([Sealer("test").seal(unit)], "test") == [True]
    async with WorkflowEngine(store, open_skills()) as engine:
        check_expected(await engine.resume("r"), expected)


def open_skills() -> Any:
    """The skills, waiting for nothing."""
    gates = Gates()
    gates.open()
    return work_skills(gates)
