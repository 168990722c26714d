"""Projectors as processes: who dies is replaced, who drains lets go."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from refold.core.errors import StoreRefusedError, StoreUnreachableError
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.projections.projector import Projector, known_projections
from refold.projections.runs import RunsProjection
from refold.tests.support.projected import fill, rows_of, wanted_rows
from refold.tests.support.units import Writer
from refold.tests.support.workflows import until


def projector(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "refold", "projector", "--database", url]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def followed(store: Store) -> bool:
    found = store.tables.generations()
    return len(found) == len(known_projections()) and all(each.position == store.last_position() for each in found)


async def test_another_projector_takes_over_at_once_when_one_is_killed(url: str, shared: Store) -> None:
    await fill(shared, 10, 1)
    one, two = projector(url), projector(url)
    try:
        soon(lambda: followed(shared))
        soon(lambda: all(each.owner for each in shared.tables.generations()))
        one.kill()
        one.communicate()
        await fill(shared, 5, 2, prefix="later")
        soon(lambda: followed(shared))
        assert rows_of(shared, "runs") == wanted_rows(shared, RunsProjection())
        two.send_signal(signal.SIGTERM)
        _, err = two.communicate(timeout=30)
        assert two.returncode == 0 and "is drained" in err
        assert {each.owner for each in shared.tables.generations()} == {None}
    finally:
        for each in (one, two):
            if each.poll() is None:
                each.kill()
                each.communicate()


async def test_a_store_that_goes_away_is_waited_for() -> None:
    store = MemoryStore()
    writer = Writer()
    store.commit([writer.run("a")], "w")
    follow, calls = store.follow, [0]

    def unreachable(position: int, limit: int) -> list[object]:
        calls[0] += 1
        if calls[0] < 4:
            raise StoreUnreachableError("gone")
        return follow(position, limit)  # pyright: ignore[reportReturnType]

    store.follow = unreachable  # pyright: ignore[reportAttributeAccessIssue]
    projector = Projector(store, [RunsProjection()])
    task = asyncio.create_task(projector.run())
    await until(lambda: projector.taken == 1)
    projector.drain()
    await task
    assert rows_of(store, "runs") == wanted_rows(store, RunsProjection())


async def test_a_projector_that_can_go_on_says_so_though_nothing_is_new(shared: Store) -> None:
    projector = Projector(shared, [RunsProjection()])
    task = asyncio.create_task(projector.run())

    def standing() -> list[tuple[bool, str | None]]:
        return [(each.owner is not None, each.error) for each in shared.tables.generations("runs")]

    await until(lambda: standing() == [(True, None)])
    follow, away = shared.follow, [True]

    def unreachable(position: int, limit: int) -> list[object]:
        if away[0]:
            raise StoreUnreachableError("gone")
        return follow(position, limit)  # pyright: ignore[reportReturnType]

    shared.follow = unreachable  # pyright: ignore[reportAttributeAccessIssue]
    await until(lambda: standing() == [(True, "gone")])
    away[0] = False
    await until(lambda: standing() == [(True, None)])
    projector.drain()
    await task


async def test_a_generation_that_is_dropped_under_its_projector_is_made_again() -> None:
    store = MemoryStore()
    store.commit([Writer().run("a")], "w")
    projector = Projector(store, [RunsProjection()])
    task = asyncio.create_task(projector.run())
    await until(lambda: projector.taken == 1)
    store.tables.drop("runs", 1)
    await until(lambda: store.tables.generations("runs") and store.tables.generations("runs")[0].position == 1)
    projector.drain()
    await task


def test_a_generation_that_somebody_else_has_just_made_is_not_made_again(shared: Store) -> None:
    projection = RunsProjection()
    made = shared.tables.create(projection.name, projection.version, projection.tables, 1)
    with pytest.raises(StoreRefusedError):
        shared.tables.create(projection.name, projection.version, projection.tables, 1)
    assert made == 1 and [each.generation for each in shared.tables.generations(projection.name)] == [1]
