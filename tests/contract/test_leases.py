"""Leases: who may work on a run, by the database's clock."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from refold.core.ports import Schedule, Unschedule
from refold.eventstore.store import Store
from refold.tests.contract.conftest import Place
from refold.tests.support.units import Writer, said

RUN = "default/run"


@pytest.fixture
def leased(store: Store) -> Store:
    """A store with a run that `me` holds for a minute."""
    store.commit([Writer().run("run", lease_seconds=60)], "me")
    return store


def test_a_run_that_nobody_scheduled_has_no_lease_to_take(store: Store) -> None:
    assert store.dispatch.lease(RUN) is None
    assert not store.dispatch.take(RUN, "me", 60, None)
    store.dispatch.renew([RUN], "me", 60)
    store.dispatch.release(RUN, "me")
    assert store.dispatch.lease(RUN) is None


def test_a_live_lease_is_taken_by_nobody_else(leased: Store) -> None:
    assert not leased.dispatch.take(RUN, "another", 60, None)
    assert not leased.dispatch.take(RUN, "another", 60, instead_of="a third")
    assert _owner(leased) == "me"


def test_its_holder_may_take_a_lease_again(leased: Store) -> None:
    assert leased.dispatch.take(RUN, "me", 120, None)
    assert _seconds_left(leased) > 100


def test_a_dead_holder_is_replaced_at_once(leased: Store) -> None:
    assert leased.dispatch.take(RUN, "another", 60, instead_of="me")
    assert _owner(leased) == "another"


def test_a_lease_that_was_given_up_is_free(leased: Store) -> None:
    leased.dispatch.release(RUN, "another")
    assert _owner(leased) == "me", "somebody else gave it up"
    leased.dispatch.release(RUN, "me")
    assert _owner(leased) is None and _seconds_left(leased) <= 0
    assert leased.dispatch.take(RUN, "another", 60, None)


def test_a_lease_that_ran_out_is_free(leased: Store) -> None:
    assert leased.dispatch.take(RUN, "me", 0.05, None)
    deadline = time.monotonic() + 10
    while not leased.dispatch.take(RUN, "another", 60, None):
        assert time.monotonic() < deadline, "the lease never ran out"
    assert _owner(leased) == "another"


def test_only_its_holder_prolongs_a_lease(leased: Store) -> None:
    leased.dispatch.renew([RUN, "default/nobody"], "another", 1_000)
    assert 0 < _seconds_left(leased) <= 60
    leased.dispatch.renew([RUN, "default/nobody"], "me", 1_000)
    assert 900 < _seconds_left(leased) <= 1_000
    leased.dispatch.renew([], "me", 1)


def test_a_holder_whose_lease_was_taken_cannot_prolong_it_any_more(leased: Store) -> None:
    leased.dispatch.take(RUN, "another", 60, instead_of="me")
    leased.dispatch.renew([RUN], "me", 1_000)
    assert _owner(leased) == "another" and _seconds_left(leased) <= 60


def test_of_many_who_want_a_free_lease_one_gets_it(place: Place) -> None:
    stores = [place.open() for _ in range(8)]
    stores[0].commit([Writer().run("run")], "nobody")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: stores[n].dispatch.take(RUN, f"worker {n}", 60, None), range(8)))
    assert sum(taken) == 1
    assert _owner(stores[0]) == f"worker {taken.index(True)}"


def test_the_lease_ends_with_the_run(store: Store) -> None:
    writer = Writer()
    store.commit([writer.run("run", lease_seconds=60)], "me")
    store.commit([writer.unit((RUN, [said()]), dispatch=[Unschedule(RUN)])], "me")
    assert store.dispatch.lease(RUN) is None and not store.dispatch.take(RUN, "me", 60, None)


def test_a_new_schedule_replaces_whoever_held_the_lease(store: Store) -> None:
    writer = Writer()
    store.commit([writer.run("run", lease_seconds=60)], "me")
    store.commit([writer.unit((RUN, [said()]), dispatch=[Schedule(RUN, 30)])], "another")
    assert _owner(store) == "another" and _seconds_left(store) <= 30


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_lease_is_measured_by_the_clock_of_the_database(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
    store = place.open()
    store.commit([Writer().run("run", lease_seconds=60)], "me")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    assert not store.dispatch.take(RUN, "another", 60, None)
    assert 0 < _seconds_left(store) <= 60


def _owner(store: Store) -> str | None:
    row = store.dispatch.lease(RUN)
    assert row is not None
    return row.owner


def _seconds_left(store: Store) -> float:
    row = store.dispatch.lease(RUN)
    assert row is not None
    return row.seconds_left
