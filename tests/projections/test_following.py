"""Rows are functions of the log alone: whatever the batches, the cache, and who was killed meanwhile."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from refold import open_store
from refold.eventstore.memory import MemoryStore
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.eventstore.tables import Batch
from refold.projections.checkpoints import CheckpointsProjection
from refold.projections.model import Projection
from refold.projections.runner import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_WRITE, Runner, generation_for, lag_of
from refold.projections.runs import RUNS, RunsProjection
from refold.tests.support.projected import (
    append_slowly,
    caught_up,
    fill,
    follow_and_die,
    rows_of,
    wanted_rows,
)
from refold.tests.support.units import Writer

APPENDS = int(os.environ.get("REFOLD_APPENDS", "50000"))
"""How many events the concurrent writers append together; a million in the long form."""

PROCESSES, THREADS = 4, 8

SLOW_COMMITS = b"""
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.002 THEN PERFORM pg_sleep(0.02); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON stored_events DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION slow();
"""
"""Now and then a transaction has given out positions and takes its time to commit."""

BOTH = pytest.mark.parametrize("projection", [RunsProjection(), CheckpointsProjection(every=3)], ids=lambda p: p.name)

_processes = multiprocessing.get_context("forkserver")

ENDED = RUNS.names.index("ended_at")


def begun(store: Store, projection: Projection, **options: Any) -> Runner:
    of = generation_for(store, projection)
    assert of is not None
    return Runner(store, projection, this_process(uuid4().hex), of, **options)


@BOTH
async def test_rows_are_what_the_runs_say(memory: MemoryStore, projection: Projection) -> None:
    await fill(memory, 40, 1)
    caught_up(memory, projection)
    assert rows_of(memory, projection.name) == wanted_rows(memory, projection)


@BOTH
@pytest.mark.parametrize("batch", [1, 2, 7])
async def test_neither_batches_nor_the_cache_show_in_rows(
    memory: MemoryStore, projection: Projection, batch: int
) -> None:
    await fill(memory, 30, batch)
    caught_up(memory, projection, batch, cached=2)
    assert rows_of(memory, projection.name) == wanted_rows(memory, projection)


@BOTH
async def test_rows_are_right_at_every_position(memory: MemoryStore, projection: Projection) -> None:
    await fill(memory, 10, 5)
    grown = MemoryStore()
    runner = begun(grown, projection)
    for _, record in memory.follow(0, 10**6):
        # The log as it was after each of its events.
        grown._log.append(record)
        grown._streams.setdefault(record.stream, []).append(record)
        grown._starts.setdefault(record.stream, len(grown._log))
        assert runner.step() == 1
        assert rows_of(grown, projection.name) == wanted_rows(grown, projection)


async def test_the_index_says_of_a_run_what_the_log_says(memory: MemoryStore) -> None:
    await fill(memory, 5, 1)
    caught_up(memory, RunsProjection())
    rows = rows_of(memory, "runs")
    by_id = {row[1]: row for row in rows["runs"]}
    assert {by_id["m4"][4], by_id["m4"][ENDED]} == {"waiting", None}
    parent, child = by_id["m3"], next(row for row in rows["runs"] if row[9] == "m3")
    assert parent[2] == "parental" and child[2] == "tripled" and parent[ENDED] >= child[ENDED]
    assert {row[2] for row in rows["run_attributes"]} <= {"n", "text"}
    assert {row[3] for row in rows["run_attributes"] if row[1] == "m2" and row[2] == "n"} < {str(n) for n in range(16)}


@pytest.mark.timeout(3600 if APPENDS > 50_000 else 110)
def test_nothing_is_skipped_while_many_write(url: str, shared: Store) -> None:
    """32 writers in 4 processes, with slow commits on PostgreSQL: every run has its row, and was asked for once."""
    if url.startswith("postgres"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SLOW_COMMITS)
    writers = [
        _processes.Process(target=append_slowly, args=(url, number, APPENDS // PROCESSES, THREADS), daemon=True)
        for number in range(PROCESSES)
    ]
    for each in writers:
        each.start()
    seen: list[int] = []
    runner = begun(shared, _Noting(seen), batch=500)
    while any(each.is_alive() for each in writers) or runner.of.position < shared.last_position():
        runner.step()
    assert [each.exitcode for each in writers] == [0] * PROCESSES
    starts = Counter(
        each.record.stream
        for page in pages(shared)
        for each in page
        if not each.record.stream.endswith("/inbox") and each.record.version == 1
    )
    rows = rows_of(shared, "runs")["runs"]
    assert len(rows) == len(starts) == len(seen) and max(starts.values()) == 1
    assert {f"{row[0]}/{row[1]}" for row in rows} == starts.keys()
    runner.release()


class _Noting(RunsProjection):
    """The index, noting the position of the first event of each run that rows were asked for."""

    def __init__(self, seen: list[int]):
        self._seen = seen

    def rows(self, run: Any) -> Any:
        self._seen.append(run.start)
        return super().rows(run)


def pages(store: Store) -> Any:
    position = 0
    while page := store.follow(position, 5000):
        yield page
        position = page[-1].position


@pytest.mark.parametrize("name", ["runs", "checkpoints"])
async def test_a_process_killed_at_any_point_loses_nothing_and_does_nothing_twice(
    url: str, shared: Store, name: str
) -> None:
    await fill(shared, 15, 3)
    random = Random(0)
    for point in (BEFORE_WRITE, BEFORE_COMMIT, AFTER_COMMIT) * 2:
        arguments = (url, name, point, random.randint(1, 2), 5)
        process = _processes.Process(target=follow_and_die, args=arguments, daemon=True)
        process.start()
        process.join(60)
        assert process.exitcode == -9, point
        of = shared.tables.generations(name)[0]
        positions = [0, *(each.position for each in shared.follow(0, 10**6))]
        assert positions.index(of.position) % 5 == 0, "a batch was taken in by half"
    projection = RunsProjection() if name == "runs" else CheckpointsProjection()
    assert 0 < shared.tables.generations(name)[0].position < shared.last_position()
    caught_up(shared, projection, batch=5)
    assert rows_of(shared, name) == wanted_rows(shared, projection)


def test_one_process_at_a_time_owns_a_projection(shared: Store) -> None:
    writer = Writer()
    shared.commit([writer.run("a")], "w")
    one, two = begun(shared, RunsProjection()), begun(shared, RunsProjection())
    assert one.claim() and not two.claim() and two.step() == 0 and one.step() == 1
    one.release()
    shared.commit([writer.run("b")], "w")
    assert two.step() == 1 and not one.claim()


def test_a_dead_owner_of_this_host_is_replaced_at_once(shared: Store) -> None:
    process = _processes.Process(target=os.getpid)
    process.start()
    process.join()
    dead = this_process("x").replace(f'"pid":{os.getpid()}', f'"pid":{process.pid}')
    runner = begun(shared, RunsProjection())
    assert shared.tables.claim("runs", 1, dead, 1000)
    assert runner.claim()


def test_who_was_replaced_writes_nothing_and_forgets_what_it_folded(shared: Store) -> None:
    writer = Writer()
    shared.commit([writer.run("a")], "w")
    late, quick = begun(shared, RunsProjection()), begun(shared, RunsProjection())
    assert late.claim()
    assert shared.tables.claim("runs", 1, quick._owner, 30, instead_of=late._owner)
    assert quick.claim() and quick.step() == 1
    assert late.step() == 0 and not late.owns
    quick.release()
    shared.commit([writer.run("b")], "w")
    assert late.step() == 1
    assert rows_of(shared, "runs") == wanted_rows(shared, RunsProjection())


def test_a_paused_projection_stands_still_until_it_is_resumed(shared: Store) -> None:
    writer = Writer()
    runner = begun(shared, RunsProjection())
    assert runner.claim()
    shared.tables.pause("runs", True)
    shared.commit([writer.run("a")], "w")
    assert [runner.step() for _ in range(3)] == [0, 0, 0]
    shared.tables.pause("runs", False)
    assert sum(runner.step() for _ in range(3)) == 1


def test_lag_is_told_in_events_and_in_seconds(memory: MemoryStore) -> None:
    writer = Writer()
    memory.commit([writer.run("a"), writer.run("b")], "w")
    runner = begun(memory, RunsProjection(), batch=1)
    lag = lag_of(memory, runner.of)
    assert lag.events == 2 and lag.seconds > 1_000_000, "the events are of 2023"
    assert runner.step() == 1 and lag_of(memory, runner.of).events == 1
    assert runner.step() == 1 and lag_of(memory, runner.of) == (0, 0.0)


def test_code_of_an_older_version_leaves_a_projection_to_the_newer(memory: MemoryStore) -> None:
    memory.tables.create("runs", RunsProjection.version + 1, RunsProjection.tables)
    assert generation_for(memory, RunsProjection()) is None


def test_a_write_that_fails_is_made_again_from_the_log(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer()
    memory.commit([writer.run("a")], "w")
    runner = begun(memory, RunsProjection())
    write = memory.tables.write
    failures = iter([True])

    def fails_once(*arguments: Any) -> bool:
        if next(failures, False):
            raise ConnectionError("gone")
        return write(*arguments)

    monkeypatch.setattr(memory.tables, "write", fails_once)
    with pytest.raises(ConnectionError):
        runner.step()
    assert runner.step() == 1
    assert rows_of(memory, "runs") == wanted_rows(memory, RunsProjection())


def test_an_empty_batch_moves_nothing(memory: MemoryStore) -> None:
    runner = begun(memory, RunsProjection())
    assert runner.step() == 0 and runner.of.position == 0
    assert memory.tables.write("runs", 1, runner._owner, 1, Batch(0, 0, 0))


def test_two_processes_may_make_the_first_generation_at_once(url: str) -> None:
    stores = [open_store(url) for _ in range(2)]
    found = [generation_for(store, RunsProjection()) for store in stores]
    assert [each and each.generation for each in found] == [1, 1]
    for store in stores:
        store.close()
