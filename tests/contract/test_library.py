"""The `eventsourcing` library's own way of reading works on all three stores; its own way of writing is shut."""

from __future__ import annotations

from typing import Any

import pytest
from eventsourcing.application import LocalNotificationLog
from eventsourcing.persistence import StoredEvent

from refold.eventstore.store import Store
from refold.eventstore.tiered import TieredStore
from refold.tests.support.units import Writer, said, started


@pytest.fixture
def filled(store: Store) -> Any:
    """A store of 25 events in two streams; typed loosely, for the library's interface is not part of our protocol."""
    writer = Writer()
    for number in range(12):
        store.commit([writer.unit(("default/a", [said(str(number))]), ("default/b", [said()]))], "me")
    store.commit([writer.unit(("default/c", [started("c")]))], "me")
    return store.hot if isinstance(store, TieredStore) else store


def test_its_notification_log_reads_every_event_in_order(filled: Any) -> None:
    log = LocalNotificationLog(filled, section_size=10)
    read: list[Any] = []
    section = log["1,10"]
    while True:
        read += section.items
        if section.next_id is None:
            break
        section = log[section.next_id]
    ours = filled.follow(0, 100)
    assert [each.id for each in read] == [each.position for each in ours]
    assert [(e.originator_id, e.originator_version, e.topic, e.state) for e in read] == [tuple(e.record) for e in ours]


def test_its_selections_follow_its_rules(filled: Any) -> None:
    def ids(*arguments: Any, **options: Any) -> list[int]:
        return [each.id for each in filled.select_notifications(*arguments, **options)]

    assert ids(5, 3) == [5, 6, 7]
    assert ids(5, 3, inclusive_of_start=False) == [6, 7, 8]
    assert ids(None, 2) == [1, 2]
    assert ids(1, 100, stop=3) == [1, 2, 3]
    assert ids(1, 100, topics=["run.started"]) == [25]
    assert ids(26, 10) == []
    assert filled.max_notification_id() == 25 == filled.last_position()


def test_its_streams_are_ours(filled: Any) -> None:
    def versions(**options: Any) -> list[int]:
        return [event.originator_version for event in filled.select_events("default/a", **options)]

    assert versions() == list(range(1, 13))
    assert versions(gt=3, lte=6) == [4, 5, 6]
    assert versions(desc=True, limit=2) == [12, 11]
    event = filled.select_events("default/a", limit=1)[0]
    record = filled.read("default/a", limit=1)[0]
    assert (event.originator_id, event.topic, bytes(event.state)) == (record.stream, record.topic, record.state)
    assert filled.select_events("default/nobody") == []


def test_its_tracking_starts_at_nothing(filled: Any) -> None:
    assert filled.max_tracking_id("a projection") is None
    assert not filled.has_tracking_id("a projection", 1)


def test_an_empty_log_reads_as_empty(store: Any) -> None:
    store = store.hot if isinstance(store, TieredStore) else store
    assert store.max_notification_id() is None
    assert store.select_notifications(1, 10) == []
    assert LocalNotificationLog(store, section_size=10)["1,10"].items == []


def test_its_own_append_is_refused(filled: Any) -> None:
    with pytest.raises(NotImplementedError, match="commit"):
        filled.insert_events([StoredEvent("default/a", 13, "t", b"{}")])
    assert filled.last_position() == 25
