"""Projections of one process fold each run once, together, and part only where they must."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from refold.eventstore.memory import MemoryStore
from refold.projections.costs import CostsProjection
from refold.projections.crew import Crew
from refold.projections.model import Projection
from refold.projections.projector import Projector, known_projections
from refold.projections.runner import Runner, generation_for
from refold.projections.runs import RunsProjection
from refold.tests.support.projected import caught_up, fill, rows_of, wanted_rows
from refold.tests.support.tampering import store_runs_async
from refold.tests.support.units import Writer
from refold.tests.support.workflows import until

Steps = list[tuple[int, ...]]
"""At which positions the projections stood that went on together, step by step."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    taken: Steps = []
    step = Crew.step

    def noted(self: Crew, runners: Sequence[Runner], until: int | None = None) -> int | None:
        before = tuple(each.of.position for each in runners)
        done = step(self, runners, until)
        if done:
            taken.append(before)
        return done

    monkeypatch.setattr(Crew, "step", noted)
    return taken


async def followed(store: MemoryStore, projections: Sequence[Projection], batch: int = 100) -> None:
    projector = Projector(store, projections, batch=batch)
    task = asyncio.create_task(projector.run())
    await until(
        lambda: (
            len(found := store.tables.generations()) == len(projections)
            and all(each.position == store.last_position() or each.error for each in found)
        )
    )
    projector.drain()
    await task


async def test_projections_that_begin_together_stay_together(steps: Steps) -> None:
    store = MemoryStore()
    await fill(store, 40, 3)
    every = list(known_projections().values())
    await followed(store, every)
    assert len(steps) >= store.last_position() // 100
    assert all(len(each) == len(every) and len(set(each)) == 1 for each in steps)
    for projection in every:
        assert rows_of(store, projection.name) == wanted_rows(store, projection)


@pytest.mark.parametrize("head_start", [50, 5000])
async def test_one_that_is_ahead_is_caught_up_with(steps: Steps, head_start: int) -> None:
    store = MemoryStore()
    await fill(store, 20, 4)
    ahead = RunsProjection()
    of = generation_for(store, ahead)
    assert of is not None
    runner = Runner(store, ahead, "me", of, batch=head_start)
    runner.step()
    runner.release()
    await fill(store, 20, 5, prefix="later")
    every = list(known_projections().values())
    await followed(store, every)
    if head_start < 100:
        assert any(len(each) == len(every) for each in steps), "it has waited for them"
    for projection in every:
        assert rows_of(store, projection.name) == wanted_rows(store, projection)


class Picky(CostsProjection):
    """Takes in no run called so."""

    name = "picky"

    def taken(self, run: object, event: object) -> dict[str, list[tuple[object, ...]]]:
        if getattr(run, "run_id", "") == "m7":
            raise ValueError("not this one")
        return {}


async def test_one_that_cannot_take_in_an_event_parks_it_and_the_others_do_not_notice(steps: Steps) -> None:
    store = MemoryStore()
    await fill(store, 20, 6)
    every = [*known_projections().values(), Picky()]
    await followed(store, every)
    (parked,) = store.tables.parked("picky", 1)
    assert (parked.stream, parked.version) == ("default/m7", 1)
    for projection in known_projections().values():
        assert store.tables.parked(projection.name, 1) == []
        assert rows_of(store, projection.name) == wanted_rows(store, projection)
    assert any(len(each) == len(every) - 1 for each in steps), "without it they go on together"


async def test_a_projection_that_goes_on_alone_after_the_crew_knows_where_it_stands() -> None:
    store = MemoryStore()
    await store_runs_async(store)
    await followed(store, list(known_projections().values()), batch=7)
    writer = Writer()
    store.commit([writer.run("new")], "w")
    for projection in known_projections().values():
        caught_up(store, projection, batch=3)
        assert rows_of(store, projection.name) == wanted_rows(store, projection)
