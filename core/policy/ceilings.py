"""The ceilings of a spec, applied as serial execution would: whether a step may run depends on what the steps of lower
index cost, never on how fast anything was.

Amounts are added up as whole millionths of a cent: sums of fractions depend on the order in which they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from ..ledger import MILLIONTHS, millionths
from ..run_state import FIRST
from ..spec_state import SpecState


class Exceeded(NamedTuple):
    """Why a step may not run: the failure code, and the reason."""

    code: str
    reason: str


Judgement = Literal["run", "wait"] | Exceeded
"""Of a step that could run: it may, it must wait until the steps before it have ended, or it may not."""


class Prices(NamedTuple):
    """What an attempt at a step costs, in cents, and how many attempts there are at most."""

    cents: float
    attempts: int


class Ceilings:
    """The ceilings of one run. `price` tells the prices of the step at an index."""

    def __init__(self, state: SpecState, price: Callable[[int], Prices]):
        spec = state.plan.spec
        step, run = spec.step_ceiling_cents, spec.workflow_ceiling_cents
        self._step = None if step is None else millionths(step)
        self._run = None if run is None else millionths(run)
        prices = [price(step.index) for step in state.plan.steps]
        self._prices = [(millionths(each.cents), each.attempts) for each in prices]
        worst = sum(amount * attempts for amount, attempts in self._prices)
        # Usually there is room for all that could be spent, and nothing is ever in doubt.
        self._roomy = self._run is None or worst <= self._run

    def judge(self, state: SpecState, indexes: Sequence[int]) -> list[Judgement]:
        """What becomes of the steps at `indexes`, ascending, whose turn it could be."""
        before = [(0, 0)] * len(indexes) if self._roomy else self._before(state, indexes)
        return [
            self._judged(state, index, spent, in_doubt)
            for index, (spent, in_doubt) in zip(indexes, before, strict=True)
        ]

    def _judged(self, state: SpecState, index: int, spent: int, in_doubt: int) -> Judgement:
        price, _ = self._prices[index]
        own = millionths(state.attempted.get(index, FIRST).cost_cents)
        if self._step is not None and own + price > self._step:
            return Exceeded("STEP_COST_CEILING", _too_much("the step", own, price, self._step))
        if self._roomy or self._run is None:
            return "run"
        if spent + own + price > self._run:
            return Exceeded("WORKFLOW_COST_CEILING", _too_much("the run", spent + own, price, self._run))
        return "run" if spent + in_doubt + own + price <= self._run else "wait"

    def _before(self, state: SpecState, indexes: Sequence[int]) -> list[tuple[int, int]]:
        """For each index, what the steps before it have cost, and what those of them that have not ended still may."""
        found: list[tuple[int, int]] = []
        spent = in_doubt = 0
        at = 0
        for index in indexes:
            for lower in range(at, index):
                outcome = state.outcomes[lower]
                if outcome is not None:
                    spent += millionths(outcome.cost_cents)
                    continue
                pending = state.attempted.get(lower, FIRST)
                waited = state.waits.get(lower)
                spent += millionths(pending.cost_cents + (0 if waited is None else waited.cost_cents))
                price, attempts = self._prices[lower]
                if lower not in state.doomed and waited is None:
                    in_doubt += price * max(1, attempts - pending.attempt + 1)
            at = index
            found.append((spent, in_doubt))
        return found


def _too_much(what: str, spent: int, price: int, ceiling: int) -> str:
    told = [f"{amount / MILLIONTHS:g}" for amount in (spent, price, ceiling)]
    return f"{what} has cost {told[0]} cents, {told[1]} more would exceed the ceiling of {told[2]}"
