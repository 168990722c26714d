"""A policy in plain words, for people to see that it says what they meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .document import Budget, LimitRule, Match, Policy, Rule

_PLURAL = {
    "skill": "whose skill is",
    "step": "called",
    "agent": "of agent",
    "tenant": "of tenant",
    "workflow": "of workflow",
    "queue": "on queue",
    "source": "from",
}


def sentences(policy: Policy) -> Iterator[str]:
    """What the policy says, a sentence each, in the order of the document."""
    for rule in policy.rules:
        yield from rule_sentences(rule)
    for limit in policy.limits:
        yield limit_sentence(limit)
    for budget in policy.budgets:
        yield budget_sentence(budget)
    runs = "all runs of specs" if policy.sandbox == "all" else "the plans of planners"
    yield f"sandbox: {runs} must pass it"


def rule_sentences(rule: Rule) -> Iterator[str]:
    """What a rule says, a sentence for each of its fields."""
    whom, name = _whom(rule.match), f"rule {rule.rule}"
    if rule.deny is not None:
        yield f"{name}: {whom} may not run: {rule.deny}"
    if rule.allow_skills is not None:
        yield f"{name}: {whom} may run no skill but {_or(rule.allow_skills)}"
    if rule.require_idempotency_key:
        yield f"{name}: {whom} must declare an idempotency key"
    if rule.max_step_cents is not None:
        yield f"{name}: {whom} may cost at most {rule.max_step_cents:g} cents each, all attempts together"
    if rule.max_run_cents is not None:
        yield f"{name}: {whom} may bring what their run costs to at most {rule.max_run_cents:g} cents"


def limit_sentence(limit: LimitRule) -> str:
    """What a limit says."""
    parts: list[str] = []
    if limit.rate is not None:
        rate = limit.rate
        burst = "" if rate.burst is None else f" (at once at most {rate.burst})"
        parts.append(f"{rate.count} may begin in {rate.seconds:g} s{burst}")
    if limit.places is not None:
        parts.append(f"{limit.places} may run at a time")
    per = [f"input {limit.key}" if each == "key" else each for each in limit.per]
    apart = f", counted for each {' and '.join(per)} apart" if per else ""
    then = "wait" if limit.when_exceeded == "wait" else "fail"
    return f"limit {limit.limit}: of {_whom(limit.match)} {' and '.join(parts)}{apart}; further ones {then}"


def budget_sentence(budget: Budget) -> str:
    """What a budget says."""
    whose = f"each {budget.scope}" if budget.name == "*" else f"{budget.scope} {budget.name}"
    period = "in all" if budget.period == "total" else f"a {budget.period}"
    then = "wait" if budget.when_exceeded == "wait" else "fail"
    return f"budget: the steps of {whose} may cost {budget.cents:g} cents {period}; steps beyond that {then}"


def _whom(match: Match) -> str:
    told = [f"{words} {_or(getattr(match, name))}" for name, words in _PLURAL.items() if getattr(match, name)]
    if match.side_effect is not None:
        told.append("with a side effect" if match.side_effect else "without a side effect")
    return f"steps {' and '.join(told)}" if told else "all steps"


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)
