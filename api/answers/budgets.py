"""What the API answers about budgets, rates and places."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class LedgerAccount(BaseModel):
    """An account: cents of a budget, attempts of a rate, places. `left` is what is neither spent nor reserved; so many
    attempts are `waiting` for it. What an account of its kind does not have is not there."""

    account: str
    kind: Literal["budget", "rate", "concurrency"]
    capacity: float
    extra: float = 0
    spent: float = 0
    reserved: float = 0
    token_seconds: float = 0
    full_at: str | None = None
    left: float
    waiting: int


class AccountPage(BaseModel):
    """Accounts by name."""

    accounts: list[LedgerAccount]
    next_cursor: str | None


class LedgerHold(BaseModel):
    """What an attempt of a run's step holds, or (not `granted`) waits for."""

    account: str
    stream: str
    step: str
    attempt: int
    amount: float
    granted: bool


class BudgetTopUp(BaseModel):
    """What was added to a budget (taken away: below 0), in cents."""

    account: str
    cents: float
    reason: str
    by: str
    at: str


class WholeAccount(LedgerAccount):
    """An account with the first 200 of those who hold or wait, and all top-ups."""

    holds: list[LedgerHold]
    top_ups: list[BudgetTopUp]
