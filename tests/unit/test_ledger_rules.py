"""The arithmetic of the ledger: tokens, what is left, whose turn comes when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.ledger import Account, Limit
from refold.core.ledger_rules import (
    LATEST,
    NEVER,
    NOBODY,
    SELDOM,
    SOON,
    Ahead,
    given_back,
    left,
    taken,
    token_time,
    topped_up,
    turn,
)

NOW = 1_800_000_000_000_000
RATE = Account("r", "rate", 0, 0, 0, 0)
BUDGET = Account("b", "budget", 0, 0, 0, 0)
PLACES = Account("p", "concurrency", 0, 0, 0, 0)


def rate(amount: int = 1, capacity: int = 3, seconds: float = 1.0, *, waits: bool = True) -> Limit:
    return Limit("r", "rate", amount, capacity, seconds, waits)


def budget(amount: int, capacity: int = 100, *, waits: bool = True) -> Limit:
    return Limit("b", "budget", amount, capacity, 0.0, waits)


def places(amount: int = 1, capacity: int = 1, *, waits: bool = True) -> Limit:
    return Limit("p", "concurrency", amount, capacity, 0.0, waits)


@pytest.mark.parametrize(("seconds", "micros"), [(1.0, 1_000_000), (1 / 3, 333_334), (0.1, 100_000), (0.0, 1)])
def test_a_token_takes_whole_microseconds_rounded_up(seconds: float, micros: int) -> None:
    assert token_time(rate(seconds=seconds)) == micros


def test_a_bucket_fills_one_token_at_a_time() -> None:
    account = taken(rate(3), RATE, NOW)
    assert [left(rate(), account, NOW + after) for after in (0, 999_999, 1_000_000, 2_500_000, 9_000_000)] == [
        0,
        0,
        1,
        2,
        3,
    ]


def test_a_turn_at_a_rate_comes_after_the_tokens_of_those_ahead() -> None:
    account = taken(rate(3), RATE, NOW)
    assert turn(rate(), account, NOBODY, NOW) == NOW + 1_000_000
    assert turn(rate(2), account, Ahead(4, 7), NOW) == NOW + 9_000_000
    assert turn(rate(waits=False), account, NOBODY, NOW) == NEVER
    assert turn(rate(4), RATE, NOBODY, NOW) == NEVER, "the bucket never holds so many"


def test_a_turn_at_a_place_is_looked_for_more_seldom_the_more_stand_ahead() -> None:
    account = PLACES._replace(reserved=2)
    turns = [turn(places(1, 2), account, Ahead(n, n), NOW) - NOW for n in (0, 1, 2, 20, 10_000)]
    assert turns == [SOON, SOON, 2 * SOON, 11 * SOON, LATEST]


def test_who_needs_a_top_up_looks_seldom() -> None:
    assert turn(budget(101), BUDGET, NOBODY, NOW) == NOW + SELDOM
    assert turn(budget(100), BUDGET._replace(reserved=1), Ahead(2, 9), NOW) == NOW + 3 * SOON
    assert turn(budget(101), topped_up(BUDGET, 1), NOBODY, NOW) == NOW


def test_settling_counts_what_was_spent_of_a_budget_alone() -> None:
    assert given_back(taken(budget(30), BUDGET, NOW), 30, 45) == BUDGET._replace(spent=45)
    assert given_back(taken(places(), PLACES, NOW), 1, 45) == PLACES
    account = taken(rate(), RATE, NOW)
    assert given_back(account, 1, 45) == account


@given(
    capacity=st.integers(1, 20),
    seconds=st.floats(0.001, 10),
    asks=st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 4)), max_size=60),
)
def test_in_no_window_are_more_tokens_granted_than_the_burst_and_what_came_back(
    capacity: int, seconds: float, asks: list[tuple[int, int]]
) -> None:
    account, now = RATE, NOW
    granted: list[tuple[int, int]] = []
    for pause, amount in asks:
        now += pause
        limit = rate(amount, capacity, seconds)
        if turn(limit, account, NOBODY, now) == now:
            assert amount <= left(limit, account, now)
            account = taken(limit, account, now)
            granted.append((now, amount))
        else:
            assert amount > left(limit, account, now)
    each = token_time(rate(seconds=seconds))
    for first, (start, _) in enumerate(granted):
        for last, (end, _) in enumerate(granted[first:], first):
            taken_then = sum(amount for _, amount in granted[first : last + 1])
            assert taken_then <= capacity + (end - start) // each


@given(capacity=st.integers(1, 9), amount=st.integers(1, 9), ahead=st.integers(0, 50), used=st.integers(0, 9))
def test_the_promised_turn_at_a_rate_is_the_first_time_at_which_it_is_granted(
    capacity: int, amount: int, ahead: int, used: int
) -> None:
    limit = rate(min(amount, capacity), capacity)
    account = taken(rate(used, capacity), RATE, NOW)
    at = turn(limit, account, Ahead(ahead, ahead), NOW)
    # Those ahead take their tokens as early as they can, one by one.
    now = NOW
    for _ in range(ahead):
        now = turn(rate(1, capacity), account, NOBODY, now)
        account = taken(rate(1, capacity), account, now)
    assert turn(limit, account, NOBODY, max(now, at)) == max(now, at)
    if at > now:
        assert turn(limit, account, NOBODY, at - 1) == at


@given(
    limit=st.builds(budget, st.integers(0, 50), st.integers(0, 100)),
    account=st.builds(
        lambda r, s, x: BUDGET._replace(reserved=r, spent=s, extra=x),
        st.integers(0, 120),
        st.integers(0, 120),
        st.integers(-50, 50),
    ),
    ahead=st.integers(0, 30),
)
def test_a_budget_is_granted_exactly_when_all_that_is_promised_fits(limit: Limit, account: Account, ahead: int) -> None:
    fits = account.spent + account.reserved + ahead + limit.amount <= limit.capacity + account.extra
    at = turn(limit, account, Ahead(ahead, ahead), NOW)
    assert (at == NOW) == fits
    assert at <= NOW + LATEST


def test_at_the_end_of_a_long_line_at_a_slow_rate_the_time_to_come_is_one_that_a_database_can_hold() -> None:
    slow = rate(capacity=1, seconds=3_155_760_000)
    assert NOW < turn(slow, taken(slow, RATE, NOW), Ahead(1_000_000, 1_000_000), NOW) < 2**62
