"""Events that cannot be taken in: strict projections stop and name them, others leave the run aside and go on."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from refold.core.events import RunResumed, StepSkipped
from refold.eventstore.memory import MemoryStore
from refold.eventstore.owner import this_process
from refold.projections.checkpoints import CheckpointsProjection
from refold.projections.follow import BadEventError
from refold.projections.projector import Projector
from refold.projections.runner import Runner, generation_for
from refold.projections.runs import RUNS, RunsProjection
from refold.tests.support.projected import caught_up, rows_of, wanted_rows
from refold.tests.support.units import Writer
from refold.tests.support.workflows import until

IMPOSSIBLE = StepSkipped(1, 0, "a", "echo", "nobody", "0" * 64)
"""An event that cannot follow."""

FINE = RunResumed(2, 0)

EVENTS = RUNS.names.index("events")


def broken_log() -> tuple[MemoryStore, Writer]:
    """Runs `good` and `bad`; the third event of `bad` is impossible."""
    store, writer = MemoryStore(), Writer()
    store.commit([writer.run("good"), writer.run("bad")], "w")
    store.commit([writer.unit(("default/bad", [FINE, IMPOSSIBLE]))], "w")
    store.commit([writer.unit(("default/good", [FINE]))], "w")
    return store, writer


def runner_of(store: MemoryStore, projection: Any, batch: int) -> Runner:
    of = generation_for(store, projection)
    assert of is not None
    return Runner(store, projection, this_process(uuid4().hex), of, batch=batch)


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_the_index_parks_a_run_and_goes_on_with_the_others(batch: int) -> None:
    store, _ = broken_log()
    caught_up(store, RunsProjection(), batch)
    (parked,) = store.tables.parked("runs", 1)
    assert parked[:3] == ("default/bad", 3, 4) and "no reason to be skipped" in parked.reason
    events = {row[1]: row[EVENTS] for row in rows_of(store, "runs")["runs"]}
    assert events == {"good": 2, "bad": 2}, "a parked run keeps the rows it had before the bad event"


def test_what_else_happens_to_a_parked_run_is_only_counted() -> None:
    store, writer = broken_log()
    caught_up(store, RunsProjection())
    store.commit([writer.unit(("default/bad", [FINE, FINE]))], "w")
    caught_up(store, RunsProjection())
    (parked,) = store.tables.parked("runs", 1)
    assert (parked.version, parked.seen) == (3, 5)


@pytest.mark.parametrize("batch", [1, 100])
def test_a_mended_run_comes_back_when_it_is_retried(batch: int) -> None:
    store, writer = broken_log()
    caught_up(store, RunsProjection(), batch)
    mended = store._log[3]._replace(topic=store._log[2].topic, state=store._log[2].state)
    store._log[3] = store._streams["default/bad"][2] = mended
    store.commit([writer.unit(("default/bad", [FINE]))], "w")
    caught_up(store, RunsProjection(), batch)
    assert store.tables.parked("runs", 1), "nobody has asked for it yet"
    assert store.tables.retry("runs", "default/bad") == 1
    store.commit([writer.unit(("default/bad", [FINE]))], "w")
    caught_up(store, RunsProjection(), batch)
    assert store.tables.parked("runs", 1) == []
    assert rows_of(store, "runs") == wanted_rows(store, RunsProjection())


def test_a_run_that_is_still_bad_is_parked_again() -> None:
    store, _ = broken_log()
    caught_up(store, RunsProjection())
    before = store.tables.parked("runs", 1)
    store.tables.retry("runs", None)
    caught_up(store, RunsProjection())
    assert store.tables.parked("runs", 1) == before


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_checkpoints_take_in_what_comes_before_and_stop_at_the_event(batch: int) -> None:
    store, _ = broken_log()
    runner = runner_of(store, CheckpointsProjection(every=1), batch)
    with pytest.raises(BadEventError, match="event 3 of default/bad at position 4"):
        while runner.step():
            pass
    assert runner.of.position == 3
    assert {row[1]: row[9] for row in rows_of(store, "checkpoints")["checkpoints"]} == {"good": 1, "bad": 2}
    with pytest.raises(BadEventError):
        runner.step()


async def test_a_strict_projection_says_why_it_stands_still_and_goes_on_when_that_is_mended() -> None:
    store, _ = broken_log()
    projector = Projector(store)
    task = asyncio.create_task(projector.run())
    await until(lambda: any(each.error for each in store.tables.generations("checkpoints")))
    (of,) = store.tables.generations("checkpoints")
    assert of.error is not None and "event 3 of default/bad at position 4" in of.error
    await until(lambda: store.tables.generations("runs")[0].position == 5)
    store._log[3] = store._streams["default/bad"][2] = store._log[2]._replace(version=3)
    await until(lambda: store.tables.generations("checkpoints")[0].position == 5)
    assert store.tables.generations("checkpoints")[0].error is None
    projector.drain()
    await task
    assert {each.owner for each in store.tables.generations()} == {None}


def test_bytes_that_are_no_event_and_holes_are_bad_events() -> None:
    store, writer = MemoryStore(), Writer()
    store.commit([writer.run("a"), writer.run("b"), writer.run("c")], "w")
    store.commit([writer.unit(("default/a", [FINE])), writer.unit(("default/b", [FINE]))], "w")
    store._log[3] = store._streams["default/a"][1] = store._log[3]._replace(state=b"\xff")
    store._log[4] = store._streams["default/b"][1] = store._log[4]._replace(version=4)
    caught_up(store, RunsProjection())
    assert [each.stream for each in store.tables.parked("runs", 1)] == ["default/a", "default/b"]
    assert len(rows_of(store, "runs")["runs"]) == 3
