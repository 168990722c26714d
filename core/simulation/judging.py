"""What policies, ceilings, budgets and limits would say of a plan's steps, taken one after the other by index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ledger import MILLIONTHS, Account, Limit
from ..ledger_rules import left as left_of
from ..ledger_rules import token_time
from ..plan import Plan, PlannedStep
from ..policy.enforcer import NO_KEY, PolicyCheckResult, PolicyContext, PolicyEnforcer
from .facts import Circumstances, StepFacts
from .findings import AccountOutlook, Outlook, PlanFinding
from .shape import depths

NOTHING = PolicyCheckResult(True)
"""What is asked of a step that never begins."""


class Judged(NamedTuple):
    """What was found; by index what each step asks of the ledger, and the worst that would become of it; the accounts
    that are drawn on, as they stand."""

    findings: tuple[PlanFinding, ...]
    accounts: tuple[AccountOutlook, ...]
    limits: tuple[tuple[Limit, ...], ...]
    outlooks: tuple[Outlook | None, ...]
    known: Mapping[str, Account]


def judge(plan: Plan, facts: Sequence[StepFacts], enforcer: PolicyEnforcer, where: Circumstances) -> Judged:
    """Every step is judged as if those before it had run, each at its first attempt, but for those that are refused;
    besides, as if every retry before had been needed."""
    walk = _Walk(plan, facts, enforcer, where)
    asked = [walk.step(step).limits for step in plan.steps]
    found = [*walk.findings, *(each for tally in walk.tallies.values() for each in tally.findings(enforcer))]
    accounts = [tally.outlook(enforcer, where.account is not None) for tally in walk.tallies.values()]
    known = {name: tally.account for name, tally in walk.tallies.items()}
    return Judged(tuple(found), tuple(accounts), tuple(asked), tuple(walk.outlooks), known)


@dataclass(slots=True)
class _Tally:
    """What the steps so far take of an account: `needed` and `worst`, in the limit's own unit."""

    limit: Limit
    account: Account
    left: int
    now: int
    needed: int = 0
    worst: int = 0
    at_once: int = 0
    side_by_side: Counter[int] = field(default_factory=Counter[int])
    warned: bool = False

    def seconds(self) -> float:
        """Until the last token of a rate is there, if all are asked for now."""
        if self.limit.kind != "rate":
            return 0.0
        owed = max(self.account.full_at - self.now, 0)
        return max(owed + (self.needed - self.limit.capacity) * token_time(self.limit), 0) / 1_000_000

    def findings(self, enforcer: PolicyEnforcer) -> list[PlanFinding]:
        """What the limit brings about for the plan as a whole."""
        limit, widest = self.limit, max(self.side_by_side.values(), default=0)
        if limit.kind == "rate":
            crowded, why = self.seconds() > 0, f"{self.needed} attempts take at least {self.seconds():g} s"
        else:
            crowded, why = widest > self.left, f"{widest} steps could run at a time, there are {self.left} places"
        if limit.kind == "budget" or not crowded:
            return []
        outlook: Outlook = "delayed" if limit.waits else "refused" if self.at_once > self.left else "possible"
        code = "RATE_LIMITED" if limit.kind == "rate" else "CONCURRENCY_LIMITED"
        return [PlanFinding(outlook, code, f"{limit.account}: {why}", rule=enforcer.rule_of(limit.account))]

    def outlook(self, enforcer: PolicyEnforcer, known: bool) -> AccountOutlook:
        """As people are told."""
        limit = self.limit
        unit = MILLIONTHS if limit.kind == "budget" else 1
        widest = max(self.side_by_side.values(), default=0)
        needed, worst = (widest, widest) if limit.kind == "concurrency" else (self.needed, self.worst)
        return AccountOutlook(
            limit.account,
            limit.kind,
            enforcer.rule_of(limit.account),
            (limit.capacity + self.account.extra) / unit,
            max(self.left, 0) / unit,
            needed / unit,
            worst / unit,
            limit.waits,
            known,
            self.seconds(),
        )


class _Walk:
    """Goes from step to step, and keeps what they cost and take together."""

    def __init__(self, plan: Plan, facts: Sequence[StepFacts], enforcer: PolicyEnforcer, where: Circumstances):
        self.findings: list[PlanFinding] = []
        self.tallies: dict[str, _Tally] = {}
        self.outlooks: list[Outlook | None] = [None] * len(plan.steps)
        self._plan, self._facts, self._enforcer, self._where = plan, facts, enforcer, where
        self._position = {step.step_id: at for at, step in enumerate(plan.spec.steps)}
        self._depths = depths(plan)
        self._spent = self._worst = 0.0
        self._never: set[int] = set()

    def step(self, step: PlannedStep) -> PolicyCheckResult:
        """Judge the next step; the answer is what it must be granted."""
        if step.index in self._never:
            self._never.update(step.dependents)
            return NOTHING
        facts = self._facts[step.index]
        checked = self._check(step, facts, 1, self._spent)
        if not checked.allowed:
            return self._refused(step, "refused", checked)
        if short := self._short(step, checked.limits):
            return short
        if facts.effect is None and facts.known and step.idempotency_key is None:
            self._tell(step, "possible", "IDEMPOTENCY_KEY_MISSING", f"if the call has an effect, {NO_KEY}")
        self._look_at_worst(step, facts)
        self._take(step, facts, checked.limits)
        return checked

    def _check(self, step: PlannedStep, facts: StepFacts, attempt: int, before: float) -> PolicyCheckResult:
        """What is said of an attempt after earlier ones, `before` being what the steps before have cost."""
        where, spec = self._where, self._plan.spec
        own = (attempt - 1) * facts.cents
        context = PolicyContext(
            tenant=where.tenant,
            workflow_type=spec.workflow_type,
            queue=where.queue,
            source=where.source,
            attempt=attempt,
            at=where.at,
            cost_cents=facts.cents,
            spent_cents=before + own,
            step_spent_cents=own,
            step_ceiling_cents=spec.step_ceiling_cents,
            workflow_ceiling_cents=spec.workflow_ceiling_cents,
            side_effect=facts.side_effect,
            effect=facts.effect is True,
            keyed=step.idempotency_key is not None,
            inputs=where.inputs,
        )
        return self._enforcer.check_can_execute(step, context, where.agent_id)

    def _refused(self, step: PlannedStep, outlook: Outlook, checked: PolicyCheckResult) -> PolicyCheckResult:
        self._tell(step, outlook, checked.code, checked.reason, checked.rule)
        if outlook == "refused" and step.on_error == "skip":
            self._never.update(step.dependents)
        return NOTHING

    def _short(self, step: PlannedStep, limits: Sequence[Limit]) -> PolicyCheckResult | None:
        """The refusal by a budget that does not suffice."""
        for limit in limits:
            tally = self._tally(limit)
            room = tally.left - tally.needed
            if limit.kind != "budget" or limit.amount <= room:
                continue
            amount, room = limit.amount / MILLIONTHS, max(room, 0) / MILLIONTHS
            reason = f"{limit.account} would have {room:g} cents left, {amount:g} cents are asked for"
            refusal = PolicyCheckResult(False, "BUDGET_EXCEEDED", self._enforcer.rule_of(limit.account), reason)
            return self._refused(step, "delayed" if limit.waits else "refused", refusal)
        return None

    def _look_at_worst(self, step: PlannedStep, facts: StepFacts) -> None:
        """Tell of the first attempt that would be refused if all retries so far were needed."""
        most = facts.retry.max_attempts
        if (self._worst <= self._spent and most == 1) or self._check(step, facts, most, self._worst).allowed:
            return
        fine, bad = 0, most
        while bad - fine > 1:
            middle = (fine + bad) // 2
            allowed = self._check(step, facts, middle, self._worst).allowed
            fine, bad = (middle, bad) if allowed else (fine, middle)
        checked = self._check(step, facts, bad, self._worst)
        reason = f"attempt {bad}, if all retries before it are needed: {checked.reason}"
        self._tell(step, "possible", checked.code, reason, checked.rule)

    def _take(self, step: PlannedStep, facts: StepFacts, limits: Sequence[Limit]) -> None:
        attempts = facts.retry.max_attempts
        self._spent += facts.cents
        self._worst += facts.cents * attempts
        for limit in limits:
            tally = self._tally(limit)
            tally.needed += limit.amount
            tally.worst += limit.amount * attempts
            tally.at_once += not step.dependencies
            tally.side_by_side[self._depths[step.index]] += 1
            if limit.kind == "budget" and tally.worst > tally.left and not tally.warned:
                tally.warned = True
                reason = f"if all retries up to here are needed, {limit.account} has not enough"
                self._tell(step, "possible", "BUDGET_EXCEEDED", reason, self._enforcer.rule_of(limit.account))

    def _tally(self, limit: Limit) -> _Tally:
        tally = self.tallies.get(limit.account)
        if tally is None:
            look = self._where.account
            known = None if look is None else look(limit.account)
            account = known or Account(limit.account, limit.kind, 0, 0, 0, 0)
            left = left_of(limit, account, self._where.at)
            tally = self.tallies[limit.account] = _Tally(limit, account, left, self._where.at)
        return tally

    def _tell(self, step: PlannedStep, outlook: Outlook, code: str, reason: str, rule: str = "") -> None:
        pointer = f"/steps/{self._position[step.step_id]}"
        self.findings.append(PlanFinding(outlook, code, reason, step.step_id, pointer, rule))
        known = self.outlooks[step.index]
        if known is None or _WORSE[outlook] > _WORSE[known]:
            self.outlooks[step.index] = outlook


_WORSE: dict[Outlook, int] = {"delayed": 0, "possible": 1, "refused": 2}
