"""Projections that grow: rows by event and key, the same whatever the batches, the cache, and who builds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest

from refold import WorkflowEngine
from refold.core.events import Event, RunResumed, StepSkipped
from refold.eventstore.memory import MemoryStore
from refold.eventstore.owner import this_process
from refold.eventstore.tables import Batch, Row, Table
from refold.projections.follow import Follower
from refold.projections.model import FollowedRun, GrowingProjection
from refold.projections.runner import Runner, generation_for
from refold.projections.timeline import TimelineProjection
from refold.tests.support.grown import GROWING, add_histories, mixed
from refold.tests.support.projected import caught_up, rows_of, wanted_rows
from refold.tests.support.units import Writer

EACH = pytest.mark.parametrize("projection", [each() for each in GROWING], ids=lambda each: each.name)

IMPOSSIBLE = StepSkipped(1, 0, "a", "echo", "nobody", "0" * 64)
FINE = RunResumed(2, 0)


class Steps(GrowingProjection):
    """A row for each event, and one that each event writes over; tells which events were asked for."""

    name = "steps"
    tables = (
        Table("steps", {"tenant": "text", "run_id": "text", "n": "int", "topic": "text"}, key=3),
        Table("latest", {"tenant": "text", "run_id": "text", "n": "int", "seen": "int"}),
    )

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.asked: list[tuple[str, int]] = []

    def taken(self, run: FollowedRun, event: Event) -> Mapping[str, Sequence[Row]]:
        self.asked.append((run.run_id, run.version))
        run.notes["seen"] = run.notes.get("seen", 0) + 1
        key = (run.tenant, run.run_id)
        return {"steps": [(*key, run.version, event.topic)], "latest": [(*key, run.version, run.notes["seen"])]}


def log_of(*events: Event) -> tuple[MemoryStore, Writer]:
    """Run `a` with these events after its first, one unit each, and a run `b` between them."""
    store, writer = MemoryStore(), Writer()
    store.commit([writer.run("a"), writer.run("b")], "w")
    for event in events:
        store.commit([writer.unit(("default/a", [event]))], "w")
    return store, writer


def numbers(store: MemoryStore, run_id: str = "a") -> list[int]:
    return [row[2] for row in rows_of(store, "steps")["steps"] if row[1] == run_id]


@EACH
async def test_rows_are_what_the_events_say(memory: MemoryStore, projection: GrowingProjection) -> None:
    add_histories(memory)
    caught_up(memory, projection)
    assert rows_of(memory, projection.name) == wanted_rows(memory, projection)
    assert any(rows_of(memory, projection.name).values()) or projection.name == "costs"


@EACH
@pytest.mark.parametrize("batch", [1, 2, 7])
async def test_neither_batches_nor_the_cache_show_in_rows(
    memory: MemoryStore, projection: GrowingProjection, batch: int
) -> None:
    await mixed(memory, 10, batch)
    add_histories(memory)
    caught_up(memory, projection, batch, cached=1)
    assert rows_of(memory, projection.name) == wanted_rows(memory, projection)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_an_event_makes_its_rows_once_and_the_last_of_a_key_wins(batch: int) -> None:
    store, _ = log_of(FINE, FINE, FINE)
    projection = Steps()
    caught_up(store, projection, batch)
    assert projection.asked == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("a", 4)] or batch > 1
    assert numbers(store) == [1, 2, 3, 4]
    assert [row[2:] for row in rows_of(store, "steps")["latest"]] == [(4, 4), (1, 1)]


def test_a_run_that_is_folded_again_makes_the_rows_of_new_events_only() -> None:
    store, writer = log_of(FINE, FINE)
    follower = Follower(store, Steps(), cached=0)
    follower.changes(store.follow(0, 100), [])
    store.commit([writer.unit(("default/a", [FINE]))], "w")
    changes = follower.changes(store.follow(4, 100), [])
    assert changes.rows() == {
        "steps": [("default", "a", 4, "run.resumed")],
        "latest": [("default", "a", 4, 4)],
    }, "the notes are what they would be had the run been kept"


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_a_run_that_is_left_aside_keeps_the_rows_it_had(batch: int) -> None:
    store, writer = log_of(FINE, IMPOSSIBLE, FINE)
    projection = Steps()
    caught_up(store, projection, batch)
    assert [each.version for each in store.tables.parked("steps", 1)] == [3]
    assert numbers(store) == [1, 2] and numbers(store, "b") == [1]
    mended = store._log[2]._replace(version=3)
    store._log[3] = store._streams["default/a"][2] = mended
    store.tables.retry("steps", None)
    store.commit([writer.unit(("default/b", [FINE]))], "w")
    caught_up(store, projection, batch)
    assert store.tables.parked("steps", 1) == [] and numbers(store) == [1, 2, 3, 4]
    assert rows_of(store, "steps") == wanted_rows(store, Steps())


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_strict_one_takes_in_what_comes_before_a_bad_event(batch: int) -> None:
    store, _ = log_of(FINE, IMPOSSIBLE, FINE)
    projection = Steps(strict=True)
    of = generation_for(store, projection)
    assert of is not None
    runner = Runner(store, projection, this_process(uuid4().hex), of, batch=batch)
    with pytest.raises(Exception, match="event 3 of default/a"):
        while runner.step():
            pass
    assert numbers(store) == [1, 2] and runner.of.position == 3


def test_a_write_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = log_of(FINE, FINE)
    projection = Steps()
    of = generation_for(store, projection)
    assert of is not None
    runner = Runner(store, projection, this_process(uuid4().hex), of, batch=2)
    write, failures = store.tables.write, iter([False, True])

    def fails_once(*arguments: Any) -> bool:
        if next(failures, False):
            raise ConnectionError("gone")
        return write(*arguments)

    monkeypatch.setattr(store.tables, "write", fails_once)
    assert runner.step() == 2
    with pytest.raises(ConnectionError):
        runner.step()
    assert runner.step() == 2
    assert rows_of(store, "steps") == wanted_rows(store, Steps())


@pytest.mark.parametrize("projection", [Steps(), TimelineProjection()], ids=lambda each: each.name)
async def test_what_is_written_grows_with_the_events_and_not_with_the_rows(
    memory: MemoryStore, projection: GrowingProjection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [
        {"step_id": f"s{n}", "skill_id": "echo", **({"depends_on": [f"s{n - 1}"]} if n else {})} for n in range(200)
    ]
    async with WorkflowEngine(memory) as engine:
        await engine.run({"workflow_type": "long", "steps": steps}, "long")
    write, written = memory.tables.write, [0]

    def counted(name: str, generation: int, owner: str, seconds: float, batch: Batch, *rest: Any) -> bool:
        written[0] += sum(map(len, batch.rows.values()))
        return write(name, generation, owner, seconds, batch, *rest)

    monkeypatch.setattr(memory.tables, "write", counted)
    caught_up(memory, projection, batch=1, cached=0)
    assert written[0] <= 4 * memory.last_position()
    assert rows_of(memory, projection.name) == wanted_rows(memory, projection)
