"""How many runs there are in the queues, by what they need and why they wait."""

from __future__ import annotations

from collections.abc import Sequence

from refold.core.ports import Dispatch, Schedule, held_at
from refold.eventstore.store import Store
from refold.projections.queues import queue_reports
from refold.projections.worker_reports import WorkerReport
from refold.tests.contract.conftest import Place
from refold.tests.support.units import Writer, started

FUTURE = 4_000_000_000_000_000


def _fill(store: Store, rows: Sequence[Schedule]) -> None:
    writer = Writer()
    for row in rows:
        changes: Sequence[Dispatch] = [row]
        unit = writer.unit((row.stream, [started(row.stream.partition("/")[2])]), dispatch=changes)
        assert store.commit([unit], "me") == [True]


def test_runs_are_counted_by_queue_and_need_and_by_why_they_wait(place: Place) -> None:
    store = place.open()
    _fill(
        store,
        [
            Schedule("default/ready", 0, due=5_000_000),
            Schedule("default/stirred", 0, due=0),
            Schedule("default/leased", 60),
            Schedule("default/later", 0, due=FUTURE),
            Schedule("default/stopped", 0, due=held_at(3)),
            Schedule("default/other", 0, needs='["x"]'),
            Schedule("default/fast", 0, queue="fast"),
        ],
    )
    other, first, fast = store.dispatch.depths()
    assert (first.queue, first.needs, *first[2:6]) == ("default", "[]", 2, 1, 1, 1)
    assert first.ready_since == 5.0, "a run that a message made due says nothing of how long it has been so"
    assert (other.needs, other.ready, other.ready_since) == ('["x"]', 1, None)
    assert (fast.queue, fast.ready) == ("fast", 1)


def test_a_queue_says_what_none_of_its_live_workers_serves(place: Place) -> None:
    store = place.open()
    _fill(store, [Schedule("default/a", 0, needs='["x"]'), Schedule("default/b", 0, queue="alone")])
    lost, live = _worker(["x"], lost=True), _worker(["y"])
    by_name = {each.queue: each for each in queue_reports(store.dispatch.depths(), [lost, live], 10.0)}
    assert [(each.why, each.runs) for each in by_name["alone"].unserved] == [("no worker on queue alone", 1)]
    assert [each.why for each in by_name["default"].unserved] == ["no worker serves it: skill x is missing"]
    assert by_name["default"].workers == 1
    served = queue_reports(store.dispatch.depths(), [_worker(["x"]), live], 10.0)
    assert next(each for each in served if each.queue == "default").unserved == ()


def _worker(skills: list[str], lost: bool = False) -> WorkerReport:
    return WorkerReport("host", 1, "1", ["default"], skills, [], {}, 10, 0, False, 0, False, 0.5, lost)
