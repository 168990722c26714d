"""Budgets, rates and places: what is granted, refused and deferred, and what becomes of it; on every store."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from refold.core.errors import StoreUnreachableError
from refold.core.ledger import Account, Deferred, Granted, Hold, Limit, Refused, Request
from refold.core.ports import LedgerChange, Schedule, Settle, TopUp, Unschedule
from refold.eventstore.ledger import SQLLedger
from refold.eventstore.store import Store
from refold.tests.contract.conftest import Place
from refold.tests.support.units import Writer, contents, said

RUN = "default/run"
BUDGET = "budget/tenant/default/total"
RATE = "rate/tenant/default"
PLACES = "places/tenant/default"


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def store(place: Place, writer: Writer) -> Store:
    """A store with two runs under way."""
    store = place.open()
    store.commit([writer.run("run"), writer.run("other")], "me")
    return store


def budget(amount: int, capacity: int = 100, *, waits: bool = False) -> Limit:
    return Limit(BUDGET, "budget", amount, capacity, 0.0, waits)


def rate(amount: int = 1, capacity: int = 2, *, seconds: float = 1000.0, waits: bool = True) -> Limit:
    return Limit(RATE, "rate", amount, capacity, seconds, waits)


def places(capacity: int = 1, amount: int = 1, *, waits: bool = True, account: str = PLACES) -> Limit:
    return Limit(account, "concurrency", amount, capacity, 0.0, waits)


def asked(store: Store, step: int, *limits: Limit, attempt: int = 1, stream: str = RUN) -> Granted | Refused | Deferred:
    (answer,) = store.ledger.ask([Request(stream, str(step), attempt, limits)])
    return answer


def settle(store: Store, writer: Writer, *changes: LedgerChange, ends: bool = False, stream: str = RUN) -> bool:
    unit = writer.unit((stream, [said()]), dispatch=[Unschedule(stream)] if ends else [], ledger=changes)
    return store.commit([unit], "me")[0]


def account(store: Store, name: str) -> Account:
    (found,) = store.ledger.accounts(name)
    return found


def test_a_budget_grants_what_is_left_and_refuses_more(store: Store) -> None:
    assert asked(store, 1, budget(60)) == Granted()
    assert asked(store, 2, budget(41)) == Refused(BUDGET, 40)
    assert asked(store, 3, budget(40)) == Granted()
    assert asked(store, 4, budget(1)) == Refused(BUDGET, 0)
    assert account(store, BUDGET) == Account(BUDGET, "budget", 100, 0, 0, 0, 100)


def test_settling_moves_what_was_reserved_to_what_was_spent_even_if_it_was_more(store: Store, writer: Writer) -> None:
    asked(store, 1, budget(60))
    asked(store, 2, budget(10))
    assert settle(store, writer, Settle(RUN, "1", 1, 75))
    assert account(store, BUDGET)[2:4] == (10, 75)
    assert asked(store, 3, budget(16)) == Refused(BUDGET, 15)
    settle(store, writer, Settle(RUN, "2", 1, 80))
    assert account(store, BUDGET)[2:4] == (0, 155)
    assert asked(store, 4, budget(0)) == Refused(BUDGET, 0), "nothing is left, and less than nothing is not said"
    assert store.ledger.holds() == []


def test_the_same_attempt_asked_again_takes_nothing_twice(store: Store) -> None:
    limits = (budget(60), rate(2), places(1))
    assert [asked(store, 1, *limits) for _ in range(3)] == [Granted()] * 3
    assert store.ledger.ask([Request(RUN, "1", 1, limits)] * 2) == [Granted()] * 2
    assert account(store, BUDGET).reserved == 60 and account(store, PLACES).reserved == 1
    assert len(store.ledger.holds()) == 3


def test_an_attempt_gets_all_that_it_asks_for_or_nothing(store: Store) -> None:
    asked(store, 1, places(1))
    before = store.ledger.accounts(BUDGET)
    assert isinstance(asked(store, 2, budget(60), places(1)), Deferred)
    assert asked(store, 3, budget(60), rate(1), places(1, waits=False)) == Refused(PLACES, 0)
    assert [each.reserved for each in store.ledger.accounts(BUDGET)] == [0 for _ in before] or before == []
    assert account(store, BUDGET).reserved == 0
    assert asked(store, 4, rate(2)) == Granted(), "a token was taken for an attempt that was refused"


def test_refusal_wins_over_waiting_and_leaves_no_place_in_line(store: Store) -> None:
    asked(store, 1, places(1), budget(100))
    assert isinstance(asked(store, 2, places(1), budget(0)), Deferred)
    assert asked(store, 2, places(1), budget(1)) == Refused(BUDGET, 0)
    assert [hold.step for hold in store.ledger.holds()] == ["1", "1"]


def test_a_later_attempt_gives_back_unspent_what_an_earlier_one_held(store: Store) -> None:
    asked(store, 1, budget(60), places(1))
    assert asked(store, 1, budget(90), places(1), attempt=2) == Granted()
    assert account(store, BUDGET)[2:4] == (90, 0) and account(store, PLACES).reserved == 1
    assert {hold.attempt for hold in store.ledger.holds()} == {2}


def test_an_attempt_that_is_over_gets_nothing_and_disturbs_nothing(store: Store) -> None:
    asked(store, 1, budget(60), attempt=2)
    assert isinstance(asked(store, 1, budget(1), attempt=1), Deferred)
    assert asked(store, 1) == Granted(), "there was nothing to ask for"
    assert store.ledger.holds() == [Hold(BUDGET, RUN, "1", 2, 60, True)]


def test_what_is_settled_under_another_attempt_or_twice_changes_nothing(store: Store, writer: Writer) -> None:
    asked(store, 1, budget(60), attempt=2)
    assert settle(store, writer, Settle(RUN, "1", 1, 5), Settle("default/other", "1", 2, 5), Settle(RUN, "9", 2, 5))
    assert account(store, BUDGET)[2:4] == (60, 0)
    assert settle(store, writer, Settle(RUN, "1", 2, 5), Settle(RUN, "1", 2, 5))
    assert account(store, BUDGET)[2:4] == (0, 5)


def test_withdrawing_gives_back_unspent(store: Store) -> None:
    asked(store, 1, budget(60), places(1))
    asked(store, 2, places(1))
    for step in ("1", "2", "3"):
        store.ledger.withdraw(RUN, step)
    assert store.ledger.holds() == []
    assert account(store, BUDGET)[2:4] == (0, 0) and account(store, PLACES).reserved == 0


def test_a_refused_unit_settles_nothing_and_frees_nothing(store: Store, writer: Writer) -> None:
    asked(store, 1, budget(60), places(1))
    stale = Writer("stale")
    before = contents(store)
    unit = stale.unit(
        (RUN, [said()]), dispatch=[Unschedule(RUN)], ledger=[Settle(RUN, "1", 1, 5), TopUp(BUDGET, 1), TopUp("new", 1)]
    )
    good = writer.unit(("default/other", [said()]), ledger=[TopUp("budget/b/c/total", 7)])
    assert store.commit([unit, good], "me") == [False, True]
    after = contents(store)
    assert after.pop("ledger")[0] == [
        *(each for each in before["ledger"][0] if each.name < "budget/b/c/total"),
        Account("budget/b/c/total", "budget", 0, 0, 7, 0),
        *(each for each in before.pop("ledger")[0] if each.name > "budget/b/c/total"),
    ]
    assert len(store.ledger.holds()) == 2


def test_the_end_of_a_run_frees_all_that_it_holds_whoever_knew_of_it(store: Store, writer: Writer) -> None:
    asked(store, 1, budget(60), places(3))
    asked(store, 2, budget(5), rate(1), places(3))
    asked(store, 3, places(3), stream="default/other")
    asked(store, 4, places(3))
    assert settle(store, writer, Settle(RUN, "1", 1, 61), ends=True)
    assert account(store, BUDGET)[2:4] == (0, 61)
    assert store.ledger.holds() == [Hold(PLACES, "default/other", "3", 1, 1, True)]
    assert account(store, PLACES).reserved == 1


def test_the_end_of_a_run_without_a_settlement_frees_all_that_it_holds_too(store: Store, writer: Writer) -> None:
    asked(store, 1, budget(60), places(3))
    assert settle(store, writer, ends=True)
    assert store.ledger.holds() == []
    assert account(store, BUDGET)[2:4] == (0, 0) and account(store, PLACES).reserved == 0


def test_a_run_that_has_ended_is_given_nothing_any_more(store: Store, writer: Writer) -> None:
    settle(store, writer, ends=True)
    answer = asked(store, 1, budget(1))
    assert isinstance(answer, Deferred) and answer.until > store.dispatch.now()
    assert isinstance(asked(store, 1, budget(1), stream="default/nobody"), Deferred)
    assert store.ledger.holds() == []


def test_a_top_up_adds_to_the_capacity_whether_there_is_a_row_or_not(store: Store, writer: Writer) -> None:
    settle(store, writer, TopUp(BUDGET, 30), TopUp(BUDGET, 20))
    assert asked(store, 1, budget(150)) == Granted()
    settle(store, writer, TopUp(BUDGET, -60))
    assert account(store, BUDGET).extra == -10
    assert asked(store, 2, budget(0)) == Refused(BUDGET, 0)


def test_a_rate_grants_its_burst_and_then_says_when_each_turn_comes(store: Store) -> None:
    assert [asked(store, step, rate()) for step in (1, 2)] == [Granted()] * 2
    now = store.dispatch.now()
    third, fourth, fifth = (asked(store, step, rate(amount)) for step, amount in ((3, 1), (4, 2), (5, 1)))
    assert isinstance(third, Deferred) and isinstance(fourth, Deferred) and isinstance(fifth, Deferred)
    assert third.until == pytest.approx(now + 1000e6, abs=60e6)
    assert fourth.until - third.until == 2000e6 and fifth.until - fourth.until == 1000e6
    assert asked(store, 4, rate(2)) == fourth, "who asks again keeps the place"
    store.ledger.withdraw(RUN, "3")
    assert asked(store, 5, rate(1)) == Deferred(RATE, fourth.until), "who stood behind moves up"


def test_a_token_once_taken_is_not_given_back(store: Store, writer: Writer) -> None:
    asked(store, 1, rate(waits=False))
    asked(store, 2, rate(waits=False))
    settle(store, writer, Settle(RUN, "1", 1, 0))
    store.ledger.withdraw(RUN, "2")
    assert store.ledger.holds() == []
    assert asked(store, 3, rate(waits=False)) == Refused(RATE, 0)


def test_tokens_come_back_with_time(store: Store) -> None:
    limit = rate(capacity=1, seconds=0.05)
    assert asked(store, 1, limit) == Granted()
    deadline = time.monotonic() + 30
    while isinstance(answer := asked(store, 2, limit), Deferred):
        assert time.monotonic() < deadline
        assert answer.until <= store.dispatch.now() + 60_000
    assert answer == Granted()


def test_what_can_never_be_granted_is_refused_even_to_those_who_wait(store: Store) -> None:
    assert asked(store, 1, places(2, amount=3)) == Refused(PLACES, 2)
    assert asked(store, 2, rate(3)) == Refused(RATE, 2)
    assert isinstance(asked(store, 3, budget(101, waits=True)), Deferred), "a top-up may come"


def test_who_waits_for_a_budget_gets_it_after_a_top_up(store: Store, writer: Writer) -> None:
    asked(store, 1, budget(100))
    assert isinstance(asked(store, 2, budget(50, waits=True)), Deferred)
    settle(store, writer, TopUp(BUDGET, 50))
    assert asked(store, 2, budget(50, waits=True)) == Granted()


def test_those_who_wait_come_in_the_order_in_which_they_asked(store: Store, writer: Writer) -> None:
    asked(store, 0, places(1))
    for step in (5, 3, 4):
        assert isinstance(asked(store, step, places(1)), Deferred)
    assert [hold.step for hold in store.ledger.holds(PLACES)] == ["0", "5", "3", "4"]
    order: list[int] = []
    last = 0
    for _ in range(3):
        settle(store, writer, Settle(RUN, str(last), 1, 0))
        assert isinstance(asked(store, 9, places(1)), Deferred), "who came last must not go first"
        granted = [step for step in (4, 3, 5) if asked(store, step, places(1)) == Granted() and step not in order]
        order += granted
        last = granted[0]
    assert order == [5, 3, 4]


def test_who_does_not_wait_is_refused_what_others_wait_for(store: Store, writer: Writer) -> None:
    asked(store, 0, places(1))
    asked(store, 1, places(1))
    settle(store, writer, Settle(RUN, "0", 1, 0))
    assert asked(store, 2, places(1, waits=False)) == Refused(PLACES, 1)


def test_more_places_than_are_waited_for_are_given_to_those_behind(store: Store, writer: Writer) -> None:
    for step in range(3):
        asked(store, step, places(3))
    for step in (3, 4):
        asked(store, step, places(3))
    for step in (0, 1):
        settle(store, writer, Settle(RUN, str(step), 1, 0))
    assert asked(store, 4, places(3)) == Granted(), "there is one for the first in line, and one for the second"
    assert isinstance(asked(store, 5, places(3)), Deferred)
    assert asked(store, 3, places(3)) == Granted()


def test_waiting_for_one_account_blocks_nobody_at_another(store: Store) -> None:
    asked(store, 0, places(1))
    answer = asked(store, 1, places(1), budget(100))
    assert isinstance(answer, Deferred) and answer.account == PLACES
    assert asked(store, 2, budget(100)) == Granted()


def test_who_waits_in_two_lines_keeps_both_places(store: Store, writer: Writer) -> None:
    second = "places/b/c"
    both = (places(1), places(1, account=second))
    asked(store, 0, places(1))
    asked(store, 1, *both)
    asked(store, 2, places(1, account=second))
    settle(store, writer, Settle(RUN, "0", 1, 0))
    answer = asked(store, 1, *both)
    assert isinstance(answer, Deferred) and answer.account == second
    settle(store, writer, Settle(RUN, "2", 1, 0))
    for step, limit in ((3, places(1)), (4, places(1, account=second))):
        assert isinstance(asked(store, step, limit), Deferred), "it would wait for ever if others passed it"
    assert asked(store, 1, *both) == Granted()


def test_one_who_wants_more_than_can_come_back_does_not_block_the_line(store: Store) -> None:
    asked(store, 1, budget(90))
    assert isinstance(asked(store, 2, budget(101, waits=True)), Deferred)
    assert asked(store, 3, budget(10)) == Granted()


def test_each_request_of_a_call_sees_the_grants_before_it(store: Store) -> None:
    requests = [Request(RUN, str(step), 1, (budget(30), places(9))) for step in range(5)]
    assert store.ledger.ask(requests) == [Granted()] * 3 + [Refused(BUDGET, 10)] * 2
    assert store.ledger.ask([]) == []


def test_many_requests_of_one_call_are_answered_in_order(store: Store) -> None:
    requests = [Request(RUN, str(step), 1, (budget(1, 700),)) for step in range(1_000)]
    answers = store.ledger.ask(requests)
    assert answers == [Granted()] * 700 + [Refused(BUDGET, 0)] * 300


def test_accounts_and_holds_are_listed_by_prefix(store: Store) -> None:
    asked(store, 1, budget(1), rate(1), places(1))
    names = [BUDGET, PLACES, RATE]
    assert [each.name for each in store.ledger.accounts()] == names
    assert [each.name for each in store.ledger.accounts("places/")] == [PLACES]
    assert store.ledger.accounts("budget/tenant/default/total/") == []
    assert [hold.account for hold in store.ledger.holds()] == names
    assert [hold.account for hold in store.ledger.holds("rate")] == [RATE]


def test_other_handles_see_the_same_ledger(place: Place, store: Store) -> None:
    other = place.open()
    asked(store, 1, budget(60), places(1))
    assert asked(other, 2, budget(41)) == Refused(BUDGET, 40)
    assert isinstance(asked(other, 2, places(1)), Deferred)
    assert other.ledger.holds() == store.ledger.holds()


def test_many_settlements_and_ends_share_one_commit(store: Store) -> None:
    writer = Writer()
    runs = [f"default/{number}" for number in range(300)]
    store.commit([writer.run(str(number)) for number in range(300)], "me")
    store.ledger.ask([Request(run, str(step), 1, (budget(2, 1_200), places(999))) for run in runs for step in (1, 2)])
    assert account(store, BUDGET).reserved == 1_200 and account(store, PLACES).reserved == 600
    units = [
        writer.unit(
            (run, [said()]),
            dispatch=[Unschedule(run)] if number % 2 else [Schedule(run, 0)],
            ledger=[Settle(run, "1", 1, 3)],
        )
        for number, run in enumerate(runs)
    ]
    assert store.commit(units, "me") == [True] * 300
    assert account(store, BUDGET)[2:4] == (300, 900) and account(store, PLACES).reserved == 150


LEDGER_LOCK = 7310203118230115


def test_appends_of_others_go_on_while_a_settlement_waits_for_the_ledger(postgres_place: Place) -> None:
    store, other, writer = postgres_place.open(), postgres_place.open(), Writer()
    store.commit([writer.run("run"), writer.run("other")], "me")
    asked(store, 1, budget(60))
    with psycopg.connect(postgres_place.url, autocommit=True) as connection, ThreadPoolExecutor(1) as pool:
        connection.execute("SELECT pg_advisory_lock(%s)", (LEDGER_LOCK,))
        waiting = pool.submit(settle, store, writer, Settle(RUN, "1", 1, 5))
        deadline = time.monotonic() + 30
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not connection.execute(waits).fetchall():
            assert time.monotonic() < deadline
        assert other.commit([Writer().one("default/third")], "me") == [True]
        assert not waiting.done()
        connection.execute("SELECT pg_advisory_unlock(%s)", (LEDGER_LOCK,))
        assert waiting.result(30)
    assert account(store, BUDGET)[2:4] == (0, 5)


def test_one_who_stands_still_while_asking_does_not_stop_the_others_for_ever(postgres_place: Place) -> None:
    store, stopped = postgres_place.open(), postgres_place.open()
    store.commit([Writer().run("run")], "me")
    ledger = stopped.ledger
    assert isinstance(ledger, SQLLedger)
    with pytest.raises(StoreUnreachableError), ledger._exchange() as exchange:
        assert exchange.ask([("SELECT 1", ())]) == [[(1,)]]
        assert asked(store, 1, budget(60)) == Granted(), "the server has ended the other's transaction"
        exchange.ask([("SELECT 1", ())])
    assert asked(stopped, 2, budget(40)) == Granted(), "it has a new connection"


def test_a_run_that_ends_while_it_is_given_something_gives_it_back(postgres_place: Place) -> None:
    store, other, writer = postgres_place.open(), postgres_place.open(), Writer()
    store.commit([writer.run("run")], "me")
    ledger = other.ledger
    assert isinstance(ledger, SQLLedger)
    with ThreadPoolExecutor(1) as pool:
        with ledger._exchange() as exchange:
            page, before = ledger._opened(exchange, {(RUN, "1")}, {BUDGET})
            assert page.ask(Request(RUN, "1", 1, [budget(60)])) == Granted()
            ending = pool.submit(settle, store, writer, ends=True)
            deadline = time.monotonic() + 30
            while exchange.ask([("SELECT 1 FROM pg_locks WHERE NOT granted", ())]) == [[]]:
                assert time.monotonic() < deadline
            ledger._keep(exchange, page, before)
        assert ending.result(30)
    assert account(store, BUDGET).reserved == 0 and store.ledger.holds() == []
