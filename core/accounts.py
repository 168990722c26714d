"""How accounts of the ledger are called.

They are `budget/{scope}/{name}/{period}`, `rate/{scope}/{name}` and `places/{scope}/{name}`. The period of a budget is
`total`, a month as `2026-11`, or a day as `2026-11-20`, in UTC. A slash of a name is written `%2F`, a percent sign
`%25`, a control character likewise. A long name is cut and ends in `%~` and its hash; an empty one is
`%~` alone.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from .errors import CallError, Problem
from .hashing import sha256_hex
from .ledger import MILLIONTHS

MOST_CENTS = 1e12
"""No more can be added to a budget or taken away at once: ten billion dollars, or what else it counts."""

_BUDGET = re.compile(r"budget/[a-z]+/[^/]{1,200}/(?:total|\d{4}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?)")


_LONGEST = 200
"""Bytes of a part of an account's name: PostgreSQL indexes no key beyond 2,704 of them, and there are seven parts."""

_MARK = "%~"
"""Begins what no name holds, for a percent sign of its own is followed by two digits."""

_WRITTEN = {code: f"%{code:02X}" for code in (*range(32), *b"%/", 127)}


def part(name: str) -> str:
    """`name` as a part of an account's name: two names never have the same one, and every database can hold it."""
    written = name.translate(_WRITTEN)
    if len(written.encode()) <= _LONGEST:
        return written or _MARK
    return written.encode()[:160].decode(errors="ignore") + _MARK + sha256_hex(name.encode())[:32]


def apart(named: str, label: str) -> str:
    """A part of an account's name, for those alone who go by the policy with the hash `label`."""
    return f"{named}{_MARK}{label[:16]}"


def name_in(part: str) -> str:
    """The name that a part of an account's name was made of; of a long one its beginning."""
    return re.sub("%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), part.partition(_MARK)[0])


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
