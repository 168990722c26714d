"""What verification says of forks: alone, beside their parent, and when either was altered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from refold import WorkflowEngine
from refold.core.canonical import Payload
from refold.core.events import Event, Fork, RunStarted, StepReused
from refold.core.hashing import step_hash
from refold.core.ids import stream_of
from refold.core.ports import EMPTY, Append, Unit
from refold.core.seeds import step_seed
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.sealing import Sealer
from refold.eventstore.store import Store
from refold.projections.golden_lines import golden_of
from refold.projections.projector import known_projections
from refold.projections.timeline import Span
from refold.replay.proving import Prover
from refold.replay.verdicts import PROOFS
from refold.replay.verify import verify_run
from refold.tests.support.projected import caught_up, rows_of, wanted_rows

SPEC = {
    "workflow_type": "two",
    "steps": [
        {"step_id": "a", "skill_id": "echo", "inputs": {"v": 1}},
        {"step_id": "b", "skill_id": "echo", "inputs": {"v": "${a.v}"}},
    ],
}


async def forked(changes: dict[str, Any] | None = None) -> Store:
    """A store with the run `parent` and its fork `fork`, at the step b."""
    store = MemoryStore()
    async with WorkflowEngine(store) as engine:
        await engine.run(SPEC, "parent")
        await engine.fork("parent", from_step="b", changes=changes, new_id="fork", here=True)
    return store


def events(store: Store, run_id: str) -> list[Event]:
    return EventLog(store, "").events(stream_of("default", run_id))


def stored(runs: dict[str, list[Event]]) -> Store:
    """A store that holds these runs, chained anew."""
    store = MemoryStore()
    sealer = Sealer("test", "writer")
    for run_id, history in runs.items():
        unit = Unit((Append(stream_of("default", run_id), EMPTY, history),))
        store.commit([sealer.seal(unit)], "test")
    return store


async def test_a_fork_is_intact_beside_its_parent() -> None:
    verdict = verify_run(await forked(), "fork")
    assert verdict.ok and verdict.notes == () and verdict.to_json()["notes"] == []


async def test_without_its_parent_a_fork_proves_itself_and_the_rest_is_said_to_be_unproved() -> None:
    store = await forked()
    verdict = verify_run(stored({"fork": events(store, "fork")}), "fork")
    assert verdict.ok
    assert verdict.notes == ("not verifiable: the parent is not here: 1 outcomes are of parent",)


async def test_an_outcome_that_is_none_of_the_parents_is_found() -> None:
    store = await forked()
    history = events(store, "fork")
    taken = history[1]
    assert isinstance(taken, StepReused) and isinstance(history[0], RunStarted)
    output = Payload.of({"v": 2})
    digest = step_hash("a", 0, "echo", step_seed(0, 0), taken.inputs_hash, True, output.sha256, None)
    forged = replace(taken, output=output, step_hash=digest)
    fake = stored({"parent": events(store, "parent"), "fork": [history[0], forged]})
    # The parent's chain is another here, for its nonces are: the fork must name it as it is.
    head = fake.heads(["default/parent"])["default/parent"]
    first = replace(history[0], forked=Fork("parent", head.version, head.hash or "", 0, ""))
    fake = stored({"parent": events(store, "parent"), "fork": [first, forged]})
    verdict = verify_run(fake, "fork")
    assert [(each.number, each.kind) for each in verdict.fold] == [(2, "hash")] and "event 2 of parent" in str(
        verdict.fold[0]
    )
    given = stored({"parent": events(store, "parent"), "fork": [first, replace(forged, given=True)]})
    assert verify_run(given, "fork").ok, "an output that is said to be given is none of the parent's"


async def test_a_parent_that_is_not_what_the_fork_names_is_found() -> None:
    store = await forked()
    parent = events(store, "parent")
    altered = stored({"parent": [replace(parent[0], at=1), *parent[1:]], "fork": events(store, "fork")})
    verdict = verify_run(altered, "fork")
    assert [each.kind for each in verdict.fold] == ["identity"] and not verdict.ok


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("step_hash", "0" * 64, "step_hash"),
        ("inputs_hash", "0" * 64, "inputs_hash"),
        ("skill_id", "other", "skill_id"),
        ("version", 99, "event 99 is none of the parent's"),
        ("version", 1, "event 1 is none of the parent's"),
    ],
)
async def test_what_is_taken_over_must_follow_from_the_fork_itself(field: str, value: Any, reason: str) -> None:
    history = events(await forked(), "fork")
    taken = history[1]
    assert isinstance(taken, StepReused)
    verdict = verify_run(stored({"fork": [history[0], replace(taken, **{field: value})]}), "fork")
    assert len(verdict.fold) == 1 and reason in verdict.fold[0].reason


async def test_a_run_that_is_no_fork_takes_nothing_over() -> None:
    first, *rest = events(await forked(), "fork")
    assert isinstance(first, RunStarted)
    verdict = verify_run(stored({"fork": [replace(first, forked=None), *rest]}), "fork")
    assert [(each.number, each.kind) for each in verdict.fold] == [(2, "impossible")]


async def test_nothing_is_taken_over_after_the_fork_has_done_something_itself() -> None:
    first, taken, *rest = events(await forked(), "fork")
    own = taken.outcome() if isinstance(taken, StepReused) else taken
    other = events(await forked(), "parent")[2]
    late = replace(taken, index=1, step_id="b", inputs_hash=getattr(other, "inputs_hash", ""))
    verdict = verify_run(stored({"fork": [first, own, late, *rest]}), "fork")
    assert verdict.fold[0].number == 3


async def test_the_golden_of_a_fork_is_its_own() -> None:
    store = await forked({"/steps/a/output/v": 5})
    async with WorkflowEngine(store) as engine:
        golden = golden_of(await engine.state("fork"))
    assert b'"run_id":"fork"' in golden.data and golden.data.count(b'"v":5') == 4 - 1


async def test_a_fork_stands_the_four_proofs_and_says_what_its_parent_could_have_proved() -> None:
    store = await forked({"/steps/a/output/v": 5})
    proof = await Prover(store).prove("fork")
    assert {name: (result.verdict, result.reason) for name, result in proof.results.items()} == dict.fromkeys(
        PROOFS, ("equal", "")
    )
    assert (proof.executed, proof.served) == (1, 1)
    alone = await Prover(stored({"fork": events(store, "fork")})).prove("fork")
    assert alone.results["fold"].verdict == "equal"
    assert alone.results["fold"].reason.startswith("not verifiable: the parent is not here")
    parent = events(store, "parent")
    altered = stored({"parent": [replace(parent[0], at=1), *parent[1:]], "fork": events(store, "fork")})
    assert (await Prover(altered).prove("fork")).results["fold"].verdict == "broken"


async def test_a_fork_has_its_rows_in_every_projection() -> None:
    store = await forked()
    for name, projection in known_projections().items():
        assert caught_up(store, projection).of.error is None, name
        assert rows_of(store, name) == wanted_rows(store, projection), name
    steps = [Span(*row) for row in rows_of(store, "timeline")["timeline"] if row[1] == "fork" and row[3] == "step"]
    assert [(span.step_id, span.status, span.event) for span in steps] == [("a", "completed", 2), ("b", "completed", 3)]
