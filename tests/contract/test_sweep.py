"""Going through the log run by run: every run once, by its start, and every name there is."""

from __future__ import annotations

from refold.eventstore.store import Store
from refold.tests.support.units import Writer, said


def filled(store: Store) -> None:
    writer = Writer()
    for number in range(5):
        store.commit([writer.run(f"r{number}"), writer.run("other", f"tenant{number}")], "me")
    store.commit([writer.one("default/r1/inbox"), writer.one("default/lost/inbox")], "me")
    store.commit([writer.unit(("default/r1", [said(), said()]))], "me")


def test_runs_come_page_by_page_in_the_order_of_their_start(store: Store) -> None:
    filled(store)
    until = store.starts(["default/r3"])["default/r3"]
    found: list[str] = []
    after = 0
    while page := store.sweep.begun("default", after, until, 2):
        found += [each.record.stream for each in page]
        assert all(each.record.version == 1 and each.record.topic == "run.started" for each in page)
        after = page[-1].position
    assert found == ["default/r0", "default/r1", "default/r2", "default/r3"]


def test_every_name_comes_once_whether_it_has_begun_or_not(store: Store) -> None:
    filled(store)
    found: list[str] = []
    while page := store.sweep.names("default", found[-1] if found else "", 2):
        found += page
    assert found == ["default/lost/inbox", *(f"default/r{n}" for n in (0, 1)), "default/r1/inbox"] + [
        f"default/r{n}" for n in (2, 3, 4)
    ]
    assert set(store.sweep.begun_among(found)) == {f"default/r{n}" for n in range(5)}
    assert store.sweep.begun_among(["default/r2"]) == store.starts(["default/r2"])


def test_many_streams_are_read_at_once_with_the_places_of_their_records(store: Store) -> None:
    filled(store)
    found = store.sweep.read_all(["default/r1", "default/r1/inbox", "default/none"])
    assert [(each.record.stream, each.record.version) for each in found] == [
        *(("default/r1", n) for n in (1, 2, 3)),
        ("default/r1/inbox", 1),
    ]
    assert [each.record for each in found[:3]] == store.read("default/r1")
    assert found[0].position == store.starts(["default/r1"])["default/r1"]
