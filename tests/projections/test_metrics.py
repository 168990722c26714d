"""What the log says, counted: each event once, whoever counts it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from refold.core.errors import StoreUnreachableError
from refold.core.labels import tenant_label
from refold.eventstore.memory import MemoryStore
from refold.eventstore.named_lease import NamedLease
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.eventstore.tables import COUNTING
from refold.projections.metrics import LogCounts, MetricsProjection
from refold.projections.projector import known_projections
from refold.projections.runner import Runner, generation_for
from refold.projections.worker_reports import WorkerReport, count_workers
from refold.tests.support.projected import fill


def counter(store: Store, batch: int = 7) -> tuple[LogCounts, Runner]:
    """A process that has begun to count."""
    counts = LogCounts()
    projection = MetricsProjection(counts)
    of = generation_for(store, projection)
    assert of is not None
    runner = Runner(store, projection, this_process(uuid4().hex), of, batch=batch, cached=2)
    runner.claim()
    return counts, runner


def ended(*counted: LogCounts) -> int:
    return int(sum(sum(each.counters()["workflow_runs"].values()) for each in counted))


async def test_what_came_before_the_first_start_is_not_counted_and_what_comes_after_it_is() -> None:
    store = MemoryStore()
    await fill(store, 10, 1)
    counts, runner = counter(store)
    while runner.step():
        pass
    assert ended(counts) == 0 and runner.of.position == store.last_position()
    await fill(store, 10, 2, prefix="later")
    while runner.step():
        pass
    runs = sum(each.record.topic.startswith("run.") for each in store.follow(0, 10**6)) > 0
    assert runs and ended(counts) > 8
    assert {tenant for _, tenant in counts.counters()["workflow_runs"]} == {tenant_label("default")}


async def test_each_event_is_counted_once_though_owners_change_and_answers_are_lost() -> None:
    store = MemoryStore()
    alone, whole = counter(store, 10_000)
    whole.release()
    one, first = counter(store)
    await fill(store, 20, 3)
    while ended(one) < 3:
        assert first.step()
    write, lost = store.tables.write, [True]

    def losing(*given: object) -> bool:
        written = write(*given)  # pyright: ignore[reportArgumentType]
        if lost:
            lost.clear()
            raise StoreUnreachableError("the answer is lost")
        return written

    store.tables.write = losing  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(StoreUnreachableError):
        first.step()
    first.claim()
    first.release()
    two, second = counter(store)
    while second.step():
        pass
    store.tables.drop(COUNTING, 1)
    store.tables.create(COUNTING, 1, (), 1)
    again = Runner(store, MetricsProjection(alone), "x", store.tables.generations(COUNTING)[0])
    again.of = again.of._replace(position_at=1)
    changes = again._follower.changes(store.follow(0, 10**6), ())  # pyright: ignore[reportPrivateUsage]
    alone.add(changes.noted)
    assert ended(two) > 0 and ended(one, two) == ended(alone)
    steps = [each.counters()["workflow_steps"] for each in (one, two, alone)]
    assert all(steps[0].get(key, 0) + steps[1].get(key, 0) == value for key, value in steps[2].items())


def test_leases_are_no_projections_and_pass_on_when_given_up() -> None:
    store = MemoryStore()
    one, two = NamedLease(store, "gauges", "one"), NamedLease(store, "gauges", "two")
    assert one.hold() and one.hold() and not two.hold()
    one.release()
    assert two.hold() and not one.hold()
    assert store.tables.generations() == [] and COUNTING not in known_projections()


def report(beat: float, up: float, *skills: str) -> WorkerReport:
    return WorkerReport("h", 1, "v", ["q"], list(skills), [], {}, 1, 0, False, 0, False, beat, beat > 10, up)


def test_a_worker_is_lost_until_one_starts_that_serves_the_same() -> None:
    silent = report(60, 1000, "a", "b")
    assert count_workers([silent]) == (0, 1)
    assert count_workers([silent, report(1, 500, "a", "b")]) == (1, 1)  # It was up before.
    assert count_workers([silent, report(1, 30, "a")]) == (1, 1)
    assert count_workers([silent, report(1, 30, "a", "b", "c")]) == (1, 0)
