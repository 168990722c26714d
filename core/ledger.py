"""What steps ask for before they run, and what they are answered: budgets, rates and places, kept in guarded rows.

An account is one guarded row of the store, by name. A budget's account counts millionths of a cent, spent and
reserved; a rate's account is a token bucket; a concurrency limit's account counts places that are taken. A step's
attempt asks for all that it needs at once and gets all of it or nothing. What it got is *held* under the run's stream
and the step until the attempt's outcome is recorded, which settles it in the same transaction, or until the run ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

MILLIONTHS = 1_000_000
"""Of a cent: amounts of money are whole numbers of these, so that sums are exact."""


def millionths(cents: float) -> int:
    """Cents as whole millionths, rounded half to even."""
    return round(cents * MILLIONTHS)


Kind = Literal["budget", "rate", "concurrency"]
"""What an account counts."""


class Limit(NamedTuple):
    """What an attempt wants from one account.

    `amount` and `capacity` are millionths of a cent of a budget, tokens of a rate (capacity: the burst), or places.
    `token_seconds` is, of a rate, how long one token takes to come back, else 0. With `waits` an attempt that cannot
    have it now comes later, in the order in which they asked; else it is refused.
    """

    account: str
    kind: Kind
    amount: int
    capacity: int
    token_seconds: float = 0.0
    waits: bool = False


class Request(NamedTuple):
    """One attempt's wishes. `step` is the index as text. Asked again for the same attempt, the answer is the same
    grant, or the same place in the queue."""

    stream: str
    step: str
    attempt: int
    limits: Sequence[Limit]


class Granted(NamedTuple):
    """All of it is held for the attempt now."""


class Refused(NamedTuple):
    """There is not enough in `account`: it has `left` of its capacity (never below 0)."""

    account: str
    left: int


class Deferred(NamedTuple):
    """`account` has not enough now: ask again at `until`, microseconds since the epoch in the database's time."""

    account: str
    until: int


Answer = Granted | Refused | Deferred
"""What became of a request."""


class Account(NamedTuple):
    """A guarded row as it stands. `extra` is what was added to a budget's capacity; `full_at` is when a rate's bucket
    is full again (microseconds since the epoch, 0 for others). `capacity` and `token_seconds` are those of the last
    request, for people to see; each request is held to its own."""

    name: str
    kind: Kind
    reserved: int
    spent: int
    extra: int
    full_at: int
    capacity: int = 0
    token_seconds: float = 0.0


class Hold(NamedTuple):
    """What an attempt holds, or (not `granted`) waits for, of one account."""

    account: str
    stream: str
    step: str
    attempt: int
    amount: int
    granted: bool


class Ledger(Protocol):
    """Grants and their accounts. Calls block and are thread-safe."""

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer each request, in order, each in sight of the grants before it; durable when this returns."""
        ...

    def withdraw(self, stream: str, step: str) -> None:
        """Give back what a step holds, unspent, or its place in a queue."""
        ...

    def accounts(self, prefix: str = "") -> list[Account]:
        """The accounts whose names begin so, by name."""
        ...

    def holds(self, prefix: str = "") -> list[Hold]:
        """What is held of these accounts, or waited for, in the order in which it was asked for."""
        ...
