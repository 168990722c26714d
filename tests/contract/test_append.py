"""Appending: a unit is stored whole, on the head that it names, or not at all."""

from __future__ import annotations

import pytest

from refold.core.ports import EMPTY, Head, Schedule, Unschedule
from refold.eventstore.store import Store
from refold.tests.support.units import Writer, contents, said, started

STREAM = "default/run"


def test_what_is_appended_is_read_back_byte_for_byte(store: Store) -> None:
    unit = Writer().unit((STREAM, [started("run"), said("one"), said("two")]))
    assert store.commit([unit], "me") == [True]
    assert store.read(STREAM) == list(unit.appends[0].records)
    assert [record.version for record in store.read(STREAM, after=1)] == [2, 3]
    assert [record.version for record in store.read(STREAM, after=1, limit=1)] == [2]
    assert store.read(STREAM, after=3) == [] == store.read("default/nobody")


def test_several_streams_are_read_at_once(store: Store) -> None:
    writer = Writer()
    streams = [STREAM, "default/other", "acme/run"]
    for _ in range(2):
        store.commit([writer.unit((stream, [said(), said()])) for stream in streams], "me")
    asked = ["acme/run", STREAM, "default/nobody"]
    assert store.read_all(asked) == {stream: store.read(stream) for stream in asked}
    assert store.read_all([]) == {}


def test_the_head_is_that_of_the_last_event(store: Store) -> None:
    writer = Writer()
    for count in (1, 3, 1):
        unit = writer.unit((STREAM, [said()] * count))
        store.commit([unit], "me")
        assert store.heads([STREAM, "default/nobody"]) == {STREAM: unit.appends[0].head}
    assert store.heads([STREAM])[STREAM].version == 5
    assert store.heads([]) == {}


def test_nothing_is_a_batch_too(store: Store) -> None:
    assert store.commit([], "me") == []
    assert store.follow(0, 10) == []
    assert store.last_position() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        Head(2, "0" * 64),
        Head(1, None),
        Head(3, "right"),
        EMPTY,
    ],
    ids=["another event's hash", "another version", "a version ahead", "an empty stream"],
)
def test_a_unit_on_another_head_is_refused_and_leaves_no_trace(store: Store, wrong: Head) -> None:
    writer = Writer()
    store.commit([writer.run("run", lease_seconds=60), writer.one(STREAM)], "me")
    before = contents(store)
    right = writer.heads[STREAM]
    writer.heads[STREAM] = wrong._replace(hash=right.hash) if wrong.hash == "right" else wrong
    large = "x" * 100_000
    unit = writer.unit((STREAM, [started("run", inputs={"large": large})]), dispatch=[Unschedule(STREAM)])
    assert unit.large
    assert store.commit([unit], "another") == [False]
    assert contents(store) == before
    assert store.large(list(unit.large)) == {}, "a refused unit left its payload"


def test_a_refused_unit_does_not_touch_its_neighbours(store: Store) -> None:
    writer, zombie = Writer("writer"), Writer("zombie")
    store.commit([writer.one("default/b")], "me")
    units = [writer.one("default/a"), zombie.one("default/b"), writer.one("default/c"), zombie.one("default/b2")]
    assert store.commit(units, "me") == [True, False, True, True]
    assert [each.record.stream for each in store.follow(1, 10)] == ["default/a", "default/c", "default/b2"]


def test_a_zombie_whose_version_3_was_refused_cannot_append_version_4(store: Store) -> None:
    owner, zombie = Writer("owner"), Writer("zombie")
    first = owner.unit((STREAM, [said("1"), said("2")]))
    store.commit([first], "owner")
    zombie.heads = dict(owner.heads)
    refused = zombie.one(STREAM, "the zombie's 3")
    behind = zombie.one(STREAM, "the zombie's 4")
    assert store.commit([behind], "zombie") == [False], "with a hole where its version 3 should be"
    store.commit([owner.one(STREAM, "the owner's 3")], "owner")
    assert store.commit([refused], "zombie") == [False]
    assert store.commit([behind], "zombie") == [False], "with the owner's version 3 in place"
    assert [record.version for record in store.read(STREAM)] == [1, 2, 3]


def test_a_unit_over_several_streams_is_stored_whole_or_not_at_all(store: Store) -> None:
    writer = Writer()
    store.commit([writer.one("default/parent")], "me")
    stale = Writer("stale")
    both = stale.unit(
        ("default/child", [started("child")]), ("default/parent", [said()]), dispatch=[Schedule("default/child", 9)]
    )
    assert store.commit([both], "me") == [False]
    assert store.read("default/child") == []
    assert store.dispatch.lease("default/child") is None
    whole = writer.unit(("default/child", [started("child")]), ("default/parent", [said()]))
    assert store.commit([whole], "me") == [True]
    assert [len(store.read(f"default/{name}")) for name in ("child", "parent")] == [1, 2]


def test_many_units_share_one_call(store: Store) -> None:
    writer = Writer()
    units = [writer.unit((f"default/{n}", [said()]), (f"default/{n}/inbox", [said()] * 2)) for n in range(1_500)]
    assert store.commit(units, "me") == [True] * 1_500
    assert [each.position for each in store.follow(0, 10_000)] == list(range(1, 4_501))
    assert len(store.heads([f"default/{n}/inbox" for n in range(1_500)])) == 1_500
    assert store.commit(units, "me") == [False] * 1_500


def test_a_stream_may_have_a_thousand_events_in_one_unit(store: Store) -> None:
    unit = Writer().unit((STREAM, [said(str(n)) for n in range(5_000)]))
    assert store.commit([unit], "me") == [True]
    assert store.read(STREAM) == list(unit.appends[0].records)


def test_the_dispatch_row_comes_and_goes_with_its_unit(store: Store) -> None:
    writer = Writer()
    store.commit([writer.run("run", lease_seconds=60)], "me")
    row = store.dispatch.lease(STREAM)
    assert row is not None and row.owner == "me" and 50 < row.seconds_left <= 60
    store.commit([writer.unit((STREAM, [said()]), dispatch=[Schedule(STREAM, 0)])], "me")
    row = store.dispatch.lease(STREAM)
    assert row is not None and row.owner is None and row.seconds_left <= 0
    store.commit([writer.unit((STREAM, [said()]), dispatch=[Unschedule(STREAM)])], "me")
    assert store.dispatch.lease(STREAM) is None
