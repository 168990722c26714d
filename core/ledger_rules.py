"""The arithmetic of the ledger: what is left of an account, when a request's turn comes, when to ask again.

Times are microseconds since the epoch. A rate is counted by the generic cell rate algorithm (ITU-T I.371, annex A): the
one number `full_at` says when the bucket is full again, so a bucket needs no clock of its own and no refilling.

Who has to wait stands in line, in the order of tickets. What those ahead want is set aside for them, so whoever comes
later gets only what is left beyond that. Nobody starves: nobody who came later passes one who asks in time, and who
waits holds nothing, so all that was given out comes back. Nothing stands still: who does not ask again within `GRACE`
after the promised time is passed over (and keeps the number), and so is who wants more than could be had if everything
came back.
"""

from __future__ import annotations

from typing import NamedTuple

from .ledger import Account, Limit

GRACE = 5_000_000
"""One who has not asked again so long after the promised time is passed over until he does."""

SOON = 100_000
"""In so long those ask again who are next in line, where nobody can say when something comes back."""

SELDOM = 5_000_000
"""At least so long waits who needs more than could come back: only a top-up helps."""

LATEST = 30_000_000
"""Nobody is told to come later than this, but by a rate, whose time is known."""


class Ahead(NamedTuple):
    """Those ahead in line: how many, and how much they want together."""

    waiters: int
    amount: int


HUNDRED_YEARS = 3_155_760_000_000_000
"""Nobody is told to come later than this: a line at a slow rate may be longer than what a column holds."""

NEVER = 2**62
"""A turn that does not come."""

NOBODY = Ahead(0, 0)
"""There is nobody ahead."""


def token_time(limit: Limit) -> int:
    """How long one token takes to come back: whole microseconds, rounded up, so that no rate is ever exceeded."""
    return max(-int(-round(limit.token_seconds * 1_000_000, 3) // 1), 1)


def reach(limit: Limit, account: Account) -> int:
    """What could be had if everything came back that is held now."""
    return limit.capacity + account.extra - account.spent if limit.kind == "budget" else limit.capacity


def left(limit: Limit, account: Account, now: int) -> int:
    """What is left of the account; below 0 when more was spent, or capacity was taken away."""
    if limit.kind != "rate":
        return reach(limit, account) - account.reserved
    missing = max(account.full_at - now, 0)
    return limit.capacity + -missing // token_time(limit)


def turn(limit: Limit, account: Account, ahead: Ahead, now: int) -> int:
    """When the limit's amount can be had: `now`, the time at which to ask again, or NEVER if it is to be refused."""
    never = limit.amount > reach(limit, account) and limit.kind != "budget"
    if never:
        return NEVER
    at = _rate_turn(limit, account, ahead, now) if limit.kind == "rate" else _turn(limit, account, ahead, now)
    return at if at <= now or limit.waits else NEVER


def _rate_turn(limit: Limit, account: Account, ahead: Ahead, now: int) -> int:
    tokens = ahead.amount + limit.amount - limit.capacity
    at = max(account.full_at, now) + tokens * token_time(limit)
    return min(max(at, now), now + HUNDRED_YEARS)


def _turn(limit: Limit, account: Account, ahead: Ahead, now: int) -> int:
    if limit.amount <= left(limit, account, now) - ahead.amount:
        return now
    # Places come back to as many at once as there are.
    rounds = ahead.amount // max(limit.capacity, 1) if limit.kind == "concurrency" else ahead.waiters
    least = SELDOM if limit.amount > reach(limit, account) else SOON
    return now + min(max(SOON * (1 + rounds), least), LATEST)


def taken(limit: Limit, account: Account, now: int) -> Account:
    """The account after the limit's amount was granted."""
    if limit.kind == "rate":
        full_at = max(account.full_at, now) + limit.amount * token_time(limit)
        return account._replace(full_at=full_at)
    return account._replace(reserved=account.reserved + limit.amount)


def given_back(account: Account, amount: int, spent: int = 0) -> Account:
    """The account after what was held of it was settled. Of a budget, `spent` counts, whatever was held."""
    if account.kind == "rate":
        return account
    more = spent if account.kind == "budget" else 0
    return account._replace(reserved=account.reserved - amount, spent=account.spent + more)


def topped_up(account: Account, amount: int) -> Account:
    """The account with so much more, or less, than its capacity."""
    return account._replace(extra=account.extra + amount)
