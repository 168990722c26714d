"""When a plan's steps would begin and end: played through on a clock of its own, with the limits that hold them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from ..ledger import Account, Limit
from ..ledger_rules import token_time
from ..plan import Plan

_OWN = Limit("", "concurrency", 1, 0)


class Slot(NamedTuple):
    """When a step would begin and end, in seconds from the start, and the account that held it up, "" for none."""

    start: float
    end: float
    held_up_by: str = ""


def play(
    plan: Plan,
    seconds: Sequence[float],
    limits: Sequence[Sequence[Limit]],
    accounts: Mapping[str, Account],
    now: int,
    parallel: int,
) -> list[Slot]:
    """The slots by index, if each step takes so long, the lowest index first, and at most `parallel` at a time.

    `limits` are what each step asks for. Rates and places hold steps up, budgets do not. What others hold of places is
    taken to stay with them, unless that is all there is.
    """
    return _Clock(plan, seconds, limits, accounts, now, parallel).run()


class _Clock:
    """Steps wait for what they depend on, then for the tokens of rates, then for places."""

    def __init__(
        self,
        plan: Plan,
        seconds: Sequence[float],
        limits: Sequence[Sequence[Limit]],
        accounts: Mapping[str, Account],
        now: int,
        parallel: int,
    ):
        self._plan, self._seconds, self._accounts, self._now = plan, seconds, accounts, now
        own = _OWN._replace(capacity=parallel)
        self._places = [(own, *(each for each in asked if each.kind == "concurrency")) for asked in limits]
        self._rates = [[each for each in asked if each.kind == "rate"] for asked in limits]
        self._full_at: dict[str, float] = {}
        self._free: dict[str, int] = {}
        self._lines: dict[str, list[int]] = {}
        self._held_up = [""] * len(plan.steps)
        self._slots: list[Slot | None] = [None] * len(plan.steps)
        self._turns: list[tuple[float, int, int]] = []

    def run(self) -> list[Slot]:
        """Play it through."""
        unmet = [len(step.dependencies) for step in self._plan.steps]
        for step in self._plan.steps:
            if not unmet[step.index]:
                self._ask(step.index, 0.0)
        while self._turns:
            at, begins, index = heappop(self._turns)
            if begins:
                self._begin(index, at)
                continue
            for freed in self._places[index]:
                self._give_back(freed.account, at)
            for dependent in self._plan.steps[index].dependents:
                unmet[dependent] -= 1
                if not unmet[dependent]:
                    self._ask(dependent, at)
        return [slot or Slot(0, 0) for slot in self._slots]

    def _ask(self, index: int, at: float) -> None:
        """Take the tokens it needs, and come back when they are there."""
        start = at
        for limit in self._rates[index]:
            known = self._full_at.get(limit.account)
            if known is None:
                account = self._accounts.get(limit.account)
                known = 0.0 if account is None else max(account.full_at - self._now, 0) / 1_000_000
            token = token_time(limit) / 1_000_000
            full_at = self._full_at[limit.account] = max(known, at) + token
            turn = full_at - limit.capacity * token
            # A millionth: sums of fractions must not look like a delay.
            if turn > start + 1e-6:
                start, self._held_up[index] = turn, limit.account
        heappush(self._turns, (start, 1, index))

    def _begin(self, index: int, at: float) -> None:
        lacking = next((each for each in self._places[index] if self._room(each) < 1), None)
        if lacking is not None:
            self._held_up[index] = lacking.account or self._held_up[index]
            heappush(self._lines.setdefault(lacking.account, []), index)
            # It was called because a place came back that it cannot use yet: the next in that line may.
            for other in self._places[index]:
                if other is not lacking and self._room(other) > 0:
                    self._call_next(other.account, at)
            return
        for each in self._places[index]:
            self._free[each.account] -= 1
        end = at + self._seconds[index]
        self._slots[index] = Slot(at, end, self._held_up[index])
        heappush(self._turns, (end, 0, index))

    def _room(self, limit: Limit) -> int:
        free = self._free.get(limit.account)
        if free is None:
            account = self._accounts.get(limit.account)
            taken = 0 if account is None else account.reserved
            free = self._free[limit.account] = max(limit.capacity - taken, 1)
        return free

    def _give_back(self, account: str, at: float) -> None:
        self._free[account] += 1
        self._call_next(account, at)

    def _call_next(self, account: str, at: float) -> None:
        line = self._lines.get(account)
        if line:
            heappush(self._turns, (at, 1, heappop(line)))
