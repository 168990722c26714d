"""Lists and counts of runs: the same from the index and from the log, whatever they are filtered by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from refold import open_store
from refold.core.errors import CallError
from refold.core.events import RunResumed, StepSkipped
from refold.eventstore.memory import MemoryStore
from refold.eventstore.store import Store
from refold.projections.indexed import indexed_page
from refold.projections.run_counts import RUN_GROUPS, run_counts
from refold.projections.run_filter import RunFilter
from refold.projections.run_list import ALL, page_of
from refold.projections.run_row import STATUSES, RunRow
from refold.tests.support.grown import add_histories, mixed
from refold.tests.support.kept import Kept
from refold.tests.support.units import Writer

EVERYTHING = 10**6


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    folder = request.getfixturevalue("tmp_path")
    opened = open_store(
        f"sqlite:///{folder / 'store.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )
    yield opened
    opened.close()


def through_index(store: Store, wanted: RunFilter, limit: int = EVERYTHING, before: int | None = None) -> Any:
    found = indexed_page(store, "default", before, limit, wanted)
    assert found is not None, "nobody keeps the index"
    return found


def ids(rows: list[RunRow]) -> list[str]:
    return [row.run_id for row in rows]


def random_filter(random: Random, rows: list[RunRow]) -> RunFilter:
    """A filter whose every value is that of some run."""
    wanted = ALL
    for name in random.sample(
        ["status", "workflow_type", "workflow_version", "agent_id", "queue", "error_code", "parent"],
        random.randint(0, 3),
    ):
        wanted = replace(wanted, **{name: getattr(random.choice(rows), name)})
    for name in random.sample(["started_since", "started_until", "ended_since", "ended_until"], random.randint(0, 2)):
        chosen = random.choice(rows)
        at = chosen.started_at if name.startswith("started") else chosen.ended_at
        wanted = replace(wanted, **{name: at})
    if random.random() < 0.2:
        wanted = replace(wanted, prefix=random.choice(rows).run_id[: random.randint(1, 4)])
    if random.random() < 0.2:
        wanted = replace(wanted, status=None, any_status=tuple(random.choice(rows).status for _ in range(3)))
    if random.random() < 0.3:
        wanted = replace(wanted, attributes={"n": str(random.randint(1, 15))})
    return wanted if "unreadable" not in wanted.statuses else ALL


async def test_every_filter_finds_the_same_in_the_index_and_in_the_log(store: Store) -> None:
    await mixed(store, 15, 3)
    writer = Writer()
    store.commit([writer.run(f"queued{number}") for number in range(3)], "w")
    Kept(store)
    rows = page_of(store, "default", None, EVERYTHING).rows
    assert {"queued", "completed", "failed", "cancelled", "waiting"} <= {row.status for row in rows}
    random = Random(1)
    sizes: set[int] = set()
    for _ in range(60):
        wanted = random_filter(random, rows)
        logged = page_of(store, "default", None, EVERYTHING, wanted)
        indexed = through_index(store, wanted).page
        if (
            wanted.is_timed
        ):  # Then the order is that of the starts, which for runs that start at once need not be the log's.
            assert [(row.started_at, row.cursor) for row in indexed.rows] == sorted(
                ((row.started_at, row.cursor) for row in indexed.rows), reverse=True
            )
            indexed.rows.sort(key=lambda row: row.cursor, reverse=True)
        assert indexed == logged, wanted
        sizes.add(len(logged.rows))
    assert len(sizes) > 5, "the filters hardly filter"


@pytest.mark.parametrize(
    "by", [[], ["status"], ["type", "status"], ["day", "queue"], ["error-code"], ["hour", "agent"]]
)
async def test_counts_are_those_of_the_list(by: list[str], memory: MemoryStore) -> None:
    await mixed(memory, 10, 4)
    writer = Writer()
    memory.commit([writer.run(f"queued{number}") for number in range(3)], "w")
    rows = page_of(memory, "default", None, EVERYTHING).rows
    random = Random(2)
    filters = [ALL, RunFilter(status="queued"), RunFilter(status="running")]
    filters += [random_filter(random, rows) for _ in range(20)]
    without = [run_counts(memory, "default", wanted, by).rows for wanted in filters]
    Kept(memory)
    for wanted, logged in zip(filters, without, strict=True):
        counts = run_counts(memory, "default", wanted, by)
        assert counts.lag is not None and counts.rows == logged, wanted
        listed = page_of(memory, "default", None, EVERYTHING, wanted).rows
        assert sum(row[-1] for row in counts.rows) == len(listed)
        if by == ["status"]:
            assert dict(counts.rows) == Counter(row.status for row in listed)  # pyright: ignore[reportArgumentType]


def test_counts_come_in_the_order_of_their_values(memory: MemoryStore) -> None:
    add_histories(memory)
    Kept(memory)
    rows = run_counts(memory, "default", ALL, ["error-code", "status"]).rows
    assert rows[0][0] is None and rows == sorted(rows, key=lambda row: [(v is not None, v) for v in row])
    with pytest.raises(CallError, match="nothing is counted by 'colour'"):
        run_counts(memory, "default", ALL, ["colour"])
    with pytest.raises(CallError, match="given twice"):
        run_counts(memory, "default", ALL, ["status", "status"])
    assert "status" in RUN_GROUPS


@pytest.mark.parametrize("kept", [False, True], ids=["log", "index"])
def test_pages_are_not_shifted_by_runs_that_start_meanwhile(store: Store, kept: bool) -> None:
    writer = Writer()
    store.commit([writer.run(f"r{number}") for number in range(7)], "w")
    index = Kept(store) if kept else None
    seen: list[str] = []
    cursor = None
    wanted = RunFilter(workflow_type="made-by-hand", status="queued")
    for number in range(5):
        page = through_index(store, wanted, 3, cursor).page if kept else page_of(store, "default", cursor, 3, wanted)
        seen += ids(page.rows)
        cursor = page.next_cursor
        if cursor is None:
            break
        store.commit([writer.run(f"later{number}")], "w")
        if index is not None:
            index.follow()
    assert seen == [f"r{number}" for number in range(6, -1, -1)]


async def test_a_list_by_start_goes_on_page_by_page(memory: MemoryStore) -> None:
    await mixed(memory, 10, 4)
    broken(memory)
    Kept(memory)
    wanted = RunFilter(started_since=0, any_status=("completed", "failed", "queued", "running"))
    whole = ids(through_index(memory, wanted).page.rows)
    seen, cursor = list[str](), None
    while True:
        page = through_index(memory, wanted, 3, cursor).page
        seen += ids(page.rows)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(whole) > 6 and seen == whole


def broken(store: Store) -> None:
    """Runs good, bad (its second event cannot follow) and torn (no byte of it can be read)."""
    writer = Writer()
    for run_id in ("good", "bad", "torn"):
        store.commit([writer.run(run_id)], "w")
    store.commit([writer.unit(("default/bad", [StepSkipped(1, 0, "a", "echo", "nobody", "0" * 64)]))], "w")
    store.commit([writer.unit(("default/good", [RunResumed(2, 0)]))], "w")


def test_what_the_index_left_aside_is_listed_as_the_log_has_it(memory: MemoryStore) -> None:
    broken(memory)
    memory._log[2] = memory._streams["default/torn"][0] = memory._log[2]._replace(state=b"\xff")
    Kept(memory)
    found = through_index(memory, ALL)
    assert found.left_aside == {"bad", "torn"}
    assert found.page == page_of(memory, "default", None, EVERYTHING)
    assert [(row.run_id, row.status) for row in found.page.rows] == [
        ("torn", "unreadable"),
        ("bad", "unreadable"),
        ("good", "running"),
    ]
    assert [ids(through_index(memory, ALL, 1, before).page.rows) for before in (None, 3, 2)] == [
        ["torn"],
        ["bad"],
        ["good"],
    ]


def test_an_unreadable_run_that_a_filter_may_miss_is_told(memory: MemoryStore) -> None:
    broken(memory)
    Kept(memory)
    wanted = RunFilter(workflow_type="made-by-hand")
    found = through_index(memory, wanted)
    assert found.page.unknown == 1 and found.page == page_of(memory, "default", None, EVERYTHING, wanted)
    counts = run_counts(memory, "default", wanted, ["status"])
    assert (counts.unknown, counts.left_aside) == (1, {}) and counts.rows == [("queued", 1), ("running", 1)]
    assert run_counts(memory, "default", ALL, ["status"]).left_aside == {("unreadable",): 1}
    assert page_of(memory, "default", None, EVERYTHING, RunFilter(status="failed")).unknown == 0


def test_runs_of_other_tenants_are_neither_listed_nor_counted(memory: MemoryStore) -> None:
    writer = Writer()
    memory.commit([writer.run("mine"), writer.run("theirs", "other")], "w")
    memory.commit([writer.unit(("other/theirs", [StepSkipped(1, 0, "a", "echo", "nobody", "0" * 64)]))], "w")
    Kept(memory)
    found = through_index(memory, ALL)
    assert ids(found.page.rows) == ["mine"] and not found.left_aside
    assert run_counts(memory, "default").rows == [(1,)] and run_counts(memory, "other").rows == [(1,)]


@pytest.mark.parametrize("status", STATUSES)
async def test_every_status_can_be_asked_for(status: str, memory: MemoryStore) -> None:
    add_histories(memory)
    broken(memory)
    Kept(memory)
    wanted = RunFilter(status=status)
    logged = page_of(memory, "default", None, EVERYTHING, wanted)
    assert all(row.status == status for row in logged.rows)
    indexed = indexed_page(memory, "default", None, EVERYTHING, wanted)
    assert indexed is None if status == "unreadable" else indexed is not None and indexed.page == logged
    assert run_counts(memory, "default", wanted).rows == [(len(logged.rows),)]
