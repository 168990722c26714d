"""Whether an attempt at a step may begin, and what it must be granted first: pure checks of policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

from ..accounts import apart, name_in, part
from ..canonical import canonical_json
from ..errors import BudgetExceededError, PolicyViolationError
from ..ledger import Limit, millionths
from .document import Budget, LimitRule, Match, Policy, Rule

NO_KEY = "a step with a side effect must declare an idempotency_key"
"""Why a step of a spec is refused that has an effect and no key."""


class PolicyStep(Protocol):
    """A step as policies see it."""

    @property
    def step_id(self) -> str:
        """Its name."""
        ...

    @property
    def skill_id(self) -> str:
        """What it runs."""
        ...

    @property
    def estimated_cost_cents(self) -> float | None:
        """What an attempt may cost."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """Where the step stands. Amounts are in cents, `at` is in microseconds since the epoch.

    `cost_cents` is what the attempt will cost as far as is known, None: what the step estimates. `spent_cents` is
    what the run has cost so far with what is being run, `step_spent_cents` what the step's earlier attempts have. The
    ceilings are those of the run's spec. `keyed` says whether the step has an idempotency key, `side_effect` whether
    its skill declares an effect, `effect` whether this very call has one as far as is known: it then needs a key.
    `stopped` is why an emergency stop holds it up, None while none does.
    """

    run_id: str = ""
    tenant: str = "default"
    workflow_type: str = ""
    queue: str = "default"
    source: str = ""
    attempt: int = 1
    at: int = 0
    cost_cents: float | None = None
    spent_cents: float = 0
    step_spent_cents: float = 0
    step_ceiling_cents: float | None = None
    workflow_ceiling_cents: float | None = None
    side_effect: bool = False
    effect: bool = False
    keyed: bool = True
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyCheckResult:
    """Whether an attempt may begin. `limits` must be granted by the store's ledger before it does.

    A refusal has a `code` of the failure catalog, the `rule` that refuses ("" for what is built in) and a `reason`.
    """

    allowed: bool
    code: str = ""
    rule: str = ""
    reason: str = ""
    policy: str = ""
    limits: tuple[Limit, ...] = ()

    def raise_if_refused(self) -> None:
        """Raises BudgetExceededError or PolicyViolationError unless allowed."""
        if not self.allowed:
            kind = BudgetExceededError if self.code == "BUDGET_EXCEEDED" else PolicyViolationError
            raise kind(self.reason, self.code, self.rule)


class Applying(NamedTuple):
    """What of policies is about an attempt."""

    rules: tuple[Rule, ...]
    limits: tuple[Limit, ...]


class _Facts(NamedTuple):
    """What patterns are held against; None where the run has no such thing."""

    skill: str
    step: str
    agent: str | None
    tenant: str
    workflow: str
    queue: str
    source: str
    side_effect: bool


class PolicyEnforcer:
    """Applies policies, in the order given: that of the process, say, and the run's own. Holds no state."""

    def __init__(self, policies: Policy | Iterable[Policy] = (), own: Policy | None = None):
        """`own` is the policy that a run brings. What its limits count stands apart, so that nobody can change by it at
        what speed, or for whom, the limits of others count."""
        given = (policies,) if isinstance(policies, Policy) else tuple(policies)
        self.policies: Sequence[Policy] = given if own is None else (*given, own)
        self._own = own

    @property
    def label(self) -> str:
        """The policies in force, as events name them."""
        return " ".join(policy.label for policy in self.policies)

    def check_can_execute(self, step: PolicyStep, ctx: PolicyContext, agent_id: str | None = None) -> PolicyCheckResult:
        """Whether the attempt that `ctx` tells of may begin now; the first reason against it decides.

        Pure: rates, places and budgets are named in the answer's `limits`, and only the ledger can grant them.
        """
        cost, facts = _cost(step, ctx), _facts(step, ctx, agent_id)
        against = _built_in(ctx, cost)
        limits: dict[str, Limit] = {}
        for policy in self.policies:
            for rule in policy.rules:
                if against is None and _fits(rule.match, facts):
                    against = _refusal(rule, ctx, facts, cost)
            for wanted in self._limits(policy, ctx, facts, cost):
                known = limits.get(wanted.account)
                limits[wanted.account] = wanted if known is None else _stricter(known, wanted)
        if against is not None:
            code, rule_name, reason = against
            return PolicyCheckResult(False, code, rule_name, reason, self.label)
        return PolicyCheckResult(True, policy=self.label, limits=tuple(limits.values()))

    def applying(self, step: PolicyStep, ctx: PolicyContext, agent_id: str | None = None) -> Applying:
        """The rules that match, whatever they say of this attempt, and all that it must be granted."""
        cost, facts = _cost(step, ctx), _facts(step, ctx, agent_id)
        rules = [rule for policy in self.policies for rule in policy.rules if _fits(rule.match, facts)]
        limits = [limit for policy in self.policies for limit in self._limits(policy, ctx, facts, cost)]
        return Applying(tuple(rules), tuple(limits))

    def rule_of(self, account: str) -> str:
        """The name of the limit or budget that an account is of."""
        kind, named, *_ = account.split("/")
        return "budget" if kind == "budget" else name_in(named)

    def _limits(self, policy: Policy, ctx: PolicyContext, facts: _Facts, cost: float) -> list[Limit]:
        label = policy.sha256 if policy is self._own else None
        return _limits(policy, ctx, facts, cost, label)


_Refusal = tuple[str, str, str]
"""Code, rule, reason."""


def _facts(step: PolicyStep, ctx: PolicyContext, agent_id: str | None) -> _Facts:
    return _Facts(
        step.skill_id,
        step.step_id,
        agent_id,
        ctx.tenant,
        ctx.workflow_type,
        ctx.queue,
        ctx.source,
        ctx.side_effect,
    )


def _cost(step: PolicyStep, ctx: PolicyContext) -> float:
    return ctx.cost_cents if ctx.cost_cents is not None else step.estimated_cost_cents or 0


def _built_in(ctx: PolicyContext, cost: float) -> _Refusal | None:
    """What is refused without any rule."""
    if ctx.stopped is not None:
        return "EMERGENCY_STOP", "", ctx.stopped
    ceiling = ctx.step_ceiling_cents
    if ceiling is not None and _exceeds(ctx.step_spent_cents, cost, ceiling):
        return "STEP_COST_CEILING", "", _too_much("the step", ctx.step_spent_cents, cost, ceiling)
    ceiling = ctx.workflow_ceiling_cents
    if ceiling is not None and _exceeds(ctx.spent_cents, cost, ceiling):
        return "WORKFLOW_COST_CEILING", "", _too_much("the run", ctx.spent_cents, cost, ceiling)
    if ctx.effect and not ctx.keyed:
        return "IDEMPOTENCY_KEY_MISSING", "", NO_KEY
    return None


def _exceeds(spent: float, cost: float, ceiling: float) -> bool:
    """In millionths of a cent: three times a tenth is not more than three tenths."""
    return millionths(spent + cost) > millionths(ceiling)


def _too_much(what: str, spent: float, cost: float, ceiling: float) -> str:
    return f"{what} has cost {spent:g} cents, {cost:g} more would exceed {ceiling:g}"


def _refusal(rule: Rule, ctx: PolicyContext, facts: _Facts, cost: float) -> _Refusal | None:
    if rule.deny is not None:
        return "POLICY_REFUSED", rule.rule, rule.deny
    if rule.allow_skills is not None and not _any(rule.allow_skills, facts.skill):
        return "POLICY_REFUSED", rule.rule, f"skill {facts.skill!r} is none of those allowed"
    if rule.require_idempotency_key and not ctx.keyed:
        return "IDEMPOTENCY_KEY_MISSING", rule.rule, "the step declares no idempotency_key"
    if rule.max_step_cents is not None and _exceeds(ctx.step_spent_cents, cost, rule.max_step_cents):
        return "STEP_COST_CEILING", rule.rule, _too_much("the step", ctx.step_spent_cents, cost, rule.max_step_cents)
    if rule.max_run_cents is not None and _exceeds(ctx.spent_cents, cost, rule.max_run_cents):
        return "WORKFLOW_COST_CEILING", rule.rule, _too_much("the run", ctx.spent_cents, cost, rule.max_run_cents)
    return None


def _fits(match: Match, facts: _Facts) -> bool:
    if match.side_effect is not None and match.side_effect is not facts.side_effect:
        return False
    for name in match.model_fields_set - {"side_effect"}:
        patterns = getattr(match, name)
        if patterns is not None and not _any(patterns, getattr(facts, name)):
            return False
    return True


def _any(patterns: Sequence[str], value: str | None) -> bool:
    if value is None:
        return "*" in patterns
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _stricter(one: Limit, other: Limit) -> Limit:
    """What satisfies both of two limits on an account."""
    return one._replace(
        capacity=min(one.capacity, other.capacity),
        token_seconds=max(one.token_seconds, other.token_seconds),
        waits=one.waits and other.waits,
    )


def _limits(policy: Policy, ctx: PolicyContext, facts: _Facts, cost: float, label: str | None) -> list[Limit]:
    found: list[Limit] = []
    for limit in policy.limits:
        if _fits(limit.match, facts):
            found.extend(_of_limit(limit, ctx, facts, label))
    counted: set[tuple[str, str]] = set()
    for budget in policy.budgets:
        name = getattr(facts, budget.scope)
        kind = (budget.scope, budget.period)
        if name is not None and kind not in counted and fnmatchcase(name, budget.name):
            counted.add(kind)
            found.append(_of_budget(budget, name, ctx.at, cost))
    return found


def _of_limit(limit: LimitRule, ctx: PolicyContext, facts: _Facts, label: str | None) -> list[Limit]:
    named = part(limit.limit) if label is None else apart(part(limit.limit), label)
    values: list[str] = []
    for dimension in limit.per:
        value = ctx.inputs.get(limit.key or "") if dimension == "key" else getattr(facts, dimension)
        values.append(part(value if isinstance(value, str) else canonical_json(value).decode()))
    name, waits = "/".join([named, *values]), limit.when_exceeded == "wait"
    found: list[Limit] = []
    if limit.rate is not None:
        rate = limit.rate
        burst = rate.count if rate.burst is None else rate.burst
        found.append(Limit(f"rate/{name}", "rate", 1, burst, rate.seconds / rate.count, waits))
    if limit.places is not None:
        found.append(Limit(f"places/{name}", "concurrency", 1, limit.places, waits=waits))
    return found


def _of_budget(budget: Budget, name: str, at: int, cost: float) -> Limit:
    account = f"budget/{budget.scope}/{part(name)}/{period_of(budget.period, at)}"
    return Limit(account, "budget", millionths(cost), millionths(budget.cents), waits=budget.when_exceeded == "wait")


def period_of(period: str, at: int) -> str:
    """How an account names the period that the time `at` (microseconds since the epoch) lies in."""
    if period == "total":
        return period
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m" if period == "month" else "%Y-%m-%d")
