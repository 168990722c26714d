"""`simulate` and `evaluate_plan`: what a plan would do, asked without running anything. Nothing is appended.

simulation = simulate(spec, policy=policy, agent_id="ada", store=store)
simulation.status, simulation.cost.worst_cents, simulation.critical_path
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from ..core.errors import CallError, Problem
from ..core.events import ORIGINS
from ..core.ids import check_queue, check_tenant
from ..core.ledger import Account
from ..core.plan import Plan
from ..core.policy.document import Policy
from ..core.runtime.declared import facts_of
from ..core.runtime.policy_file import read_policy
from ..core.runtime.registry import SkillRegistry
from ..core.sandbox.planner import PlannerSandbox
from ..core.simulation.evaluate import Examined, examine
from ..core.simulation.facts import Circumstances, Records
from ..core.simulation.findings import PlanEvaluation
from ..core.simulation.simulate import Simulation, simulation_of
from ..core.spec import WorkflowSpec
from ..core.spec_problems import kind_of
from ..eventstore.store import Store
from .durations import recorded

Policies = Policy | str | Path | Mapping[str, Any] | Iterable[Policy]
"""A policy, its file or document, or several: that of the process and the run's own."""


def simulate(
    spec: WorkflowSpec | Mapping[str, Any] | object,
    *,
    policy: Policies = (),
    skills: SkillRegistry | None = None,
    inputs: Mapping[str, Any] | None = None,
    agent_id: str | None = None,
    tenant: str = "default",
    source: str = "",
    queue: str = "default",
    store: Store | None = None,
    at: int | None = None,
) -> Simulation:
    """What is known of a spec before it runs: cost, time, critical path, and what policies would refuse or delay.

    With a `store`, budgets and rates count as they stand, and durations come from recorded runs. With `skills`, a step
    whose skill is none of them makes the spec invalid; without, the ready ones are known. `at` is the time in µs since
    the epoch, else it is now. Raises CallError for a tenant, queue, source or policy that cannot be, StoreError.
    """
    asked = Question(skills, policy, inputs, agent_id, tenant, source, queue, store, at)
    return asked.simulate(spec)


def evaluate_plan(
    plan: WorkflowSpec | Mapping[str, Any] | object,
    *,
    policy: Policies = (),
    skills: SkillRegistry | None = None,
    inputs: Mapping[str, Any] | None = None,
    agent_id: str | None = None,
    tenant: str = "default",
    source: str = "planner",
    queue: str = "default",
    store: Store | None = None,
    at: int | None = None,
) -> PlanEvaluation:
    """Whether a plan would be allowed, and why not: the part of `simulate` that is about sandbox and policies."""
    asked = Question(skills, policy, inputs, agent_id, tenant, source, queue, store, at)
    return asked.examine(plan).evaluation


@dataclass(frozen=True)
class Question:
    """Under what plans are looked at; see `simulate`. Each look takes accounts as they stand then."""

    skills: SkillRegistry | None = None
    policy: Policies = ()
    inputs: Mapping[str, Any] | None = None
    agent_id: str | None = None
    tenant: str = "default"
    source: str = ""
    queue: str = "default"
    store: Store | None = None
    at: int | None = None
    sandbox: PlannerSandbox = field(default_factory=PlannerSandbox)

    def __post_init__(self) -> None:
        check_tenant(self.tenant)
        check_queue(self.queue)
        if self.source not in ORIGINS:
            fix = "leave it out, or give 'planner' for the plan of an untrusted planner"
            raise CallError(Problem("", f"there is no source {self.source[:100]!r}", fix))
        # Callers are users: the type is a promise, not a fact.
        if not isinstance(cast("object", self.inputs), Mapping | None):
            raise CallError(Problem("", f"inputs must be an object, not {kind_of(self.inputs)}", "give names"))

    def examine(self, plan: object) -> Examined:
        """What sandbox and policies say."""
        return self._examined(plan, self._where())

    def simulate(self, plan: object) -> Simulation:
        """That, and what it would cost and take."""
        where = self._where()
        examined = self._examined(plan, where)
        return simulation_of(examined, where, self._records(examined.plan))

    def _examined(self, plan: object, where: Circumstances) -> Examined:
        known = None if self.skills is None else self.skills.names()
        skills = SkillRegistry() if self.skills is None else self.skills
        declared = partial(facts_of, skills=skills)
        return examine(plan, declared, self._policies(), where, known_skills=known, sandbox=self.sandbox)

    def _policies(self) -> list[Policy]:
        given = self.policy
        if isinstance(given, Policy):
            return [given]
        if isinstance(given, str | Path):
            return [read_policy(Path(given))]
        return [Policy.parse(cast("object", given))] if isinstance(given, Mapping) else list(given)

    def _where(self) -> Circumstances:
        store, at = self.store, self.at
        if at is None:
            at = time.time_ns() // 1000 if store is None else store.tables.now()
        look = None if store is None else partial(_account, store)
        inputs = dict(self.inputs or {})
        return Circumstances(self.tenant, self.agent_id, self.source, self.queue, at, inputs, look)

    def _records(self, plan: Plan | None) -> Records:
        if self.store is None or plan is None:
            return Records()
        return recorded(self.store, self.tenant, plan.spec.workflow_type, {step.skill_id for step in plan.steps})


def _account(store: Store, name: str) -> Account | None:
    return next((each for each in store.ledger.accounts(name) if each.name == name), None)
