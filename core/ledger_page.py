"""Requests answered on a page of the ledger: the accounts that they name, and what their steps have of them already.

A store opens a page with nobody else writing, asks it, and keeps what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .ledger import Account, Answer, Deferred, Granted, Hold, Limit, Refused, Request
from .ledger_rules import GRACE, NEVER, NOBODY, Ahead, given_back, left, reach, taken, turn

ENDED = 1_000_000
"""Who asks for a run that has ended, or for an attempt that is over, is told to ask again so much later: by then he has
heard of it, for he cannot append to the run any more."""

Step = tuple[str, str]
"""A stream and a step of it."""


@dataclass(slots=True)
class Entry:
    """What one attempt of a step holds of accounts (`granted`), or waits for in their lines until `until`."""

    stream: str
    step: str
    attempt: int
    ticket: int
    granted: bool = False
    until: int = 0
    amounts: dict[str, int] = field(default_factory=dict[str, int])

    def holds(self) -> Iterable[Hold]:
        """As the ledger shows it."""
        of = (self.stream, self.step, self.attempt)
        return (Hold(account, *of, amount, self.granted) for account, amount in self.amounts.items())

    def waits_for(self, account: str, now: int) -> bool:
        """Whether it stands in that account's line, and has asked in time."""
        return not self.granted and account in self.amounts and self.until + GRACE >= now


Others = Callable[[Limit, int, int], Ahead]
"""Those not on the page who wait for a limit's account with tickets below the given one, want no more than the given
amount, and have asked in time."""


class Page:
    """Accounts and entries by name and step. `live` are the streams of runs that have not ended, `ticket` is the last
    number given out, and `others` counts those who wait elsewhere."""

    def __init__(
        self,
        now: int,
        ticket: int,
        live: Iterable[str],
        accounts: Mapping[str, Account],
        entries: Mapping[Step, Entry],
        others: Others,
    ):
        self.now = now
        self.ticket = ticket
        self.changed_accounts: set[str] = set()
        self.changed_entries: set[Step] = set()
        self._live = set(live)
        self.accounts = dict(accounts)
        self.entries = dict(entries)
        self._others = others

    def ask(self, request: Request) -> Answer:
        """Answer a request, and change the page accordingly."""
        step = (request.stream, request.step)
        entry = self.entries.get(step)
        if entry is not None and entry.attempt < request.attempt:
            self.withdraw(step)
            entry = None
        if not request.limits or (entry is not None and entry.granted and entry.attempt == request.attempt):
            return Granted()
        if request.stream not in self._live or (entry is not None and entry.attempt > request.attempt):
            return Deferred(request.limits[0].account, self.now + ENDED)
        if entry is None:
            self.ticket += 1
            entry = Entry(request.stream, request.step, request.attempt, self.ticket)
        return self._answer(step, entry, request.limits)

    def withdraw(self, step: Step) -> None:
        """Give back what a step holds, unspent, or its place in a line."""
        entry = self.entries.pop(step, None)
        if entry is None:
            return
        self.changed_entries.add(step)
        if entry.granted:
            for name, amount in entry.amounts.items():
                self._put(given_back(self.accounts[name], amount))

    def _answer(self, step: Step, entry: Entry, limits: Sequence[Limit]) -> Answer:
        late: dict[str, int] = {}
        for limit in limits:
            at = self._turn(limit, entry)
            if at == NEVER:
                self.withdraw(step)
                return Refused(limit.account, max(left(limit, self.accounts[limit.account], self.now), 0))
            if at > self.now:
                late[limit.account] = at
        self.entries[step] = entry
        self.changed_entries.add(step)
        if late:
            # It stays in every line in which it has stood: else two accounts, each of which is free when the other is
            # not, could keep it waiting for ever.
            stands = late.keys() | entry.amounts.keys()
            entry.amounts = {limit.account: limit.amount for limit in limits if limit.account in stands}
            account = max(late, key=lambda name: late[name])
            entry.until = late[account]
            return Deferred(account, entry.until)
        for limit in limits:
            self._put(taken(limit, self.accounts[limit.account], self.now))
        entry.amounts = {limit.account: limit.amount for limit in limits}
        entry.granted, entry.until = True, 0
        return Granted()

    def _turn(self, limit: Limit, entry: Entry) -> int:
        known = self.accounts.get(limit.account) or Account(limit.account, limit.kind, 0, 0, 0, 0)
        account = known._replace(kind=limit.kind, capacity=limit.capacity, token_seconds=limit.token_seconds)
        if account != known or limit.account not in self.accounts:
            self._put(account)
        return turn(limit, account, self._ahead(limit, account, entry.ticket), self.now)

    def _ahead(self, limit: Limit, account: Account, ticket: int) -> Ahead:
        most = reach(limit, account)
        waiters, amount = self._others(limit, ticket, most)
        for entry in self.entries.values():
            if entry.ticket < ticket and entry.waits_for(limit.account, self.now):
                wanted = entry.amounts[limit.account]
                waiters, amount = (waiters + 1, amount + wanted) if wanted <= most else (waiters, amount)
        return Ahead(waiters, amount) if waiters else NOBODY

    def _put(self, account: Account) -> None:
        self.accounts[account.name] = account
        self.changed_accounts.add(account.name)
