"""A run put to the four proofs: what is sound passes, and each kind of defect gets its own class."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from refold import SkillRegistry, StepContext, WorkflowEngine, call, gather, skill, sleep, workflow
from refold.core.hashing import sha256_hex
from refold.eventstore.memory import MemoryStore
from refold.eventstore.tables import Batch
from refold.projections.checkpoints import CHECKPOINTS, CheckpointsProjection
from refold.replay import folding
from refold.replay.proving import Prover
from refold.replay.verdicts import PROOFS, RunProof
from refold.replay.witnesses import CheckpointWitness
from refold.tests.support.projected import caught_up

SPEC: dict[str, Any] = {
    "workflow_type": "three",
    "steps": [
        {"step_id": "a", "skill_id": "work", "inputs": {"n": 1}},
        {"step_id": "b", "skill_id": "work", "inputs": {"n": 2}},
        {"step_id": "c", "skill_id": "echo", "inputs": {"a": "${a}", "b": "${b}"}},
    ],
}


@workflow("waiting")
async def waiting(n: int) -> list[int]:
    """Two calls side by side, a pause, and a third."""
    both = await gather(call("work", n=n), call("work", n=n + 1))
    await sleep("1ms")
    return [*both, await call("work", n=n + 2)]


@skill("work", deterministic=True)
def work(n: int) -> Any:
    """Twice as much."""
    return n * 2


def code(body: Callable[..., Any] | None = None) -> SkillRegistry:
    """Today's code, with another body of the skill `work`."""
    skills = SkillRegistry()
    if body is None:
        skills.register(work)
    else:
        skills.skill("work", deterministic=True)(body)
    skills.add_workflow(waiting)
    return skills


async def recorded(skills: SkillRegistry, store: MemoryStore | None = None, **options: Any) -> MemoryStore:
    """A store with a run of the spec, and one of the function."""
    store = store or MemoryStore()
    async with WorkflowEngine(store, skills) as engine:
        await engine.run(SPEC, "spec", 7, **options)
        await engine.run(waiting, "function", 7, {"n": 1})
    return store


async def proved(store: MemoryStore, skills: SkillRegistry, run_id: str = "spec", **options: Any) -> RunProof:
    return await Prover(store, skills, **options).prove(run_id)


@pytest.mark.parametrize("run_id", ["spec", "function"])
async def test_a_sound_run_is_equal_in_all_four_proofs(run_id: str) -> None:
    store = await recorded(code())
    proof = await proved(store, code(), run_id)
    assert proof.verdict == "equal", proof.to_json()
    assert tuple(proof.results) == PROOFS
    assert proof.executed == 3
    assert proof.first is None


def by_chance(n: int) -> float:
    return random.random()


def by_clock(n: int) -> dict[str, Any]:
    return {"n": n, "done": time.time_ns() / 1e9}


def by_seed(n: int, ctx: StepContext) -> int:
    return random.Random(ctx.seed).randint(0, 10**9)


def three_times(n: int) -> int:
    return n * 3


@pytest.mark.parametrize(
    ("then", "now", "kind"),
    [
        (by_chance, by_chance, "UNSEEDED_RANDOMNESS"),
        (by_clock, by_clock, "VOLATILE_LEAK"),
        (three_times, None, "CODE_CHANGE"),
    ],
)
@pytest.mark.parametrize(("run_id", "event"), [("spec", 2), ("function", 2)])
async def test_what_comes_out_otherwise_is_named_with_its_class(
    run_id: str, event: int, then: Any, now: Any, kind: str
) -> None:
    store = await recorded(code(then))
    proof = await proved(store, code(now), run_id)
    assert proof.verdict == "diverged"
    assert proof.first is not None
    name, result = proof.first
    assert name == "execution"
    divergence = result.divergence
    assert divergence is not None
    assert (divergence.kind, divergence.event) == (kind, event)
    assert divergence.recorded_hash
    assert divergence.now_hash not in (None, divergence.recorded_hash)
    assert "test_proving.py" in str(divergence.place)
    assert divergence.cause
    assert divergence.advice


async def test_what_is_drawn_from_the_seed_is_equal() -> None:
    store = await recorded(code(by_seed))
    assert (await proved(store, code(by_seed))).verdict == "equal"


async def test_a_function_that_asks_for_other_steps_diverges_in_its_decisions() -> None:
    store = await recorded(code())
    changed = SkillRegistry()
    changed.register(work)

    @workflow("waiting")
    async def otherwise(n: int) -> Any:
        return await call("work", n=n + 1)

    changed.add_workflow(otherwise)
    proof = await proved(store, changed, "function")
    assert proof.first is not None
    name, result = proof.first
    assert name == "decisions"
    assert result.divergence is not None
    assert result.divergence.kind == "CODE_CHANGE"


@pytest.mark.parametrize("run_id", ["spec", "function"])
async def test_without_its_code_a_run_is_not_verifiable(run_id: str) -> None:
    store = await recorded(code())
    proof = await proved(store, SkillRegistry(), run_id)
    assert proof.verdict == "not_verifiable"
    result = proof.results["execution"]
    assert "known" in result.reason or "registered" in result.reason


async def test_a_run_that_was_cut_off_is_not_comparable() -> None:
    store = MemoryStore()
    async with WorkflowEngine(store, code()) as engine:
        await engine.start(SPEC, "spec")
        await engine.cancel("spec")
    assert (await proved(store, code())).verdict == "not_comparable"


async def test_only_the_proofs_asked_for_are_made() -> None:
    store = await recorded(code(three_times))
    proof = await proved(store, code(), proofs=("chain", "fold", "decisions"))
    assert proof.verdict == "equal"
    assert tuple(proof.results) == ("chain", "fold", "decisions")


async def test_a_hash_that_holds_a_time_is_a_volatile_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await recorded(code())

    def leaky(*args: Any) -> str:
        return sha256_hex(f"{args} took {time.perf_counter_ns()} ns".encode())

    monkeypatch.setattr(folding, "outcome_hash", leaky)
    proof = await proved(store, code())
    assert proof.verdict == "broken"
    assert proof.results["fold"].divergence is not None
    assert proof.results["fold"].divergence.kind == "VOLATILE_LEAK"


def altered(store: MemoryStore, change: Callable[[tuple[Any, ...]], list[tuple[Any, ...]]]) -> None:
    """Put other rows in the place of the checkpoint of the run of the spec."""
    (of,) = [each for each in store.tables.generations("checkpoints") if each.active]
    (row,) = store.tables.rows(of, CHECKPOINTS.name, {"run_id": "spec"}, 1)
    batch = Batch(of.position, of.position, of.position_at, [("default", "spec")], {CHECKPOINTS.name: change(row)})
    assert store.tables.claim(of.name, of.generation, "me", 60)
    assert store.tables.write(of.name, of.generation, "me", 60, batch)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: [], "removed"),
        (lambda row: [(*row[:-1], "0" * 64)], "altered"),
        (lambda row: [row], ""),
    ],
)
async def test_a_checkpoint_that_was_removed_or_edited_is_found(change: Any, said: str) -> None:
    store = await recorded(code())
    caught_up(store, CheckpointsProjection())
    altered(store, change)
    proof = await proved(store, code(), witnesses=[CheckpointWitness(store)])
    if not said:
        assert proof.verdict == "equal"
        return
    result = proof.results["fold"]
    assert result.verdict == "broken"
    assert result.divergence is not None
    assert result.divergence.kind == "TAMPERED"
    assert said in result.divergence.message


async def test_no_proof_writes_or_calls_a_skill_that_is_not_deterministic() -> None:
    called: list[int] = []
    skills = SkillRegistry()

    @skills.skill("work")
    def effect(n: int) -> int:
        called.append(n)
        return n

    skills.add_workflow(waiting)
    store = MemoryStore()
    async with WorkflowEngine(store, skills) as engine:
        await engine.run(SPEC, "spec")
    before, count = store.last_position(), len(called)
    proof = await proved(store, skills)
    assert proof.verdict == "equal"
    assert (proof.executed, proof.served) == (1, 2)
    assert (store.last_position(), len(called)) == (before, count)
