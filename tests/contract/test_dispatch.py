"""Dispatch rows: which run is given to whom, and when; by queue, priority, due time and skills."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from refold.core.ports import NEVER, Dispatch, Schedule, Unschedule, Wake, held_at
from refold.eventstore.dispatch import DispatchRow, seconds_of
from refold.eventstore.store import Store
from refold.tests.contract.conftest import Place
from refold.tests.support.claimer import NOTHING, claim_elsewhere, claim_until_empty
from refold.tests.support.units import Writer, said, started

RUN = "default/run"
INBOX = "default/run/inbox"
FUTURE = 4_000_000_000_000_000


class Board:
    """A store with one writer: runs are scheduled and told things in a line."""

    def __init__(self, store: Store):
        self.store = store
        self.writer = Writer()

    def schedule(self, name: str, due: int = 0, lease_seconds: float = 0, owner: str = "starter", **row: object) -> str:
        """A new run with its row."""
        stream = f"default/{name}"
        self._commit([(stream, [started(name)])], [Schedule(stream, lease_seconds, due, **row)], owner)  # type: ignore[arg-type]
        return stream

    def change(self, *changes: Dispatch, owner: str = "starter") -> None:
        """Change dispatch rows, beside an event of RUN."""
        self._commit([(RUN, [said()])], changes, owner)

    def tell(self, *changes: Dispatch) -> None:
        """A message for RUN."""
        self._commit([(INBOX, [said()])], changes, "sender")

    def _commit(self, appends: list[tuple[str, list[object]]], changes: Sequence[Dispatch], owner: str) -> None:
        unit = self.writer.unit(*appends, dispatch=changes)  # type: ignore[arg-type]
        assert self.store.commit([unit], owner) == [True]

    def claim(
        self, owner: str = "me", queues: Sequence[str] = ("default",), needs: Sequence[str] = (NOTHING,), limit: int = 9
    ) -> list[str]:
        """What `owner` gets."""
        return self.store.dispatch.claim(owner, queues, needs, limit, 60)

    def owner(self, stream: str = RUN) -> str | None:
        """Who holds a run."""
        row = self.store.dispatch.lease(stream)
        assert row is not None
        return row.owner

    def due_at(self) -> float:
        """When RUN is due, in seconds."""
        return next(row.due_at for row in self.store.dispatch.rows() if row.stream == RUN)


@pytest.fixture
def board(store: Store) -> Board:
    return Board(store)


def test_a_run_is_given_to_one_only(board: Board) -> None:
    board.schedule("run")
    assert board.claim("me") == [RUN]
    assert board.claim("another") == board.claim("me") == []
    assert board.owner() == "me"


def test_the_leases_are_those_of_the_runs_that_somebody_holds(board: Board) -> None:
    held = board.schedule("held")
    assert board.claim() == [held]
    board.schedule("free")
    board.schedule("over", lease_seconds=1e-6)
    deadline = time.monotonic() + 10
    while len(leases := board.store.dispatch.leases()) > 1:
        assert time.monotonic() < deadline, "a lease never ran out"
    (lease,) = leases
    assert (lease.stream, lease.owner) == (held, "me")
    assert 0 < lease.seconds_left <= 60


def test_only_runs_of_the_queues_asked_for_are_given(board: Board) -> None:
    board.schedule("plain")
    urgent = board.schedule("urgent", queue="urgent")
    slow = board.schedule("slow", queue="slow")
    assert board.claim(queues=["urgent", "slow"]) in ([urgent, slow], [slow, urgent])
    assert board.claim(queues=["urgent"]) == board.claim(queues=[]) == []


def test_only_runs_that_can_be_served_are_given(board: Board) -> None:
    board.schedule("run", needs='["a","b"]')
    other = board.schedule("other", needs='["c"]')
    assert sorted(board.store.dispatch.due_needs(["default"])) == ['["a","b"]', '["c"]']
    assert board.claim(needs=[]) == board.claim(needs=[NOTHING]) == []
    assert board.claim(needs=['["c"]']) == [other]
    assert board.store.dispatch.due_needs(["default"]) == ['["a","b"]']
    assert board.store.dispatch.due_needs(["another"]) == []


def test_the_highest_priority_goes_first_and_then_what_is_due_longest(board: Board) -> None:
    late = board.schedule("late", due=3)
    low = board.schedule("low", due=1, priority=-1)
    early = board.schedule("early", due=2)
    high = board.schedule("high", due=4, priority=1_000_000)
    assert [board.claim(limit=1) for _ in range(5)] == [[high], [early], [late], [low], []]


def test_no_more_is_given_than_asked_for(board: Board) -> None:
    for number in range(10):
        board.schedule(f"run-{number}")
    assert len(board.claim(limit=3)) == 3
    assert len(board.claim("another", limit=100)) == 7


def test_what_is_due_later_is_not_given_yet(board: Board) -> None:
    board.schedule("run", due=FUTURE)
    board.schedule("never", due=NEVER)
    assert board.claim() == []
    assert board.store.dispatch.due_needs(["default"]) == []


def test_a_run_is_given_as_soon_as_it_is_due(board: Board) -> None:
    now = board.store.dispatch.now()
    board.schedule("run", due=now + 150_000)
    assert board.claim() == []
    deadline = time.monotonic() + 10
    while not board.claim():
        assert time.monotonic() < deadline, "it never came due"
    assert board.store.dispatch.now() >= now + 150_000 - 1_000


def test_the_time_of_the_database_is_the_time_of_day(board: Board) -> None:
    assert abs(board.store.dispatch.now() / 1_000_000 - time.time()) < 5


def test_a_message_wakes_a_run_that_would_never_be_due(board: Board) -> None:
    board.schedule("run", due=NEVER)
    board.tell(Wake(RUN))
    assert board.claim() == [RUN]


def test_waking_a_run_takes_it_from_nobody(board: Board) -> None:
    board.schedule("run", due=NEVER, lease_seconds=60, owner="holder")
    board.tell(Wake(RUN))
    assert board.owner() == "holder" and board.claim() == []
    board.store.dispatch.release(RUN, "holder")
    assert board.claim() == [RUN]


def test_waking_a_run_that_has_ended_makes_no_row(board: Board) -> None:
    board.schedule("run")
    board.change(Unschedule(RUN))
    board.tell(Wake(RUN))
    assert board.store.dispatch.lease(RUN) is None and board.store.dispatch.rows() == []


def test_a_message_that_came_before_the_rest_makes_it_short(board: Board) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    board.tell(Wake(RUN))
    board.change(Schedule(RUN, 0, NEVER, taken=0), owner="holder")
    assert board.claim() == [RUN]


def test_a_message_that_comes_after_the_rest_ends_it(board: Board) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    board.change(Schedule(RUN, 0, NEVER, taken=0), owner="holder")
    assert board.claim() == []
    board.tell(Wake(RUN))
    assert board.claim() == [RUN]


@pytest.mark.parametrize("message_first", [True, False])
def test_a_message_in_the_same_commit_as_the_rest_ends_it(board: Board, message_first: bool) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    rest = board.writer.unit((RUN, [said()]), dispatch=[Schedule(RUN, 0, NEVER, taken=0)])
    message = board.writer.unit((INBOX, [said()]), dispatch=[Wake(RUN)])  # type: ignore[list-item]
    units = [message, rest] if message_first else [rest, message]
    assert board.store.commit(units, "holder") == [True, True]
    assert board.claim() == [RUN]


def test_messages_that_were_taken_do_not_disturb_a_rest(board: Board) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    board.tell(Wake(RUN))
    board.tell(Wake(RUN))
    board.change(Schedule(RUN, 0, NEVER, taken=2), owner="holder")
    assert board.claim() == []
    board.change(Schedule(RUN, 0, NEVER, taken=1), owner="holder")
    assert board.claim() == [RUN]


def test_a_refused_unit_changes_no_row(board: Board) -> None:
    board.schedule("run", due=NEVER, lease_seconds=60, owner="holder")
    for change in (Schedule(RUN, 30, 0), Wake(RUN), Unschedule(RUN)):
        stale = Writer("zombie").unit((RUN, [said()]), dispatch=[change])  # type: ignore[list-item]
        assert board.store.commit([stale], "zombie") == [False]
        assert board.owner() == "holder" and board.due_at() > FUTURE / 1_000_000


def test_only_its_holder_puts_a_run_to_rest(board: Board) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    board.store.dispatch.release(RUN, "another", NEVER, 0)
    assert board.owner() == "holder" and board.due_at() == 0
    board.store.dispatch.release(RUN, "holder", NEVER, 0)
    assert board.owner() is None and board.claim() == []


def test_giving_a_run_up_leaves_its_due_time(board: Board) -> None:
    board.schedule("run", due=FUTURE, lease_seconds=60, owner="holder")
    board.store.dispatch.release(RUN, "holder")
    assert board.due_at() == FUTURE / 1_000_000


def test_giving_a_run_up_minds_messages_that_were_not_taken(board: Board) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    board.tell(Wake(RUN))
    board.store.dispatch.release(RUN, "holder", NEVER, 0)
    assert board.claim("next") == [RUN]
    board.store.dispatch.release(RUN, "next", NEVER, 1)
    assert board.claim() == []


def test_a_run_may_be_set_aside_whatever_it_was_told(board: Board) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    board.tell(Wake(RUN))
    board.store.dispatch.release(RUN, "holder", FUTURE)
    assert board.claim() == []


def test_the_leases_of_a_dead_owner_are_freed_at_once(board: Board) -> None:
    for name in ("run", "second"):
        board.schedule(name, lease_seconds=60, owner="dead")
    board.schedule("third", lease_seconds=60, owner="living")
    assert sorted(board.store.dispatch.owners()) == ["dead", "living"]
    assert board.store.dispatch.free("dead") == 2
    assert board.store.dispatch.free("dead") == 0
    assert board.store.dispatch.owners() == ["living"]
    assert sorted(board.claim()) == [RUN, "default/second"]


def test_a_lease_that_ran_out_is_given_to_the_next(board: Board) -> None:
    board.schedule("run", lease_seconds=0.05, owner="slow")
    deadline = time.monotonic() + 10
    while not board.claim():
        assert time.monotonic() < deadline, "the lease never ran out"
    assert board.owner() == "me"
    board.store.dispatch.renew([RUN], "slow", 60)
    board.store.dispatch.release(RUN, "slow", NEVER, 0)
    assert board.owner() == "me" and board.due_at() == 0


def test_queue_priority_and_needs_stay_as_they_were_made(board: Board) -> None:
    board.schedule("run", queue="urgent", priority=7, needs='["a"]')
    board.change(Schedule(RUN, 0, 5_000_000))
    assert board.store.dispatch.rows() == [DispatchRow(RUN, "urgent", 7, '["a"]', 5.0)]
    assert board.claim() == []
    assert board.claim(queues=["urgent"], needs=['["a"]']) == [RUN]


def test_rows_can_be_put_in_the_place_of_all_others(board: Board) -> None:
    board.schedule("run", lease_seconds=60, owner="holder")
    board.schedule("second", due=FUTURE, priority=3)
    rows = board.store.dispatch.rows()
    assert [row.stream for row in rows] == [RUN, "default/second"]
    wanted = [rows[1], DispatchRow("default/third", "slow", -1, '["x"]', float(NEVER))]
    board.store.dispatch.replace(wanted)
    assert board.store.dispatch.rows() == wanted
    assert board.store.dispatch.lease(RUN) is None and board.store.dispatch.owners() == []
    board.store.dispatch.replace([])
    assert board.store.dispatch.rows() == []


def test_workers_are_listed_while_they_report(store: Store) -> None:
    dispatch = store.dispatch
    assert dispatch.workers() == []
    dispatch.beat("b", '{"running":1}')
    dispatch.beat("a", "{}")
    dispatch.beat("b", '{"running":2}')
    first, second = dispatch.workers()
    assert (first.owner, second.owner, second.report) == ("a", "b", '{"running":2}')
    assert -0.1 < second.seconds_ago < 10
    dispatch.leave("a")
    dispatch.leave("nobody")
    assert [worker.owner for worker in dispatch.workers()] == ["b"]
    dispatch.leave("b")


def claim_all(place: Place, name: str) -> list[str]:
    """All that one claimer gets, a few at a time, until there is nothing left."""
    return claim_until_empty(place.open(), name)


def fill(store: Store, number: int) -> set[str]:
    """So many runs that are due."""
    writer = Writer()
    assert all(store.commit([writer.run(f"run-{each}") for each in range(number)], "starter"))
    return {f"default/run-{each}" for each in range(number)}


def test_of_several_claimers_each_gets_other_runs(place: Place) -> None:
    runs = fill(place.open(), 120)
    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(lambda n: claim_all(place, f"worker {n}"), range(4)))
    together = [stream for mine in claimed for stream in mine]
    assert len(together) == len(set(together))
    # Rows that one is about to take are not seen by another: what is left over is claimed the next time.
    together += claim_all(place, "last")
    assert sorted(together) == sorted(runs)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_of_several_processes_each_gets_other_runs(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(f"{kind}_place")
    runs = fill(place.open(), 120)
    with ProcessPoolExecutor(4, multiprocessing.get_context("forkserver")) as pool:
        claimed = list(pool.map(claim_elsewhere, [place.url] * 4, [f"worker {n}" for n in range(4)]))
    together = [stream for mine in claimed for stream in mine] + claim_all(place, "last")
    assert sorted(together) == sorted(runs)


@pytest.mark.parametrize("off", ["", "hashjoin", "mergejoin", "hashjoin,mergejoin,hashagg,sort,material"])
def test_however_postgres_plans_a_claim_it_gives_no_more_than_asked_for(postgres_place: Place, off: str) -> None:
    store = postgres_place.open()
    fill(store, 40)
    name = conninfo_to_dict(postgres_place.url)["dbname"]
    with psycopg.connect(postgres_place.url, autocommit=True) as connection:
        connection.execute("ANALYZE dispatch")
        try:
            for method in filter(None, off.split(",")):
                connection.execute(f'ALTER DATABASE "{name}" SET enable_{method} = off'.encode())
            assert len(postgres_place.open().dispatch.claim("me", ["default"], [NOTHING], 3, 60)) == 3
        finally:
            connection.execute(f'ALTER DATABASE "{name}" RESET ALL'.encode())


def test_prolonging_leases_waits_for_no_commit(postgres_place: Place) -> None:
    """Both change many rows in orders of their own: waiting for each other, they would lock each other out."""
    board = Board(postgres_place.open())
    second = board.schedule("second", lease_seconds=60, owner="me")
    board.schedule("run", lease_seconds=60, owner="me")
    with psycopg.connect(postgres_place.url) as commit, ThreadPoolExecutor(1) as pool:
        commit.execute("UPDATE dispatch SET due_at = 0 WHERE stream = %s", (RUN,))
        renewed = pool.submit(board.store.dispatch.renew, [RUN, second], "me", 1_000)
        try:
            renewed.result(timeout=5)
        finally:
            commit.rollback()
    leases = [board.store.dispatch.lease(stream) for stream in (RUN, second)]
    assert [row is not None and row.seconds_left > 900 for row in leases] == [False, True]


def test_freeing_the_leases_of_the_dead_waits_for_no_commit(postgres_place: Place) -> None:
    board = Board(postgres_place.open())
    second = board.schedule("second", lease_seconds=60, owner="dead")
    board.schedule("run", lease_seconds=60, owner="dead")
    with psycopg.connect(postgres_place.url) as commit, ThreadPoolExecutor(1) as pool:
        commit.execute("UPDATE dispatch SET due_at = 0 WHERE stream = %s", (RUN,))
        freed = pool.submit(board.store.dispatch.free, "dead")
        try:
            assert freed.result(timeout=5) == 1
        finally:
            commit.rollback()
    assert board.owner(second) is None and board.store.dispatch.free("dead") == 1


@pytest.mark.parametrize("count", [1, 2500])
def test_what_a_stop_holds_back_is_due_after_a_later_release_only(board: Board, count: int) -> None:
    board.schedule("free", NEVER)
    streams = [board.schedule(f"held-{n}", held_at(4)) for n in range(count)]
    board.schedule("later", held_at(7))
    dispatch = board.store.dispatch
    assert board.claim(limit=9) == [] and dispatch.free_held(4) == 0
    assert dispatch.free_held(5) == count and dispatch.free_held(5) == 0
    assert set(board.claim(limit=9)) <= set(streams)
    assert {row.stream: row.due_at for row in dispatch.rows() if row.due_at} == {
        "default/free": float(NEVER),
        "default/later": seconds_of(held_at(7)),
    }


def test_a_message_makes_a_run_due_that_a_stop_holds_back(board: Board) -> None:
    board.schedule("run", held_at(4))
    board.tell(Wake(RUN))
    assert board.claim() == [RUN]
    board.store.dispatch.release(RUN, "me", held_at(5), 0)
    assert board.due_at() == 0
    assert board.claim() == [RUN]
    board.store.dispatch.release(RUN, "me", held_at(5), 1)
    assert board.due_at() == seconds_of(held_at(5))
