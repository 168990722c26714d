"""Long runs go on from their checkpoints, and from all their events where a checkpoint is no good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest

from refold import SkillRegistry, WorkflowEngine, WorkflowResult
from refold.core.errors import StoreRefusedError
from refold.core.events import CheckpointRefused, RunStarted
from refold.core.ids import CHECKPOINTS as REFUSED
from refold.core.ports import Record
from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.eventstore.tables import Batch
from refold.projections.checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    CheckpointsProjection,
    RunCheckpoints,
    TableCheckpointStore,
)
from refold.tests.support.projected import caught_up
from refold.tests.support.workflows import until

SPEC: dict[str, Any] = {
    "workflow_type": "long",
    "steps": [
        *(
            {
                "step_id": f"s{n}",
                "skill_id": "stubborn",
                "inputs": {"n": n},
                "max_retries": 20,
                "retry": {"initial_seconds": 0},
            }
            for n in range(30)
        ),
        {
            "step_id": "asked",
            "skill_id": "wait_signal",
            "inputs": {"name": "go"},
            "depends_on": [f"s{n}" for n in range(30)],
        },
        {"step_id": "after", "skill_id": "echo", "inputs": {"all": ["${s3}", "${s29}", "${asked}"]}},
    ],
}
"""Over 600 events before it waits."""

OWNER = "a test"


class Counting(MemoryStore):
    """Counts the records of runs that are read."""

    counted = 0

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        found = super().read(stream, after, limit)
        self.counted += len(found)
        return found


def skills() -> SkillRegistry:
    tried: dict[int, int] = {}
    registry = SkillRegistry()

    @registry.skill("stubborn", deterministic=True)
    def stubborn(n: int) -> int:
        tried[n] = tried.get(n, 0) + 1
        if tried[n] <= 20:
            raise ConnectionError("not yet")
        return n

    return registry


async def rest(store: Store, run_id: str = "long") -> None:
    """Let the run come to its wait, and leave it there as a crash would."""
    async with WorkflowEngine(store, skills()) as engine:
        run = asyncio.create_task(engine.run(SPEC, run_id))
        log = EventLog(store, "")
        await until(lambda: _waits(log, run_id))
    await asyncio.gather(run, return_exceptions=True)


def _waits(log: EventLog, run_id: str) -> bool:
    return any(each.topic == "step.waiting" for each in log.events(f"default/{run_id}"))


async def go_on(store: Store) -> tuple[WorkflowResult, int]:
    """The end of the run, in another engine, and how many checkpoints that engine has refused."""
    async with WorkflowEngine(store, skills()) as engine:
        await engine.signal("long", "go", {"yes": True}, key="once")
        return await engine.resume("long"), engine.refusals.count


def refused(store: Store) -> list[CheckpointRefused]:
    return [event for event in EventLog(store, "").events(REFUSED) if isinstance(event, CheckpointRefused)]


def put(store: Store, change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
    """Alter the row of the run's checkpoint."""
    (of,) = [each for each in store.tables.generations("checkpoints") if each.active]
    (row,) = store.tables.rows(of, CHECKPOINTS.name, {"run_id": "long"}, 1)
    batch = Batch(of.position, of.position, of.position_at, [("default", "long")], {CHECKPOINTS.name: [change(row)]})
    assert store.tables.claim(of.name, of.generation, OWNER, 60)
    assert store.tables.write(of.name, of.generation, OWNER, 60, batch)


@pytest.fixture
async def plain() -> WorkflowResult:
    """What the run comes to without any checkpoint."""
    store = MemoryStore()
    await rest(store)
    result, _ = await go_on(store)
    assert result.success
    return result


async def test_a_long_run_goes_on_from_its_checkpoint_and_the_events_after_it(plain: WorkflowResult) -> None:
    store = Counting()
    await rest(store)
    caught_up(store, CheckpointsProjection())
    store.counted = 0
    result, count = await go_on(store)
    assert (result.workflow_hash, result.output, count) == (plain.workflow_hash, plain.output, 0)
    assert store.counted < 50


async def test_a_checkpoint_that_was_altered_is_refused_and_recorded_once(plain: WorkflowResult) -> None:
    store = MemoryStore()
    await rest(store)
    caught_up(store, CheckpointsProjection())
    position = CHECKPOINTS.names.index("step_outputs_json")
    put(store, lambda row: (*row[:position], row[position].replace("29", "28"), *row[position + 1 :]))
    result, count = await go_on(store)
    assert (result.workflow_hash, result.output) == (plain.workflow_hash, plain.output)
    assert count > 0
    (event,) = refused(store)
    assert (event.tenant, event.run_id) == ("default", "long")
    assert "altered" in event.reason


async def test_the_checkpoint_of_a_run_that_began_otherwise_is_refused(plain: WorkflowResult) -> None:
    store = MemoryStore()
    await rest(store, "other")
    await rest(store)
    caught_up(store, CheckpointsProjection())
    checkpoints = TableCheckpointStore(store.tables)
    other = checkpoints.load("other")
    assert other is not None
    put(store, lambda row: replace(other, run_id="long").row())
    result, _ = await go_on(store)
    assert result.output == plain.output
    assert "began otherwise" in refused(store)[0].reason


async def test_a_checkpoint_beyond_the_end_of_the_run_is_refused(plain: WorkflowResult) -> None:
    store = MemoryStore()
    await rest(store)
    caught_up(store, CheckpointsProjection())
    checkpoint = TableCheckpointStore(store.tables).load("long")
    assert checkpoint is not None
    put(store, lambda row: replace(checkpoint, version=checkpoint.version + 100).row())
    result, _ = await go_on(store)
    assert result.workflow_hash == plain.workflow_hash
    assert "has come to" in refused(store)[0].reason


Row = tuple[Any, ...]
STATE = CHECKPOINTS.names.index("state_json")


def with_state(row: Row, **members: Any) -> Row:
    """The row with other members in its state, and the hash that belongs to them."""
    checkpoint = Checkpoint.of_row(row)
    told = {**orjson.loads(checkpoint.state_json), **members}
    return replace(checkpoint, state_json=orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()).row()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: (*row[:STATE], None, *row[STATE + 1 :]), "altered"),
        (lambda row: replace(Checkpoint.of_row(row), version=cast(int, "600")).row(), "altered"),
        (lambda row: with_state(row, waits=7), "cannot be read"),
    ],
    ids=["null", "version", "shape"],
)
async def test_a_checkpoint_that_makes_no_sense_does_not_stop_its_run(
    plain: WorkflowResult, change: Callable[[Row], Row], reason: str
) -> None:
    store = MemoryStore()
    await rest(store)
    caught_up(store, CheckpointsProjection())
    put(store, change)
    result, _ = await go_on(store)
    assert (result.workflow_hash, result.output) == (plain.workflow_hash, plain.output)
    assert reason in refused(store)[0].reason


async def test_a_run_goes_on_when_the_tables_of_checkpoints_are_dropped_under_it(
    plain: WorkflowResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    await rest(store)
    caught_up(store, CheckpointsProjection())

    def dropped(self: RunCheckpoints, started: RunStarted) -> None:
        raise StoreRefusedError("no such table")

    monkeypatch.setattr(RunCheckpoints, "restore", dropped)
    assert (await go_on(store))[0].workflow_hash == plain.workflow_hash
