"""How accounts of the ledger are called.

They are `budget/{scope}/{name}/{period}`, `rate/{scope}/{name}` and `places/{scope}/{name}`. The period of a budget is
`total`, a month as `2026-11`, or a day as `2026-11-20`, in UTC. A slash of a name is written `%2F`, a percent sign
`%25`.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from .errors import CallError, Problem
from .ledger import MILLIONTHS

MOST_CENTS = 1e12
"""No more can be added to a budget or taken away at once: ten billion dollars, or what else it counts."""

_BUDGET = re.compile(r"budget/[a-z]+/[^/]{1,200}/(?:total|\d{4}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)")


def is_budget(account: str) -> bool:
    """Whether this can name a budget's account."""
    return _BUDGET.fullmatch(account) is not None


def check_budget(account: str) -> str:
    """`account` if it can name a budget's. Raises CallError."""
    if is_budget(account):
        return account
    fix = "give budget/SCOPE/NAME/PERIOD, such as budget/agent/ada/2026-11; see: refold budgets list"
    raise CallError(Problem("", f"{ascii(account)[:60]} is no budget's account", fix))


def check_cents(cents: float) -> int:
    """An amount to add to a budget, in millionths of a cent. Raises CallError."""
    if not (math.isfinite(cents) and 0 < abs(cents) <= MOST_CENTS and round(cents * MILLIONTHS)):
        raise CallError(Problem("", f"{cents:g} cents cannot be added", f"give up to {MOST_CENTS:g}, and not 0"))
    return round(cents * MILLIONTHS)


def is_past(account: str, now: int) -> bool:
    """Whether the budget's period is over at `now`, in microseconds since the epoch. Other accounts have no period."""
    period = account.rpartition("/")[2]
    if not is_budget(account) or period == "total":
        return False
    today = datetime.fromtimestamp(now // 1_000_000, UTC).strftime("%Y-%m-%d")
    return period < today[: len(period)]
