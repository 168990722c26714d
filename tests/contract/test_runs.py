"""Lists of runs: latest first, page by page, each tenant for itself."""

from __future__ import annotations

from refold.eventstore.store import Store, StreamRow
from refold.tests.support.units import Writer, said

TENANTS = ("a", "a.b", "a0", "a-", "a~", "A", "aa", "b")
"""Names between which a careless range or prefix would not tell."""


def test_a_tenant_sees_its_own_runs_and_no_others(store: Store) -> None:
    writer = Writer()
    store.commit([writer.run(f"run-of-{tenant}", tenant) for tenant in TENANTS], "me")
    for tenant in TENANTS:
        assert [row.stream for row in store.runs(tenant, None, 100)] == [f"{tenant}/run-of-{tenant}"]
    assert store.runs("nobody", None, 100) == []


def test_runs_come_latest_first_and_page_by_page(store: Store) -> None:
    writer = Writer()
    for number in range(7):
        store.commit([writer.run(f"r{number}"), writer.run("other", f"tenant{number}")], "me")
    pages: list[list[StreamRow]] = []
    before = None
    while page := store.runs("default", before, 3):
        pages.append(page)
        before = page[-1].position
        # What is started meanwhile must not move the pages that follow.
        store.commit([writer.run(f"later{len(pages)}")], "me")
    assert [[row.stream for row in page] for page in pages] == [
        ["default/r6", "default/r5", "default/r4"],
        ["default/r3", "default/r2", "default/r1"],
        ["default/r0"],
    ]


def test_a_row_tells_how_many_events_the_run_has(store: Store) -> None:
    writer = Writer()
    store.commit([writer.run("run"), writer.one("default/run/inbox")], "me")
    store.commit([writer.unit(("default/run", [said(), said()]))], "me")
    assert store.runs("default", None, 10) == [StreamRow("default/run", 3, 1)]
