"""What operators added to budgets, folded from the control stream."""

from __future__ import annotations

from collections.abc import Iterable

from .accounts import check_budget, check_cents
from .budget_events import BudgetToppedUp
from .errors import CallError, IntegrityError
from .events import Event


class BudgetLog:
    """The top-ups in the order in which they were recorded, and `extra`: what they come to for each account, in
    millionths of a cent."""

    def __init__(self, events: Iterable[Event] = ()):
        self.top_ups: list[BudgetToppedUp] = []
        self.extra: dict[str, int] = {}
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot occur here."""
        if not isinstance(event, BudgetToppedUp):
            raise IntegrityError(f"{event.topic} cannot occur here")
        try:
            account, amount = check_budget(event.account), check_cents(event.cents)
        except CallError as error:
            raise IntegrityError(f"{event.topic}: {error.problems[0].reason}") from None
        self.top_ups.append(event)
        self.extra[account] = self.extra.get(account, 0) + amount
