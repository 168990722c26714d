"""The outbox of webhooks: noted once, claimed by one, handed out in the order of the log; on every store."""

from __future__ import annotations

import threading

import pytest

from refold.eventstore.outbox import EndpointRow, Lookup, NewDelivery, OutboxPosition, Outcome
from refold.eventstore.store import Store
from refold.tests.contract.conftest import Place

HOUR = 3_600_000_000


def endpoint(endpoint_id: str, enabled: bool = True, tenant: str = "t") -> EndpointRow:
    return EndpointRow(endpoint_id, tenant, f'{{"of":"{endpoint_id}"}}', enabled, "" if enabled else "it is disabled")


def noted(endpoint_id: str, position: int, at: int = 100) -> NewDelivery:
    identity = f"msg_{endpoint_id}_{position}"
    return NewDelivery(endpoint_id, position, identity, "t", "t/run", position, "run.started", at)


def taken(at: int = 100) -> Outcome:
    return Outcome("delivered", 1, at, 204, "", "hash", at)


def positions(store: Store, of: Lookup | None = None) -> list[int]:
    return [each.position for each in store.outbox.deliveries(of or Lookup("t"), 100)]


def test_what_is_noted_moves_with_the_position_and_only_from_where_it_stood(place: Place) -> None:
    one, other = place.open().outbox, place.open().outbox
    assert one.position() == OutboxPosition(0, 0)
    assert one.note(0, 5, [endpoint("a"), noted("a", 3)])
    assert not other.note(0, 5, [endpoint("b"), noted("a", 4)])
    assert other.position() == OutboxPosition(5, 0)
    assert other.note(5, 9, [noted("a", 7)])
    assert [row.endpoint_id for row in other.endpoints("t")] == ["a"] and other.endpoints("u") == []
    assert positions(place.open()) == [7, 3]


def test_of_many_that_note_the_same_page_one_does(place: Place) -> None:
    stores = [place.open() for _ in range(4)]
    told: list[bool] = []
    start = threading.Barrier(4)

    def note(store: Store) -> None:
        start.wait()
        told.append(store.outbox.note(0, 9, [endpoint("a"), noted("a", 3)]))

    threads = [threading.Thread(target=note, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False, False, False, True]
    assert positions(stores[0]) == [3]


def test_an_endpoint_belongs_to_one_sender_and_hands_out_its_first_delivery(place: Place) -> None:
    one, other = place.open().outbox, place.open().outbox
    one.note(0, 9, [endpoint("a"), endpoint("b"), noted("a", 3), noted("a", 4), noted("b", 4, at=500)])
    assert one.claim("one", 10, 30.0, 100) == ["a"], "b is due later"
    assert other.claim("two", 10, 30.0, 500) == ["b"]
    assert other.claim("two", 10, 30.0, 500) == []
    assert other.first("a", "two", 30.0) is None, "it is somebody else's"
    found = one.first("a", "one", 30.0)
    assert found is not None
    data, delivery = found
    assert (data, delivery.position, delivery.status, delivery.attempts) == ('{"of":"a"}', 3, "waiting", 0)
    assert not other.record(delivery, "two", taken())
    assert one.record(delivery, "one", taken())
    following = one.first("a", "one", 30.0)
    assert following is not None and following[1].position == 4
    one.release("a", "one")
    assert one.first("a", "one", 30.0) is None
    assert other.claim("two", 10, 30.0, 100) == ["a"]


def test_later_ones_wait_while_the_first_is_retried(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), noted("a", 3), noted("a", 4)])
    assert outbox.claim("one", 10, 30.0, 100) == ["a"]
    (_, delivery) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    assert outbox.record(delivery, "one", Outcome("waiting", 1, 100 + HOUR, 500, "HTTP 500", "hash", 100))
    outbox.release("a", "one")
    assert outbox.claim("one", 10, 30.0, 99 + HOUR) == []
    assert outbox.claim("one", 10, 30.0, 100 + HOUR) == ["a"]
    (_, again) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    assert (again.position, again.attempts, again.code, again.error, again.body_hash) == (3, 1, 500, "HTTP 500", "hash")


def test_a_lease_ends_and_that_of_a_dead_owner_is_freed(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), noted("a", 3)])
    assert outbox.claim("one", 10, 0.0, 100) == ["a"]
    assert outbox.claim("two", 10, 30.0, 100) == ["a"], "no lease is left"
    assert outbox.first("a", "one", 30.0) is None
    assert outbox.owners() == ["two"]
    assert (outbox.free("one"), outbox.free("two")) == (0, 1)
    assert outbox.claim("three", 10, 30.0, 100) == ["a"]


def test_a_disabled_endpoint_gets_nothing_and_what_waited_is_dead(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), noted("a", 3), endpoint("a", enabled=False), endpoint("b"), noted("b", 4)])
    assert outbox.claim("one", 10, 30.0, 100) == ["b"]
    assert [(each.endpoint_id, each.error) for each in outbox.deliveries(Lookup("t", status="dead"), 9)] == [
        ("a", "it is disabled")
    ]
    assert outbox.note(9, 12, [endpoint("a"), noted("a", 11)])
    assert outbox.claim("one", 10, 30.0, 100) == ["a"]
    (_, delivery) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    assert delivery.position == 11, "what is dead waits for nobody"


def test_a_removed_endpoint_leaves_nothing(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), noted("a", 3), endpoint("b"), noted("b", 3)])
    assert outbox.claim("one", 1, 30.0, 100) == ["a"]
    (_, delivery) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    outbox.note(9, 12, [EndpointRow("a", "t", None, False)])
    assert not outbox.record(delivery, "one", taken())
    assert [each.endpoint_id for each in outbox.deliveries(Lookup("t"), 9)] == ["b"]
    assert [row.endpoint_id for row in outbox.endpoints()] == ["b"]


def test_what_is_dead_is_replayed_one_by_one_or_all_and_goes_first(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), *(noted("a", position) for position in (1, 2, 3))])
    outbox.note(9, 10, [endpoint("a", enabled=False), endpoint("a"), noted("a", 10)])
    assert outbox.counts("t") == {("a", "dead"): 3, ("a", "waiting"): 1}
    assert outbox.replay(Lookup("t", message_id="msg_a_2"), 900) == 1
    assert outbox.replay(Lookup("t", message_id="msg_a_10"), 900) == 0, "it is not dead"
    assert outbox.replay(Lookup("u"), 900) == 0
    assert outbox.claim("one", 1, 30.0, 899) == []
    assert outbox.claim("one", 1, 30.0, 900) == ["a"]
    (_, first) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    assert (first.position, first.attempts, first.since) == (2, 0, 900)
    assert outbox.replay(Lookup("t", endpoint_id="a"), 900) == 2
    assert outbox.counts("t") == {("a", "waiting"): 4}


def test_what_failed_and_waits_for_its_next_attempt_is_due_at_once_when_it_is_replayed(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), noted("a", 3), noted("a", 4)])
    outbox.claim("one", 10, 30.0, 100)
    (_, first) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    outbox.record(first, "one", Outcome("waiting", 3, 100 + HOUR, 500, "HTTP 500", "hash", 100))
    outbox.release("a", "one")
    assert outbox.replay(Lookup("t"), 200) == 1, "the other one was never refused"
    assert outbox.replay(Lookup("t"), 200) == 0, "it is due already"
    assert outbox.claim("one", 10, 30.0, 200) == ["a"]
    (_, again) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    assert (again.position, again.attempts, again.since) == (3, 3, 100), "what it has behind it counts on"


def test_a_delivery_fails_until_it_is_taken_whatever_kept_it_back(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), noted("a", 3), noted("a", 4)])
    outbox.claim("one", 10, 30.0, 100)
    (_, first) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
    outbox.record(first, "one", Outcome("waiting", 0, 100 + HOUR, None, "WEBHOOK_KEY_MISSING: no key", "", 100))
    assert outbox.totals() == (1, 1, 0), "without a key it is never sent, and that is no attempt"
    outbox.record(first, "one", Outcome("dead", 0, 100, None, "INTEGRITY: altered", "", 100))
    assert outbox.totals() == (1, 0, 1)
    outbox.replay(Lookup("t"), 200)
    assert outbox.totals() == (1, 1, 0), "to be sent again is not to be taken"


def test_deliveries_are_looked_up_and_old_ones_forgotten(store: Store) -> None:
    outbox = store.outbox
    outbox.note(0, 9, [endpoint("a"), endpoint("b"), *(noted(of, position) for position in (1, 2, 3) for of in "ab")])
    outbox.claim("one", 10, 30.0, 100)
    for at in (50, 60):
        (_, first) = outbox.first("a", "one", 30.0) or pytest.fail("nothing waits")
        outbox.record(first, "one", taken(at))
    (_, first) = outbox.first("b", "one", 30.0) or pytest.fail("nothing waits")
    outbox.record(first, "one", Outcome("waiting", 1, 200, None, "no answer", "", 50))
    assert [(each.position, each.endpoint_id) for each in outbox.deliveries(Lookup("t"), 3)] == [
        (3, "a"), (3, "b"), (2, "a"),
    ]  # fmt: skip
    assert positions(store, Lookup("t", "b")) == [3, 2, 1]
    assert positions(store, Lookup("t", failed=True)) == [1]
    assert positions(store, Lookup("t", "a", status="delivered")) == [2, 1]
    assert [each.position for each in outbox.deliveries(Lookup("t", "a"), 9, before=3)] == [2, 1]
    assert outbox.forget(60) == 1
    assert positions(store, Lookup("t", "a")) == [3, 2]
