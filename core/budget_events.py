"""What operators decide about budgets. See `refold.core.events`, which has these classes too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class BudgetToppedUp:
    """In the stream `control/budgets`: `account` has so many cents more than its capacity (below 0: less), from now on.

    `by` is who did it, "" when nobody said.
    """

    topic: ClassVar = "budget.topped_up"
    schema: ClassVar = 1

    at: int
    account: str
    cents: float
    reason: str
    by: str
