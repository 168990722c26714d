"""Accounts of the ledger as programs are shown them."""

from __future__ import annotations

from typing import Any

from ..core.accounts import is_budget
from ..core.budget_events import BudgetToppedUp
from ..core.ledger import MILLIONTHS, Account, Hold, Limit
from ..core.ledger_rules import left
from .times import iso


def left_in(account: Account, now: int) -> int:
    """What is left of an account at `now` (µs since the epoch), in its unit, never below 0."""
    limit = Limit(account.name, account.kind, 0, account.capacity, account.token_seconds)
    return max(left(limit, account, now), 0)


def account_json(account: Account, waiting: int, now: int) -> dict[str, Any]:
    """The account as a JSON object, amounts of a budget in cents; `waiting` attempts wait for it."""
    unit = MILLIONTHS if account.kind == "budget" else 1
    shown: dict[str, Any] = {"account": account.name, "kind": account.kind, "capacity": account.capacity / unit}
    if account.kind == "budget":
        shown |= {"extra": account.extra / unit, "spent": account.spent / unit}
    if account.kind == "rate":
        full = iso(account.full_at) if account.full_at > now else None
        shown |= {"token_seconds": account.token_seconds, "full_at": full}
    else:
        shown["reserved"] = account.reserved / unit
    return {**shown, "left": left_in(account, now) / unit, "waiting": waiting}


def hold_json(hold: Hold) -> dict[str, Any]:
    """What an attempt holds or waits for as a JSON object, of a budget in cents."""
    unit = MILLIONTHS if is_budget(hold.account) else 1
    return {**hold._asdict(), "amount": hold.amount / unit}


def top_up_json(event: BudgetToppedUp) -> dict[str, Any]:
    """A top-up as a JSON object."""
    return {
        "account": event.account,
        "cents": event.cents,
        "reason": event.reason,
        "by": event.by,
        "at": iso(event.at),
    }
