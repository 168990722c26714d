"""Policies as data: rules, limits and budgets, kept in a file of JSON or YAML under a name and a version.

policy: production
version: "3"
rules:
  - rule: no-raw-sql
    match: {skill: "run_sql*", source: planner}
    deny: plans do not write SQL
limits:
  - limit: model-calls
    match: {skill: ask_model}
    per: [tenant]
    rate: {count: 50, seconds: 60}
budgets:
  - {scope: agent, name: "*", cents: 700, period: day}
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field

from ..canonical import canonical_json
from ..errors import CallError, NotCanonicalError, Problem
from ..spec import MAX_CENTS, MAX_SECONDS
from ..spec_problems import NAME, STEP_ID, kind_of
from ..strict_model import StrictModel, each, made

MOST = 1_000
"""Rules, and budgets, of a policy, and patterns of a field: all are looked at before every attempt of any run."""
MOST_LIMITS = 100
"""Limits of a policy: an attempt may have to be granted all of them."""
Period = Literal["total", "month", "day"]
"""For how long a budget lasts before it begins anew, by the calendar of UTC."""
Dimension = Literal["tenant", "agent", "workflow", "skill", "queue", "key"]
"""By what a limit counts apart."""
WhenExceeded = Literal["wait", "fail"]
"""Whether a step for which there is not enough comes later, or fails."""


def _listed(value: Any) -> Any:
    """One text stands for a list of it."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]


_Name = Annotated[str, Field(pattern=NAME)]
_Text = Annotated[str, Field(min_length=1, max_length=500)]
_Pattern = Annotated[str, Field(min_length=1, max_length=200)]
_Patterns = Annotated[tuple[_Pattern, ...] | None, Field(min_length=1, max_length=MOST), BeforeValidator(_listed)]
_Cents = Annotated[float, Field(ge=0, le=MAX_CENTS, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]


class Match(StrictModel):
    """Which steps are meant: those for which every field given has a pattern that fits, `*` and `?` as in file names.

    What a run has not (an agent, say) fits no pattern but `*`.
    """

    skill: _Patterns = None
    """The step's skill."""
    step: _Patterns = None
    """The step's id."""
    agent: _Patterns = None
    """The run's agent."""
    tenant: _Patterns = None
    """The run's tenant."""
    workflow: _Patterns = None
    """The run's workflow type."""
    queue: _Patterns = None
    """The run's queue."""
    source: _Patterns = None
    """`planner` for plans of untrusted planners."""
    side_effect: bool | None = None
    """Whether the skill declares a side effect."""

    def __init__(self, /, **fields: Any) -> None:
        # In YAML a name with nothing after it is null: whoever forgot the pattern did not mean all steps.
        empty = [Problem(f"/{name}", "must not be null", "give a pattern") for name in fields if fields[name] is None]
        if empty:
            raise CallError(empty)
        super().__init__(**fields)


def _matched(value: Any) -> Any:
    if isinstance(value, Mapping) and not value:
        raise CallError(Problem("", "an empty match means all steps", "say which, or leave match out"))
    return made(Match, value)


_Match = Annotated[Match, BeforeValidator(_matched)]


_SAYING = ("deny", "allow_skills", "max_step_cents", "max_run_cents", "require_idempotency_key")


class Rule(StrictModel):
    """What steps that match may not do. At least one of the fields below `match` says something."""

    rule: _Name
    """Its name, told with every refusal."""
    match: _Match = Match()
    """The steps that it is for; without it, all."""
    deny: _Text | None = None
    """They may not run, for this reason."""
    allow_skills: _Patterns = None
    """They may run these skills and no others."""
    max_step_cents: _Cents | None = None
    """What a step may cost, all its attempts together."""
    max_run_cents: _Cents | None = None
    """What a run may have cost when the step has run."""
    require_idempotency_key: Literal[True] | None = None
    """Steps must declare an idempotency key, also those without side effects. Calls of functions always have one."""

    def __init__(self, /, **fields: Any) -> None:
        super().__init__(**fields)
        if all(getattr(self, name) is None for name in _SAYING):
            fix = "add deny, allow_skills, max_step_cents, max_run_cents or require_idempotency_key"
            raise CallError(Problem("", f"rule {self.rule!r} says nothing", fix))


class Rate(StrictModel):
    """So many steps in so many seconds, and how many at once after a pause."""

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    """Steps."""
    seconds: _Seconds = 1.0
    """In so many seconds."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many may begin at once when none did for a while; without it, `count`."""

    def __init__(self, /, **fields: Any) -> None:
        super().__init__(**fields)
        if (self.burst or self.count) / self.count * self.seconds > MAX_SECONDS:
            raise CallError(Problem("/burst", "so many come back in a hundred years only", "give a smaller one"))


class LimitRule(StrictModel):
    """How many of the steps that match may begin in a time, or run at a time."""

    limit: _Name
    """Its name; what is counted stands under it in the store."""
    match: _Match = Match()
    """The steps that it is for; without it, all."""
    per: Annotated[tuple[Dimension, ...], BeforeValidator(_listed)] = ()
    """By what is counted apart; without it, all together."""
    key: Annotated[str, Field(pattern=STEP_ID)] | None = None
    """With `key` among `per`: the name of the run's input whose value is the key."""
    rate: Annotated[Rate | None, each(Rate)] = None
    """How many may begin in a time."""
    places: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many may run at a time."""
    when_exceeded: WhenExceeded = "wait"
    """What becomes of a step that is too many."""

    def __init__(self, /, **fields: Any) -> None:
        super().__init__(**fields)
        if self.rate is None and self.places is None:
            raise CallError(Problem("", f"limit {self.limit!r} limits nothing", "add rate, places or both"))
        if len(set(self.per)) < len(self.per):
            raise CallError(Problem("/per", "something occurs twice", "remove one of them"))
        if (self.key is not None) != ("key" in self.per):
            raise CallError(Problem("/key", "`key` and `per: [key]` belong together", "give both or none"))


class Budget(StrictModel):
    """What the steps of an agent, a tenant or a workflow may cost in a period: each name has a budget of its own."""

    scope: Literal["agent", "tenant", "workflow"]
    """Whose it is."""
    name: _Pattern = "*"
    """Which agents, tenants or workflow types have it; where several of a scope fit that are for
    the same period, the first one counts."""
    cents: _Cents
    """How much."""
    period: Period = "total"
    """For how long."""
    when_exceeded: WhenExceeded = "fail"
    """What becomes of a step for which there is not enough: `wait` is for the next period, or a top-up."""


class Policy(StrictModel):
    """A whole policy. Raises CallError, with a pointer to each fault, for one that cannot be."""

    policy: _Name
    """Its name."""
    version: Annotated[_Name, Field(max_length=100)]
    """Its version: name and version stand for one content, for ever."""
    rules: Annotated[tuple[Annotated[Rule, each(Rule)], ...], Field(max_length=MOST), BeforeValidator(_listed)] = ()
    """In this order; the first that refuses decides."""
    limits: Annotated[
        tuple[Annotated[LimitRule, each(LimitRule)], ...], Field(max_length=MOST_LIMITS), BeforeValidator(_listed)
    ] = ()
    """All that match count."""
    budgets: Annotated[
        tuple[Annotated[Budget, each(Budget)], ...], Field(max_length=MOST), BeforeValidator(_listed)
    ] = ()
    """All that match count."""
    sandbox: Literal["planner", "all"] = "planner"
    """Which runs must pass the sandbox: those of planners, or all runs of specs."""

    def __init__(self, /, **fields: Any) -> None:
        super().__init__(**fields)
        for field, names in (
            ("rules", [rule.rule for rule in self.rules]),
            ("limits", [limit.limit for limit in self.limits]),
        ):
            seen: set[str] = set()
            for at, name in enumerate(names):
                if name in seen:
                    raise CallError(Problem(f"/{field}/{at}", f"the name {name!r} occurs twice", "choose another"))
                seen.add(name)
        self._check_budgets()

    def _check_budgets(self) -> None:
        """Raises CallError for a budget that never counts, because one before it has all that it is for."""
        taken: set[tuple[str, str, str]] = set()
        for at, budget in enumerate(self.budgets):
            if taken & {(budget.scope, budget.period, name) for name in (budget.name, "*")}:
                reason = f"it never counts: a budget before it is for every {budget.scope} that it is for"
                raise CallError(Problem(f"/budgets/{at}", reason, "put the narrower one first, or remove one"))
            taken.add((budget.scope, budget.period, budget.name))

    @classmethod
    def parse(cls, value: object) -> Self:
        """The policy that the decoded JSON or YAML `value` describes. Raises CallError."""
        if not isinstance(value, Mapping):
            raise CallError(Problem("", f"a policy must be an object, not {kind_of(value)}", "begin with policy"))
        return made(cls, value)

    @cached_property
    def canonical(self) -> bytes:
        """What was set of it, as canonical JSON (RFC 8785)."""
        try:
            return canonical_json(self.model_dump(mode="json", exclude_unset=True))
        except NotCanonicalError as error:
            raise CallError(error.problems) from None

    @property
    def sha256(self) -> str:
        """The hash of that, in lower-case hex."""
        return sha256(self.canonical).hexdigest()

    @cached_property
    def label(self) -> str:
        """`name#version@hash`, the hash cut to 16 digits: how events name it."""
        return f"{self.policy}#{self.version}@{self.sha256[:16]}"
