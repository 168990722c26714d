"""Top-ups of budgets, recorded and carried out in one unit of commit."""

from __future__ import annotations

import asyncio

from ..accounts import check_budget, check_cents
from ..budget_events import BudgetToppedUp
from ..budget_log import BudgetLog
from ..errors import CallError, OwnershipLostError, Problem
from ..ids import BUDGETS
from ..ports import Append, Clock, Journal, RunLog, TopUp, Unit
from .admission import MAX_LABEL, MAX_REASON, check_text
from .request_keys import Beside


class BudgetControl:
    """The control stream of budgets."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock

    async def top_up(
        self, account: str, cents: float, reason: str, by: str = "", *, beside: Beside | None = None
    ) -> BudgetToppedUp:
        """Add to a budget's capacity, or take away from it (below 0), whether anybody has asked for it yet or not.

        `beside` is recorded with it. Raises CallError, what `beside` raises, and StoreUnreachableError; then it may
        have been recorded all the same.
        """
        amount = check_cents(cents)
        if not reason:
            raise CallError(Problem("", "a top-up has a reason", "say why: it is recorded"))
        check_text("reason", reason, MAX_REASON)
        check_text("by", by, MAX_LABEL)
        event = BudgetToppedUp(self._clock.now(), check_budget(account), float(cents), reason, by)
        while True:
            head = await asyncio.to_thread(self._log.head, BUDGETS)
            also = () if beside is None else (await beside(event.at),)
            unit = Unit((Append(BUDGETS, head, (event,)), *also), ledger=(TopUp(account, amount),))
            try:
                await self._journal.commit(unit)
                return event
            except OwnershipLostError:
                continue  # Somebody else topped up first.

    async def read(self) -> BudgetLog:
        """All top-ups. Raises IntegrityError."""
        return BudgetLog(await asyncio.to_thread(self._log.events, BUDGETS))
