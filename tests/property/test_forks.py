"""Forks of random runs at random steps, with random changes, end as runs that were executed so from the beginning.

REFOLD_FORKS says how many are tried, REFOLD_FORK_SEED where the seeds begin.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from refold import CallError, Failure, SkillRegistry, StepContext, WorkflowEngine
from refold.core.canonical import composed, decode
from refold.core.divergence import divergences
from refold.core.ids import stream_of
from refold.core.ports import EMPTY, Append, Schedule, Unit
from refold.core.results import WorkflowResult
from refold.core.snapshot import outputs, restore, snapshot
from refold.core.state import start
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import Sealer
from refold.projections.golden_lines import golden_of
from refold.projections.run_facts import run_facts
from refold.replay.verify import verify_run
from refold.tests.support.oracle import SkillFailedError
from refold.tests.support.own_codes import OWN_CODES
from refold.tests.support.random_specs import behave, random_spec
from refold.tests.support.states import slots_of

FORKS = int(os.environ.get("REFOLD_FORKS", "400"))
FIRST_SEED = int(os.environ.get("REFOLD_FORK_SEED", "0"))
PARTS = 4


def skills_giving(given: dict[str, Any]) -> SkillRegistry:
    """The skill of the random specs, which gives for some steps what they are to give."""
    registry = SkillRegistry()

    @registry.skill("inline_work", deterministic=True, inline=True, failures=OWN_CODES)
    def inline_work(ctx: StepContext, **inputs: Any) -> Any:
        if ctx.step_id in given:
            return given[ctx.step_id]
        try:
            return behave("inline_work", inputs, ctx.seed, ctx.attempt)
        except SkillFailedError as error:
            raise Failure(error.code, "made up", retryable=None if error.again else False) from None

    return registry


def told(result: WorkflowResult) -> tuple[Any, ...]:
    """All that two runs of different ids must have in common."""
    steps = [(step.step_id, step.status, step.output, step.error_code, step.step_hash) for step in result.steps]
    ended = steps[: len(result.step_hashes)]
    return result.status, result.error_code, result.output, result.step_hashes, ended


async def of_the_beginning(store: MemoryStore, random: Random) -> MemoryStore:
    """A store where the parent has come to some event only."""
    stream = stream_of("default", "parent")
    events = EventLog(store, "").events(stream)
    shorter = MemoryStore()
    first = start(events[0])
    row = Schedule(stream, 0, needs=first.needs)
    unit = Unit((Append(stream, EMPTY, events[: random.randint(1, len(events))]),), (row,))
    shorter.commit([Sealer("test").seal(unit)], "test")
    return shorter


def changes_of(random: Random, spec: dict[str, Any], result: WorkflowResult) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if random.random() < 0.3:
        changes["/inputs/n"] = random.choice([3, "other", [1]])
    ended = [step.step_id for step in result.steps if step.status in ("completed", "failed")]
    if ended and random.random() < 0.5:
        given = {"value": "given", "list": [1, 2], "nested": {"deep": random.random()}, "number": 1}
        changes[f"/steps/{random.choice(ended)}/output"] = given
    return changes


async def one(seed: int) -> str:
    """One fork; says what became of it."""
    random = Random(f"fork {seed}")
    spec = random_spec(random, forms=("inline_work",))
    store = MemoryStore()
    async with WorkflowEngine(store, skills_giving({})) as engine:
        parent = await engine.run(spec, "parent", seed=seed)
    changes = changes_of(random, spec, parent)
    step = random.choice(spec["steps"])["step_id"] if not changes or random.random() < 0.6 else None
    if random.random() < 0.3:
        store = await of_the_beginning(store, random)
    given = {pointer.split("/")[2]: value for pointer, value in changes.items() if pointer.startswith("/steps")}
    async with WorkflowEngine(store, skills_giving({})) as engine:
        try:
            fork = await engine.fork("parent", from_step=step, changes=changes, new_id="fork", here=True)
        except CallError as error:
            assert changes, error
            assert "runs again" in str(error) or "no recorded outcome" in str(error) or "resolved" in str(error)
            return "refused"
        state = await engine.state("fork")
        await engine.replay("fork")
        inputs = {"n": changes["/inputs/n"]} if "/inputs/n" in changes else None
    async with WorkflowEngine("memory:", skills_giving(given)) as other:
        scratch = await other.run(spec, "scratch", seed=seed, inputs=inputs)
        facts = run_facts(other.store, "default/scratch", lambda _: True)
    assert told(fork) == told(scratch)
    assert divergences(run_facts(store, "default/fork", lambda _: True), facts, ()) == []
    verdict = verify_run(store, "fork")
    assert verdict.ok and not verdict.notes, verdict
    again = restore(decode(composed(snapshot(state))), decode(composed(outputs(state))))
    assert slots_of(again) == slots_of(state)
    assert golden_of(state).run_id == "fork"
    return "given" if given else "changed" if changes else "again"


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_fork_ends_as_a_run_from_the_beginning_with_the_same_changes(part: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(FIRST_SEED + part, FIRST_SEED + FORKS, PARTS):
        try:
            seen[await one(seed)] += 1
        except Exception as error:
            raise AssertionError(f"the fork of seed {seed} failed: {error!r}") from error
    if FORKS >= 400:
        assert min(seen[each] for each in ("given", "changed", "again")) >= 5, seen
