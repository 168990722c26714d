"""Following the log while others write: nothing is missed, whoever commits when."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from refold.eventstore.store import Notification, Store
from refold.tests.contract.conftest import Place
from refold.tests.support.units import Writer, said

WRITERS = 8


def test_a_page_ends_at_its_limit_and_the_next_one_goes_on(store: Store) -> None:
    writer = Writer()
    store.commit([writer.unit(("default/a", [said(str(n)) for n in range(10)]))], "me")
    whole = store.follow(0, 100)
    paged: list[Notification] = []
    while page := store.follow(paged[-1].position if paged else 0, 3):
        assert len(page) <= 3
        paged += page
    assert paged == whole and len(whole) == 10
    assert store.last_position() == whole[-1].position
    assert store.follow(store.last_position(), 5) == []


def test_a_follower_sees_every_event_of_eight_threads_once_and_in_order(place: Place) -> None:
    commits = 40
    stores = [place.open() for _ in range(WRITERS)]

    def write(number: int) -> None:
        writer, rival = Writer(f"w{number}"), Writer(f"rival{number}")
        for count in range(commits):
            units = [writer.unit((f"default/{number}", [said(str(count))] * (1 + count % 3))), rival.one("default/all")]
            assert stores[number].commit(units, f"w{number}")[0]
            rival.heads.update(stores[number].heads(["default/all"]))

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, number) for number in range(WRITERS)]
        seen = _follow_until(place.open(), lambda: all(job.done() for job in writing))
        for job in writing:
            job.result()
    _assert_nothing_is_missing(place.open(), seen)
    assert len({each.record.stream for each in seen}) == WRITERS + 1


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_follower_sees_every_event_of_eight_processes_once_and_in_order(
    kind: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
    store = place.open()
    processes = [_writer(place.url, f"p{number}", 30) for number in range(WRITERS)]
    seen = _follow_until(store, lambda: all(process.poll() is not None for process in processes))
    waits = [float(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * WRITERS
    _assert_nothing_is_missing(store, seen)
    assert len(seen) == WRITERS * 30 * 3
    assert max(waits) < 5, f"one writer starved the others: {waits}"


def test_a_rolled_back_transaction_leaves_a_gap_that_a_follower_steps_over(postgres_place: Place) -> None:
    store, writer = postgres_place.open(), Writer()
    store.commit([writer.one("default/a")], "me")
    with psycopg.connect(postgres_place.url) as connection:
        insert = "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES ('x', 1, 't', '')"
        connection.execute(insert.encode())
        connection.rollback()
    store.commit([writer.one("default/a")], "me")
    assert [each.position for each in store.follow(0, 10)] == [1, 3]
    assert [each.position for each in store.follow(1, 10)] == [3]


def test_a_writer_that_has_taken_a_position_holds_back_all_later_ones(postgres_place: Place) -> None:
    """Were positions given out before the append lock, a later one could be seen first, and this one be missed."""
    store, writer = postgres_place.open(), Writer()
    with psycopg.connect(postgres_place.url) as slow:
        slow.execute("SELECT pg_advisory_xact_lock(7310203118230113)")
        insert = "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES ('x', 1, 't', '')"
        slow.execute(insert.encode())
        quick = threading.Thread(target=store.commit, args=([writer.one("default/a")], "me"))
        quick.start()
        quick.join(0.2)
        assert quick.is_alive() and store.follow(0, 10) == []
        slow.commit()
        quick.join()
    assert [each.record.stream for each in store.follow(0, 10)] == ["x", "default/a"]


def _writer(url: str, name: str, commits: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "refold.tests.support.writer_process", url, name, str(commits)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _follow_until(store: Store, ended: Callable[[], bool]) -> list[Notification]:
    seen: list[Notification] = []
    while True:
        last = ended()
        page = store.follow(seen[-1].position if seen else 0, 7)
        seen += page
        if last and not page:
            return seen


def _assert_nothing_is_missing(store: Store, seen: Sequence[Notification]) -> None:
    assert seen == store.follow(0, 1_000_000), "the follower saw something else than what is there now"
    positions = [each.position for each in seen]
    assert positions == sorted(set(positions))
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for each in seen:
        versions[each.record.stream].append(each.record.version)
    for stream, numbers in versions.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"{stream} is out of order"
    heads = store.heads(list(versions))
    assert {stream: head.version for stream, head in heads.items()} == {s: len(v) for s, v in versions.items()}
