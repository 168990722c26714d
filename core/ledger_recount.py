"""Accounts computed anew from the log: what was settled, what was added, and what is still held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .accounts import is_budget
from .budget_events import BudgetToppedUp
from .events import (
    END_TOPICS,
    Event,
    PolicyDecided,
    RunCancelling,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepWaiting,
)
from .ids import BUDGETS
from .ledger import MILLIONTHS, Account, Hold

SETTLING = (StepCompleted, StepFailed, StepAttemptFailed, StepWaiting)
"""The outcomes of attempts, which settle what they held."""

CLOSING = frozenset({RunCancelling.topic, *END_TOPICS})
"""The topics of events with which a run gives back all that it holds."""

TOPICS = frozenset({PolicyDecided.topic, BudgetToppedUp.topic, *CLOSING, *(each.topic for each in SETTLING)})
"""The topics of the events that count here."""


class Difference(NamedTuple):
    """Something that the ledger has (`has`) and the log would have otherwise (`should`), in the account's units.

    `what` is "spent", "extra" or "reserved"; "missing": a hold that the log knows; "dead": a hold of a run that has
    ended. Only the last two are of a stream and a step.
    """

    what: str
    account: str
    has: int
    should: int
    stream: str = ""
    step: str = ""


class Recount:
    """What the log says about the ledger. Rates are not in it: of a bucket only the present counts."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self.extra: dict[str, int] = {}
        self._open: dict[str, dict[str, tuple[int, dict[str, int]]]] = {}

    def counts(self, stream: str, topic: str) -> bool:
        """Whether an event of this topic can change anything here."""
        if topic in (PolicyDecided.topic, BudgetToppedUp.topic):
            return True
        return topic in TOPICS and stream in self._open

    def take(self, stream: str, event: Event) -> None:
        """The next event of a stream."""
        if isinstance(event, PolicyDecided):
            self._decided(stream, event)
        elif isinstance(event, BudgetToppedUp) and stream == BUDGETS:
            self.extra[event.account] = self.extra.get(event.account, 0) + round(event.cents * MILLIONTHS)
        elif isinstance(event, SETTLING):
            self._settled(stream, str(event.index), event.attempt, round(event.cost_cents * MILLIONTHS))
        elif event.topic in CLOSING:
            self._open.pop(stream, None)

    def _decided(self, stream: str, event: PolicyDecided) -> None:
        if event.verdict != "allowed":
            if event.verdict == "deferred":  # What it held went back.
                self._open.get(stream, {}).pop(str(event.index), None)
            return
        held: list[dict[str, Any]] = event.holds.value
        amounts = {each["account"]: each["amount"] for each in held if each["kind"] != "rate"}
        self._open.setdefault(stream, {})[str(event.index)] = event.attempt, amounts

    def _settled(self, stream: str, step: str, attempt: int, spent: int) -> None:
        held = self._open.get(stream, {}).get(step)
        if held is None or held[0] != attempt:
            return
        del self._open[stream][step]
        for account in filter(is_budget, held[1]):
            self.spent[account] = self.spent.get(account, 0) + spent

    def holds(self) -> Iterable[Hold]:
        """What is held by attempts under way."""
        for stream, steps in self._open.items():
            for step, (attempt, amounts) in steps.items():
                for account, amount in amounts.items():
                    yield Hold(account, stream, step, attempt, amount, granted=True)


class Books(NamedTuple):
    """A ledger as it stands: its accounts, what is held or waited for, and which runs have not ended."""

    accounts: list[Account]
    holds: list[Hold]
    live: set[str]


def differences(recount: Recount, books: Books) -> list[Difference]:
    """Where the ledger is not what the log says. What is held beyond the log is no difference while its run goes on:
    it may have been granted just now, or before a crash."""
    known = {(hold.stream, hold.step, hold.account): hold for hold in books.holds}
    missing = [hold for hold in recount.holds() if hold.stream in books.live and _is_missing(hold, known)]
    dead = [hold for hold in books.holds if hold.stream not in books.live]
    kept = [*(hold for hold in books.holds if hold.stream in books.live and hold.granted), *missing]
    reserved: dict[str, int] = {}
    for hold in kept:
        reserved[hold.account] = reserved.get(hold.account, 0) + hold.amount
    found = [Difference("missing", h.account, 0, h.amount, h.stream, h.step) for h in missing]
    found += [Difference("dead", h.account, h.amount, 0, h.stream, h.step) for h in dead]
    return found + _sums(recount, {each.name: each for each in books.accounts}, reserved)


def _is_missing(hold: Hold, known: dict[tuple[str, str, str], Hold]) -> bool:
    stands = known.get((hold.stream, hold.step, hold.account))
    return stands is None or stands.attempt < hold.attempt


def _sums(recount: Recount, accounts: dict[str, Account], reserved: dict[str, int]) -> list[Difference]:
    found: list[Difference] = []
    for name in sorted(accounts.keys() | recount.spent.keys() | recount.extra.keys() | reserved.keys()):
        kind = "budget" if is_budget(name) else "concurrency" if name.startswith("places/") else "rate"
        account = accounts.get(name, Account(name, kind, 0, 0, 0, 0))
        if account.kind == "rate":
            continue
        for what, has, should in (
            ("spent", account.spent, recount.spent.get(name, 0)),
            ("extra", account.extra, recount.extra.get(name, 0)),
            ("reserved", account.reserved, reserved.get(name, 0)),
        ):
            if has != should:
                found.append(Difference(what, name, has, should))
    return found
