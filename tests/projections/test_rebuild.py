"""A rebuild gives the same bytes, whoever kills it and whatever is appended meanwhile."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from refold.core.errors import ReplayDivergenceError, StoreRefusedError
from refold.eventstore.memory import MemoryStore
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.eventstore.tables import Batch, hash_of
from refold.projections.checkpoints import CheckpointsProjection
from refold.projections.model import Projection
from refold.projections.projector import Projector
from refold.projections.rebuild import SWITCHED, Progress, Rebuild, drop_old
from refold.projections.runner import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_WRITE
from refold.projections.runs import RunsProjection
from refold.tests.support.projected import caught_up, fill, rebuild_and_die, rows_of, wanted_rows
from refold.tests.support.units import Writer
from refold.tests.support.workflows import until

RUNS = 200

NAMES = pytest.mark.parametrize("name", ["runs", "checkpoints"])
_processes = multiprocessing.get_context("forkserver")


def projection_of(name: str) -> Projection:
    return RunsProjection() if name == "runs" else CheckpointsProjection()


def rebuild(store: Store, name: str, **options: Any) -> Rebuild:
    return Rebuild(store, projection_of(name), this_process(uuid4().hex), **options)


def states(store: Store, name: str) -> list[bool]:
    return [each.active for each in store.tables.generations(name)]


@NAMES
async def test_a_rebuild_of_mixed_runs_gives_the_same_bytes(url: str, shared: Store, name: str) -> None:
    await fill(shared, RUNS, 7)
    caught_up(shared, projection_of(name), batch=97)
    done = rebuild(shared, name).run(compare=True)
    assert done.compared and done.switched and done.position == shared.last_position()
    assert states(shared, name) == [False, True]
    old, new = shared.tables.generations(name)
    assert hash_of(shared.tables, old) == hash_of(shared.tables, new)
    assert rows_of(shared, name) == wanted_rows(shared, projection_of(name))


@NAMES
async def test_a_rebuild_killed_five_times_while_runs_arrive_gives_the_same_bytes(
    url: str, shared: Store, name: str
) -> None:
    await fill(shared, 40, 8)
    caught_up(shared, projection_of(name))
    projector = Projector(shared, [projection_of(name)])
    following = asyncio.create_task(projector.run())
    random = Random(name)
    points = [BEFORE_WRITE, BEFORE_COMMIT, AFTER_COMMIT, AFTER_COMMIT, SWITCHED]
    for number, point in enumerate(points):
        count = 1 if point == SWITCHED else random.randint(1, 3)
        process = _processes.Process(target=rebuild_and_die, args=(url, name, point, count, 20), daemon=True)
        process.start()
        await fill(shared, 5, number, prefix=f"during{number}-")
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode == -9, point
    assert states(shared, name) == [False, True], "killed right after the switch"
    await until(lambda: shared.tables.generations(name)[1].position == shared.last_position())
    projector.drain()
    await following
    assert rows_of(shared, name) == wanted_rows(shared, projection_of(name))
    assert rebuild(shared, name).run(compare=True).compared


async def test_a_projector_carries_on_what_a_rebuild_has_put_in_place(memory: MemoryStore) -> None:
    await fill(memory, 10, 1)
    projector = Projector(memory, [RunsProjection()])
    following = asyncio.create_task(projector.run())
    await until(lambda: memory.tables.generations("runs") and memory.tables.generations("runs")[0].position)
    await asyncio.to_thread(rebuild(memory, "runs").run, compare=True)
    await fill(memory, 5, 2, prefix="later")
    await until(lambda: memory.tables.generations("runs")[1].position == memory.last_position())
    projector.drain()
    await following
    assert rows_of(memory, "runs") == wanted_rows(memory, RunsProjection())


class _Overtaken:
    """The tables of a store in which `meanwhile` happens right before the next claim."""

    def __init__(self, store: MemoryStore, meanwhile: Callable[[], object]):
        self._tables = store.tables
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    def claim(self, *given: Any, **options: Any) -> bool:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return self._tables.claim(*given, **options)


class _OvertakenStore:
    def __init__(self, store: MemoryStore, meanwhile: Callable[[], object]):
        self._store = store
        self.tables = _Overtaken(store, meanwhile)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _CutOffError(Exception):
    """Ends a rebuild in its middle."""


def _cut_off(_: object) -> None:
    raise _CutOffError


@pytest.mark.parametrize("first", ["switches", "throws away"])
async def test_whoever_comes_upon_a_rebuild_at_its_very_end_spoils_nothing(memory: MemoryStore, first: str) -> None:
    await fill(memory, 10, 1)
    caught_up(memory, RunsProjection())
    with pytest.raises(_CutOffError):
        rebuild(memory, "runs", watch=_cut_off).run()
    assert states(memory, "runs") == [True, False], "generation 2 is begun, and nobody's"

    overtaken: Any = _OvertakenStore(memory, lambda: rebuild(memory, "runs").run(shadow=first == "throws away"))
    with pytest.raises(StoreRefusedError, match="another process rebuilds the projection runs already"):
        rebuild(overtaken, "runs").run(shadow=True)

    assert states(memory, "runs") == ([False, True] if first == "switches" else [True])
    assert all(each.owner is None for each in memory.tables.generations("runs"))
    assert rows_of(memory, "runs") == wanted_rows(memory, RunsProjection())


async def test_rows_that_differ_are_not_switched_to(memory: MemoryStore) -> None:
    await fill(memory, 10, 1)
    runner = caught_up(memory, RunsProjection())
    assert memory.tables.claim("runs", 1, "somebody", 30)
    forged = (*rows_of(memory, "runs")["runs"][0][:4], "forged", *rows_of(memory, "runs")["runs"][0][5:])
    batch = Batch(runner.of.position, runner.of.position, 0, [(forged[0], forged[1])], {"runs": [forged]})
    assert memory.tables.write("runs", 1, "somebody", 30, batch)
    memory.tables.release("runs", 1, "somebody")
    with pytest.raises(ReplayDivergenceError, match="the rows of runs differ at position"):
        rebuild(memory, "runs").run(compare=True)
    assert states(memory, "runs") == [True, False] and memory.tables.generations("runs")[0].owner is None
    assert rebuild(memory, "runs").run().generation == 2, "it goes on with the one that was built"


async def test_a_shadow_rebuild_compares_and_leaves_nothing(memory: MemoryStore) -> None:
    await fill(memory, 10, 1)
    caught_up(memory, RunsProjection())
    done = rebuild(memory, "runs").run(shadow=True)
    assert done.compared and not done.switched and states(memory, "runs") == [True]


async def test_the_live_rows_are_brought_to_where_the_new_ones_are(memory: MemoryStore) -> None:
    await fill(memory, 5, 1)
    caught_up(memory, RunsProjection())
    await fill(memory, 5, 2, prefix="later")
    done = rebuild(memory, "runs").run(compare=True)
    assert [each.position for each in memory.tables.generations("runs")] == [done.position] * 2


async def test_the_first_generation_can_be_built_by_a_rebuild(memory: MemoryStore) -> None:
    await fill(memory, 5, 1)
    done = rebuild(memory, "runs").run(compare=True)
    assert done.generation == 1 and not done.compared
    assert rows_of(memory, "runs") == wanted_rows(memory, RunsProjection())


async def test_progress_is_told_after_each_batch(memory: MemoryStore) -> None:
    await fill(memory, 5, 1)
    told: list[Progress] = []
    rebuild(memory, "runs", batch=10, watch=told.append).run()
    last = memory.last_position()
    assert [each.position for each in told] == [*range(10, last, 10), last] and {each.of for each in told} == {last}
    assert told[-1].events == last


def test_a_paused_projection_is_not_rebuilt(memory: MemoryStore) -> None:
    caught_up(memory, RunsProjection())
    memory.tables.pause("runs", True)
    with pytest.raises(StoreRefusedError, match="paused"):
        rebuild(memory, "runs").run()


def test_two_do_not_rebuild_the_same_projection(memory: MemoryStore) -> None:
    caught_up(memory, RunsProjection())
    memory.tables.create("runs", RunsProjection.version, RunsProjection.tables)
    memory.tables.claim("runs", 2, "somebody", 30)
    with pytest.raises(StoreRefusedError, match="another process rebuilds"):
        rebuild(memory, "runs").run()


def test_only_what_was_replaced_is_dropped(memory: MemoryStore) -> None:
    caught_up(memory, RunsProjection())
    rebuild(memory, "runs").run()
    memory.tables.create("runs", 1, RunsProjection.tables)
    assert drop_old(memory, "runs") == [1] and drop_old(memory, "runs") == []
    assert [each.generation for each in memory.tables.generations("runs")] == [2, 3]


class _Newer(RunsProjection):
    version = RunsProjection.version + 1

    def rows(self, run: Any) -> Any:
        rows = super().rows(run)
        return {**rows, "runs": [(*row[:6], "moved", *row[7:]) for row in rows["runs"]]}


async def test_a_new_version_of_the_code_is_built_beside_the_old_one_and_then_read(memory: MemoryStore) -> None:
    await fill(memory, 10, 1)
    caught_up(memory, RunsProjection())
    projector = Projector(memory, [_Newer()], batch=10)
    following = asyncio.create_task(projector.run())
    await until(lambda: states(memory, "runs") == [False, True])
    projector.drain()
    await following
    assert {row[6] for row in rows_of(memory, "runs")["runs"]} == {"moved"}
    assert memory.tables.generations("runs")[0].position == memory.last_position(), "the old rows are still there"


def test_rows_of_two_versions_are_compared_only_where_both_have_come(memory: MemoryStore) -> None:
    memory.commit([Writer().run("a")], "w")
    caught_up(memory, RunsProjection())
    with pytest.raises(ReplayDivergenceError):
        Rebuild(memory, _Newer(), this_process("x")).run(compare=True)
