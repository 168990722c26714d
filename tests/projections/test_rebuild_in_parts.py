"""Several processes rebuild a projection side by side: the same bytes, whoever of them is killed."""

from __future__ import annotations

import multiprocessing
import threading
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from refold.core.errors import IntegrityError, StoreRefusedError
from refold.eventstore.memory import MemoryStore
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.eventstore.tables import Generation, hash_of
from refold.projections.checkpoints import CheckpointsProjection
from refold.projections.follow import BadEventError
from refold.projections.model import Projection
from refold.projections.parts import work_parts
from refold.projections.projector import known_projections
from refold.projections.rebuild import Progress, Rebuild
from refold.projections.runner import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_WRITE
from refold.projections.runs import RunsProjection
from refold.tests.support.projected import (
    caught_up,
    fill,
    fill_parts_and_die,
    rows_of,
    wanted_rows,
)
from refold.tests.support.units import Writer

NAMES = pytest.mark.parametrize("name", ["runs", "checkpoints", "timeline"])
_processes = multiprocessing.get_context("forkserver")


def projection_of(name: str) -> Projection:
    return known_projections()[name]


class ThreadHelper:
    """A helper that is no process, for a store that is in this one; what it raised is what it had to say."""

    def __init__(self, store: Store, of: Generation, batch: int = 3):
        self._error = ""

        def work() -> None:
            try:
                work_parts(store, projection_of(of.name), this_process(uuid4().hex), of, batch=batch)
            except Exception as error:
                self._error = str(error)

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def poll(self) -> int | None:
        return None if self._thread.is_alive() else int(bool(self._error))

    def said(self) -> str:
        return self._error

    def end(self) -> None:
        self._thread.join()


class ProcessHelper:
    """A process that is killed with SIGKILL at a point, if one is given."""

    def __init__(self, url: str, of: Generation, point: str = "", count: int = 0, batch: int = 3):
        arguments = (url, of.name, of.generation, point, count, batch)
        self._process = _processes.Process(target=fill_parts_and_die, args=arguments, daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def said(self) -> str:
        return str(self._process.exitcode)

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def rebuild(store: Store, name: str, processes: int = 3, **options: Any) -> Rebuild:
    given: dict[str, Any] = {"start": lambda of: ThreadHelper(store, of), "divided_from": 1, **options}
    return Rebuild(store, projection_of(name), this_process(uuid4().hex), processes=processes, **given)


@NAMES
async def test_parts_give_the_same_bytes_as_one_process(memory: MemoryStore, name: str) -> None:
    await fill(memory, 60, 7)
    caught_up(memory, projection_of(name))
    told: list[Progress] = []
    done = rebuild(memory, name, watch=told.append).run(compare=True)
    assert done.compared and done.switched and done.position == memory.last_position()
    assert rows_of(memory, name) == wanted_rows(memory, projection_of(name))
    positions = [each.position for each in told]
    assert positions == sorted(positions) and told[-1].position == told[-1].of == told[-1].events == done.position


@NAMES
async def test_helpers_killed_at_any_point_are_replaced(url: str, shared: Store, name: str) -> None:
    await fill(shared, 40, 3)
    caught_up(shared, projection_of(name))
    random = Random(name)
    deaths = [(point, random.randint(1, 3)) for point in (BEFORE_WRITE, BEFORE_COMMIT, AFTER_COMMIT) * 2]
    killed: list[ProcessHelper] = []

    def start(of: Generation) -> ProcessHelper:
        point, count = deaths.pop() if deaths else ("", 0)
        helper = ProcessHelper(url, of, point, count)
        killed.append(helper)
        return helper

    assert rebuild(shared, name, 2, start=start).run(compare=True).compared
    assert not deaths and len(killed) > 6
    old, new = shared.tables.generations(name)
    assert hash_of(shared.tables, old) == hash_of(shared.tables, new)


@NAMES
async def test_an_interrupted_rebuild_goes_on_with_any_number_of_processes(url: str, shared: Store, name: str) -> None:
    await fill(shared, 30, 4)
    caught_up(shared, projection_of(name))
    for processes in (3, 1, 2):

        def start(of: Generation) -> ProcessHelper:
            return ProcessHelper(url, of, BEFORE_COMMIT, 2)

        def watch(progress: Progress) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            rebuild(shared, name, processes, start=start, watch=watch).run()
        parts = shared.parts.list(name, 2)
        assert len(parts) == 3 and any(each.position for each in parts)
        shared.tables.release(name, 2, shared.tables.generations(name)[1].owner or "")
    await fill(shared, 5, 5, prefix="meanwhile")
    alone = Rebuild(shared, projection_of(name), this_process("alone"))
    assert alone.run(compare=True).generation == 2
    assert rows_of(shared, name) == wanted_rows(shared, projection_of(name))


def broken_log(good: int = 20) -> tuple[MemoryStore, Any]:
    """Runs of which one has an event that cannot be read; and what mends it."""
    store, writer = MemoryStore(), Writer()
    store.commit([writer.run(f"good{n}") for n in range(good)], "w")
    caught_up(store, CheckpointsProjection())
    caught_up(store, RunsProjection())
    store.commit([writer.run("bad")], "w")
    store.commit([writer.run(f"later{n}") for n in range(good)], "w")
    whole = store._log[good]
    store._log[good] = store._streams["default/bad"][0] = whole._replace(state=b"{}")

    def mend() -> None:
        store._log[good] = store._streams["default/bad"][0] = whole

    return store, mend


def test_a_strict_projection_names_the_bad_event_and_switches_nothing() -> None:
    store, mend = broken_log()
    with pytest.raises(IntegrityError, match="event 1 of default/bad at position 21"):
        rebuild(store, "checkpoints").run()
    assert [each.active for each in store.tables.generations("checkpoints")] == [True, False]
    with pytest.raises(BadEventError):
        Rebuild(store, CheckpointsProjection(), this_process("alone")).run()
    mend()
    assert rebuild(store, "checkpoints").run().switched
    assert rows_of(store, "checkpoints") == wanted_rows(store, CheckpointsProjection())


def test_others_leave_the_run_aside() -> None:
    store, mend = broken_log()
    assert rebuild(store, "runs").run().switched
    assert [each.stream for each in store.tables.parked("runs", 2)] == ["default/bad"]
    mend()
    store.tables.retry("runs", None)
    caught_up(store, RunsProjection())
    assert rows_of(store, "runs") == wanted_rows(store, RunsProjection())


def test_helpers_that_end_again_and_again_end_the_rebuild(memory: MemoryStore) -> None:
    memory.commit([Writer().run("a")], "w")
    caught_up(memory, RunsProjection())

    class Hopeless(ThreadHelper):
        def __init__(self) -> None:
            pass

        def poll(self) -> int | None:
            return 1

        def said(self) -> str:
            return "no module named refold"

        def end(self) -> None:
            pass

    with pytest.raises(StoreRefusedError, match="no module named refold"):
        rebuild(memory, "runs", start=lambda of: Hopeless()).run()
    assert memory.tables.generations("runs")[1].owner is None, "the next one need not wait"


def test_a_small_log_is_not_divided(memory: MemoryStore) -> None:
    memory.commit([Writer().run("a")], "w")

    def start(of: Generation) -> ThreadHelper:
        raise AssertionError

    assert rebuild(memory, "runs", start=start, divided_from=2).run().position == 1
