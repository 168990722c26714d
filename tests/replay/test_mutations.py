"""Planted defects, one at a time: each is caught, by the proof that must catch it, with its class.

Those of code (chance, clock, changed code, a time in a hash) are in `test_proving`, those of bundles, heads and trees
in `tests/audit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from refold import WorkflowEngine, open_store
from refold.core.ids import inbox_of
from refold.core.plan import compile_plan
from refold.core.ports import Head, Record
from refold.core.spec import WorkflowSpec
from refold.core.state import fold
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.projections.checkpoints import CheckpointsProjection
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_lines import Golden, golden_of
from refold.projections.golden_recorder import InMemoryGoldenRecorder
from refold.replay.proving import Prover
from refold.replay.verdicts import Proof, RunProof
from refold.replay.witnesses import CheckpointWitness, GoldenWitness
from refold.tests.support.goldens import keys
from refold.tests.support.projected import caught_up
from refold.tests.support.tampering import SQLiteAttacker, changed, rechained

STREAM = "default/r"

SPEC: dict[str, Any] = {
    "workflow_type": "mutated",
    "steps": [
        {"step_id": "a", "skill_id": "echo", "inputs": {"n": 1}},
        {"step_id": "b", "skill_id": "random"},
        {"step_id": "c", "skill_id": "hash", "inputs": {"a": "${a.n}", "b": "${b.value}"}},
        {"step_id": "d", "skill_id": "echo", "inputs": {"digest": "${c.sha256}"}},
    ],
}

Change = Callable[[list[Record]], list[Record]]


async def recorded() -> MemoryStore:
    """A store with the run, and another tenant's run of the same id."""
    store = MemoryStore()
    async with WorkflowEngine(store) as engine:
        await engine.run(SPEC, "r", 7)
        await engine.run(SPEC, "r", 7, tenant="other")
    return store


async def judged(store: MemoryStore, records: Sequence[Record], head: Head, **options: Any) -> RunProof:
    heads = {STREAM: head, **store.heads([inbox_of(STREAM)])}
    return await Prover(store, **options).prove_records(STREAM, records, [], heads, {})


def caught(proof: RunProof, by: Proof, kind: str) -> None:
    assert proof.first is not None, "nothing was found"
    name, result = proof.first
    assert result.divergence is not None
    assert (name, result.divergence.kind) == (by, kind), result.divergence.message


def data(event: int, **values: Any) -> Change:
    """Other values in an event's data."""

    def change(records: list[Record]) -> list[Record]:
        def alter(envelope: dict[str, Any]) -> None:
            envelope["data"].update(values)

        return [changed(each, alter) if each.version == event else each for each in records]

    return change


def swapped(records: list[Record]) -> list[Record]:
    """The outputs of the steps a and b, one in the other's place."""
    outputs: list[Any] = []
    for each in records[1:3]:
        changed(each, lambda envelope: outputs.append(envelope["data"]["output"]))
    first, second = outputs
    return data(3, output=first)(data(2, output=second)(records))


def moved(records: list[Record]) -> list[Record]:
    """The steps c and d, in the other order."""
    return [*records[:3], records[4], records[3], *records[5:]]


UNCHAINED: dict[str, Change] = {
    "a changed byte": data(2, output={"n": 2}),
    "a lost event": lambda records: [*records[:2], *records[3:]],
    "a doubled event": lambda records: [*records[:3], records[2], *records[3:]],
    "a truncated tail": lambda records: records[:-2],
}


@pytest.mark.parametrize("defect", UNCHAINED)
async def test_bytes_that_were_altered_are_caught_by_the_chain(defect: str) -> None:
    store = await recorded()
    records = store.read(STREAM)
    caught(await judged(store, UNCHAINED[defect](records), store.heads([STREAM])[STREAM]), "chain", "TAMPERED")


RECHAINED: dict[str, tuple[Change, str]] = {
    "a rewritten output": (data(2, output={"n": 2}), "TAMPERED"),
    "an output and its hash rewritten": (data(2, output={"n": 2}, output_hash="0" * 64), "TAMPERED"),
    "swapped outputs": (swapped, "TAMPERED"),
    "swapped steps": (moved, "TAMPERED"),
    "a lost step": (lambda records: [*records[:2], *records[3:]], "TAMPERED"),
    "a doubled step": (lambda records: [*records[:3], records[2], *records[3:]], "TAMPERED"),
    "another result": (data(6, workflow_hash="0" * 64), "TAMPERED"),
    "a wrong seed": (data(1, seed=8), "SEED_DRIFT"),
    "a changed spec": (
        data(1, spec={**SPEC, "steps": [{**SPEC["steps"][0], "inputs": {"n": 5}}, *SPEC["steps"][1:]]}),
        "TAMPERED",
    ),
}


@pytest.mark.parametrize("defect", RECHAINED)
async def test_a_rewritten_chain_is_caught_by_the_fold(defect: str) -> None:
    store = await recorded()
    change, kind = RECHAINED[defect]
    records, head = rechained(change(store.read(STREAM)))
    caught(await judged(store, records, head), "fold", kind)


async def test_another_tenants_run_is_caught_by_the_fold() -> None:
    store = await recorded()
    foreign = [each._replace(stream=STREAM) for each in store.read("other/r")]
    records, head = rechained(foreign)
    caught(await judged(store, records, head), "fold", "TAMPERED")


async def test_a_tail_that_was_cut_off_together_with_its_head_is_caught_by_checkpoint_and_golden(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cut.db"
    with closing(open_store(f"sqlite:///{path}")) as store, closing(SQLiteAttacker(str(path))) as attacker:
        async with WorkflowEngine(store) as engine:
            await engine.run(SPEC, "r", 7)
        caught_up(store, CheckpointsProjection())
        recorder = InMemoryGoldenRecorder(keys())
        recorder.write([golden(store)])
        witnesses = [CheckpointWitness(store), GoldenWitness(store, recorder)]
        assert (await Prover(store, witnesses=witnesses).prove("r")).verdict == "equal"
        records, head = rechained(store.read(STREAM)[:-2])
        attacker.put(STREAM, records)
        attacker.put_head(STREAM, head)
        by_itself = await Prover(store).prove("r")
        assert by_itself.verdict == "not_comparable", "it looks like a run that goes on"
        for witness in witnesses:
            caught(await Prover(store, witnesses=[witness]).prove("r"), "fold", "TAMPERED")


def golden(store: Store) -> Golden:
    return golden_of(fold(EventLog(store, "").events(STREAM)))


def forged(store: Store) -> Golden:
    """A golden that says something else."""
    true = golden(store)
    return true._replace(data=true.data.replace(b'"n":1', b'"n":2'))


@pytest.mark.parametrize("defect", ["altered and signed again", "signed with an unknown key", "none"])
async def test_a_golden_that_is_not_the_runs_is_caught(defect: str) -> None:
    store = await recorded()
    own, strange = keys(), GoldenKeys("k9", {"k9": bytes(range(32))})
    recorder = InMemoryGoldenRecorder(strange if "unknown" in defect else own)
    recorder.write([forged(store) if "altered" in defect else golden(store)])
    recorder.keys = own
    proof = await judged(
        store, store.read(STREAM), store.heads([STREAM])[STREAM], witnesses=[GoldenWitness(store, recorder)]
    )
    if defect == "none":
        assert proof.verdict == "equal"
    else:
        caught(proof, "fold", "TAMPERED")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([*SPEC["steps"], {"step_id": "e", "skill_id": "echo", "inputs": {}}], "would still run e"),
        (SPEC["steps"][:3], "no more"),
        ([{**SPEC["steps"][0], "inputs": {"n": 2}}, *SPEC["steps"][1:]], "other inputs"),
        ([{**SPEC["steps"][0], "skill_id": "hash"}, *SPEC["steps"][1:]], "would run hash"),
        (
            [
                SPEC["steps"][0],
                {**SPEC["steps"][1], "depends_on": ["d"]},
                {**SPEC["steps"][2], "inputs": {}},
                SPEC["steps"][3],
            ],
            "would not run yet",
        ),
        (SPEC["steps"], None),
    ],
)
async def test_a_newer_version_of_the_spec_that_asks_for_something_else_is_a_change_of_code(
    steps: list[dict[str, Any]], said: str | None
) -> None:
    store = await recorded()
    plan = compile_plan(WorkflowSpec.parse({**SPEC, "steps": steps, "version": "2"}))
    prover = Prover(store, plans=lambda started: plan, proofs=("chain", "fold", "decisions"))
    proof = await prover.prove("r")
    if said is None:
        assert proof.verdict == "equal"
        return
    caught(proof, "decisions", "CODE_CHANGE")
    assert proof.first is not None
    assert proof.first[1].divergence is not None
    assert said in proof.first[1].divergence.message
