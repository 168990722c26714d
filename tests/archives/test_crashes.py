"""A process killed while it archives, or brings back, leaves every event in reach; the next one finishes."""

from __future__ import annotations

import multiprocessing

import pytest

from refold.eventstore import archiving, bringing_back
from refold.eventstore.tiered import TieredStore
from refold.tests.support.archived import (
    archive,
    archive_and_die,
    bring_back,
    bring_back_and_die,
    ended_streams,
    hot_streams,
    opened,
    readable,
)

_processes = multiprocessing.get_context("forkserver")

ARCHIVING = [
    (archiving.WRITTEN, 1),
    (archiving.NAMED, 1),
    (archiving.RECORDED, 1),
    (archiving.ADMITTED, 1),
    (archiving.DRAINED, 1),
    (archiving.FORGOTTEN, 1),
    (archiving.SETTLED, 1),
]
BRINGING_BACK = [
    (bringing_back.RETURNING, 1),
    (bringing_back.PUT_PAYLOADS, 1),
    (bringing_back.PUT, 1),
    (bringing_back.RELEASED, 1),
]


def killed(target: object, *arguments: object) -> None:
    process = _processes.Process(target=target, args=arguments, daemon=True)  # pyright: ignore[reportArgumentType]
    process.start()
    process.join(60)
    assert process.exitcode == -9


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this process; those that are killed take the usual ones."""
    monkeypatch.setattr(archiving, "RUNS", 3)
    monkeypatch.setattr(archiving, "EVENTS", 7)
    monkeypatch.setattr(bringing_back, "RUNS", 3)
    monkeypatch.setattr(bringing_back, "EVENTS", 7)


@pytest.mark.parametrize(("point", "count"), ARCHIVING)
async def test_killed_while_archiving(point: str, count: int, filled: TieredStore, url: str) -> None:
    until = filled.last_position()
    before = readable(filled, until)
    ended = ended_streams(filled)
    killed(archive_and_die, url, filled.folder.path, point, count)
    assert readable(filled, until) == before
    other = opened(url)
    assert readable(other, until) == before
    other.close()
    work, _ = archive(filled)
    assert work.left == []
    assert filled.index.unsettled(10) == []
    assert sum(each.runs for each in filled.index.in_use()) == len(ended)
    assert not set(ended) & hot_streams(filled)
    assert readable(filled, until) == before


@pytest.mark.parametrize(("point", "count"), BRINGING_BACK)
async def test_killed_while_bringing_back(point: str, count: int, filled: TieredStore, url: str) -> None:
    until = filled.last_position()
    before = readable(filled, until)
    ended = ended_streams(filled)
    archive(filled)
    killed(bring_back_and_die, url, filled.folder.path, ended, point, count)
    assert readable(filled, until) == before
    bring_back(filled, *ended)
    assert filled.index.in_use() == [] == filled.index.unsettled(10)
    assert set(ended) <= hot_streams(filled)
    assert readable(filled, until) == before


async def test_what_was_cut_off_on_its_way_back_is_taken_back_by_the_next_archiving(
    filled: TieredStore, url: str
) -> None:
    until = filled.last_position()
    before = readable(filled, until)
    ended = ended_streams(filled)
    archive(filled)
    killed(bring_back_and_die, url, filled.folder.path, ended, bringing_back.PUT, 1)
    assert filled.index.unsettled(10) and set(ended) & hot_streams(filled)
    archive(filled)
    assert not filled.index.unsettled(10) and not set(ended) & hot_streams(filled)
    assert readable(filled, until) == before


async def test_every_step_of_both_ways_leaves_all_readable(filled: TieredStore) -> None:
    until = filled.last_position()
    before = readable(filled, until)
    ended = ended_streams(filled)
    points: list[str] = []

    def reached(point: str) -> None:
        points.append(point)
        if len(points) % 5 == 1:
            assert readable(filled, until, size=500) == before, f"at {point}"

    archive(filled, reached=reached)
    bring_back(filled, *ended, reached=reached)
    assert set(points) == {point for point, _ in (*ARCHIVING, *BRINGING_BACK)}
    assert len(points) > 60
