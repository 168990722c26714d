"""What every store does with the parts of a generation that several processes fill at once."""

from __future__ import annotations

from collections import Counter

import pytest

from refold.eventstore.parts import PartStore, share_of
from refold.eventstore.store import Store
from refold.eventstore.tables import Batch, Generation
from refold.tests.contract.test_tables import ME, RUNS, YOU, created, generation, row
from refold.tests.support.units import Writer


@pytest.fixture
def of(store: Store) -> Generation:
    """A generation that `ME` holds, divided into two parts up to position 10."""
    of = created(store.tables)
    assert store.parts.divide("test", 1, ME, 2, 10)
    return of


@pytest.fixture
def parts(store: Store) -> PartStore:
    return store.parts


def moved(parts: PartStore, of: Generation, part: int, expected: int, position: int, owner: str = ME) -> bool:
    given = row(f"r{part}{position}")
    return parts.write(of, part, owner, 30, Batch(expected, position, 0, [given[:2]], {"things": [given]}))


def test_every_part_begins_where_the_generation_stands(store: Store, of: Generation, parts: PartStore) -> None:
    assert [each[:5] for each in parts.list("test", 1)] == [(0, 2, 0, 10, None), (1, 2, 0, 10, None)]
    assert generation(store.tables).parts == 2 and generation(store.tables).position == 0


def test_only_the_owner_divides_and_only_what_is_not_there_yet(store: Store, of: Generation, parts: PartStore) -> None:
    assert not parts.divide("test", 1, YOU, 3, 10)
    assert not parts.divide("test", 1, ME, 3, 0)
    assert not parts.divide("test", 2, ME, 3, 10)
    assert len(parts.list("test", 1)) == 2


def test_parts_move_on_their_own_and_are_joined_when_all_are_there(store: Store, of: Generation) -> None:
    parts = store.parts
    assert parts.claim("test", 1, 0, ME, 30, None) and parts.claim("test", 1, 1, YOU, 30, None)
    assert moved(parts, of, 0, 0, 10) and moved(parts, of, 1, 0, 4, YOU)
    assert [each.position for each in parts.list("test", 1)] == [10, 4]
    assert not parts.join("test", 1, ME, 77) and generation(store.tables).position == 0
    assert moved(parts, of, 1, 4, 10, YOU)
    assert not parts.join("test", 1, YOU, 77), "only who holds the generation"
    assert parts.join("test", 1, ME, 77)
    joined = generation(store.tables)
    assert (joined.position, joined.position_at, joined.parts, parts.list("test", 1)) == (10, 77, 0, [])
    assert [each[1] for each in store.tables.rows(joined, RUNS.name, {}, 9)] == ["r010", "r110", "r14"]
    assert not parts.join("test", 1, ME, 77), "there is nothing left to be joined"


def test_only_the_owner_of_a_part_moves_it_and_only_from_where_it_stands(of: Generation, parts: PartStore) -> None:
    assert not moved(parts, of, 0, 0, 5)
    assert parts.claim("test", 1, 0, ME, 30, None)
    assert not moved(parts, of, 0, 1, 5) and not moved(parts, of, 1, 0, 5) and moved(parts, of, 0, 0, 5)
    assert not parts.claim("test", 1, 0, YOU, 30, None)
    assert parts.claim("test", 1, 0, YOU, 30, ME), "in the place of a dead one"
    assert not moved(parts, of, 0, 5, 6) and moved(parts, of, 0, 5, 6, YOU)
    (part, _) = parts.list("test", 1)
    assert part.owner == YOU and 0 < part.seconds_left <= 30


def test_an_error_stands_until_the_part_is_taken_again(of: Generation, parts: PartStore) -> None:
    assert parts.claim("test", 1, 0, ME, 30, None)
    parts.fail("test", 1, 0, YOU, "not mine")
    parts.fail("test", 1, 0, ME, "bad\0event")
    assert [(each.owner, bool(each.error)) for each in parts.list("test", 1)] == [(None, True), (None, False)]
    assert parts.claim("test", 1, 0, YOU, 30, None) and parts.list("test", 1)[0].error is None


def test_parts_of_a_paused_projection_do_not_move(store: Store, of: Generation, parts: PartStore) -> None:
    assert parts.claim("test", 1, 0, ME, 30, None)
    store.tables.pause("test", True)
    assert not moved(parts, of, 0, 0, 5)


def test_a_batch_for_the_whole_generation_takes_the_parts_away(store: Store, of: Generation, parts: PartStore) -> None:
    assert parts.claim("test", 1, 0, ME, 30, None) and moved(parts, of, 0, 0, 10)
    assert store.tables.write("test", 1, ME, 30, Batch(0, 3, 7))
    assert parts.list("test", 1) == [] and generation(store.tables)[5:7] == (3, 7)
    assert not moved(parts, of, 0, 10, 11)


def test_a_dropped_generation_has_no_parts(store: Store, of: Generation, parts: PartStore) -> None:
    store.tables.drop("test", 1)
    assert parts.list("test", 1) == [] and not parts.claim("test", 1, 0, ME, 30, None)


def test_every_event_is_in_one_share_with_all_of_its_stream(store: Store) -> None:
    writer = Writer()
    for count in range(1, 4):
        store.commit([writer.one(f"default/é{n}") for n in range(5)], "me")
        store.commit([writer.run(f"r{count}{n}") for n in range(20)], "me")
    whole = store.follow(0, 100)
    shares = [store.follow_share(0, 75, share, 3) for share in range(3)]
    assert sorted(each for share in shares for each in share) == whole
    for number, share in enumerate(shares):
        assert {share_of(each.record.stream.encode(), 3) for each in share} == {number}
    assert store.follow_share(10, 20, 1, 3) == [each for each in shares[1] if 10 < each.position <= 20]


def test_shares_are_of_about_one_size_and_stay_what_they_are() -> None:
    sizes = Counter(share_of(f"default/run-{n}".encode(), 5) for n in range(5000))
    assert min(sizes.values()) > 850 and len(sizes) == 5
    assert [share_of(b"default/run-%d" % n, 64) for n in range(3)] == [44, 45, 14]
