"""The ledger in memory; fulfils `refold.core.ledger.Ledger`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock

from ..core.ledger import Account, Answer, Hold, Limit, Request
from ..core.ledger_page import Entry, Page, Step
from ..core.ledger_rules import Ahead, given_back, topped_up
from ..core.ports import LedgerChange, Settle


class MemoryLedger:
    """Accounts and entries in dicts, under the store's lock. `is_live` tells whether a run has not ended."""

    def __init__(self, lock: RLock, is_live: Callable[[str], bool], seconds: Callable[[], float]):
        self._lock = lock
        self._is_live = is_live
        self._seconds = seconds
        self._accounts: dict[str, Account] = {}
        self._entries: dict[Step, Entry] = {}
        self._steps: dict[str, set[str]] = {}
        self._ticket = 0

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Ledger.ask`."""
        with self._lock:
            page = self._page({(each.stream, each.step) for each in requests})
            answers = [page.ask(request) for request in requests]
            self._keep(page)
            return answers

    def withdraw(self, stream: str, step: str) -> None:
        """See `Ledger.withdraw`."""
        with self._lock:
            page = self._page({(stream, step)})
            page.withdraw((stream, step))
            self._keep(page)

    def accounts(self, prefix: str = "") -> list[Account]:
        """See `Ledger.accounts`."""
        with self._lock:
            return [account for name, account in sorted(self._accounts.items()) if name.startswith(prefix)]

    def holds(self, prefix: str = "") -> list[Hold]:
        """See `Ledger.holds`."""
        with self._lock:
            entries = sorted(self._entries.values(), key=lambda entry: entry.ticket)
            found = [hold for entry in entries for hold in sorted(entry.holds())]
            return [hold for hold in found if hold.account.startswith(prefix)]

    def apply(self, change: LedgerChange) -> None:
        """Carry out one change of a unit of commit."""
        if isinstance(change, Settle):
            self._end((change.stream, change.step), change.spent, change.attempt)
        else:
            known = self._accounts.get(change.account) or Account(change.account, "budget", 0, 0, 0, 0)
            self._accounts[change.account] = topped_up(known, change.amount)

    def release(self, stream: str) -> None:
        """Give back all that a run holds: it has ended."""
        for step in self._steps.pop(stream, ()):
            self._end((stream, step), 0)

    def _end(self, step: Step, spent: int, attempt: int | None = None) -> None:
        entry = self._entries.get(step)
        if entry is None or attempt not in (None, entry.attempt):
            return
        del self._entries[step]
        if entry.granted:
            for name, amount in entry.amounts.items():
                self._accounts[name] = given_back(self._accounts[name], amount, spent)

    def _page(self, steps: set[Step]) -> Page:
        now = int(self._seconds() * 1_000_000)
        entries = {step: self._entries[step] for step in steps if step in self._entries}

        def others(limit: Limit, ticket: int, most: int) -> Ahead:
            wanted = [
                entry.amounts[limit.account]
                for step, entry in self._entries.items()
                if entry.ticket < ticket and step not in steps and entry.waits_for(limit.account, now)
            ]
            fitting = [amount for amount in wanted if amount <= most]
            return Ahead(len(fitting), sum(fitting))

        live = {stream for stream, _ in steps if self._is_live(stream)}
        return Page(now, self._ticket, live, self._accounts, entries, others)

    def _keep(self, page: Page) -> None:
        self._ticket = page.ticket
        for name in page.changed_accounts:
            self._accounts[name] = page.accounts[name]
        for step in page.changed_entries:
            stream, number = step
            entry = page.entries.get(step)
            if entry is None:
                self._entries.pop(step, None)
                self._steps.get(stream, set()).discard(number)
            else:
                self._entries[step] = entry
                self._steps.setdefault(stream, set()).add(number)
