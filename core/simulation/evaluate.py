"""Whether a plan would be allowed: what is wrong with it, what the sandbox says, and what policies say of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..errors import InvalidError, Problem
from ..plan import Plan, compile_plan
from ..policy.document import Policy
from ..policy.enforcer import PolicyEnforcer
from ..sandbox.planner import PlannerSandbox
from ..spec import WorkflowSpec, check_skills
from .facts import Circumstances, StepFacts
from .findings import PlanEvaluation
from .judging import Judged, judge

Declared = Callable[[Plan], Sequence[StepFacts]]
"""Says what the steps of a plan declare."""


class Examined(NamedTuple):
    """An evaluation and what led to it: the plan, what its steps declare and what was found; None of what is no
    plan."""

    evaluation: PlanEvaluation
    plan: Plan | None = None
    facts: Sequence[StepFacts] = ()
    judged: Judged | None = None


def examine(
    document: WorkflowSpec | object,
    declared: Declared,
    policies: Sequence[Policy],
    where: Circumstances,
    *,
    known_skills: Sequence[str] | None = None,
    sandbox: PlannerSandbox | None = None,
) -> Examined:
    """Judge a spec, or the decoded JSON of one. Nothing in it makes this raise.

    With `known_skills` a step whose skill is none of them is a fault. `where.inputs` are laid over the plan's own.
    """
    sandboxed = where.source == "planner" or any(policy.sandbox == "all" for policy in policies)
    judge_of_plans, labels = sandbox or PlannerSandbox(), tuple(policy.label for policy in policies)
    try:
        spec = WorkflowSpec.parse(document)
        plan = compile_plan(spec)
    except InvalidError as error:
        report = judge_of_plans.validate(document)
        return Examined(PlanEvaluation("invalid", error.problems, (), (), report, sandboxed, labels))
    inputs = {**spec.inputs, **where.inputs}
    report = judge_of_plans.validate({**spec.to_json(), "inputs": inputs} if inputs else spec)
    problems = [] if known_skills is None else check_skills(spec, known_skills)
    facts = declared(plan)
    judged = judge(plan, facts, PolicyEnforcer(policies), replace(where, inputs=inputs))
    refused = (sandboxed and not report.valid) or any(each.outlook == "refused" for each in judged.findings)
    evaluation = PlanEvaluation(
        "invalid" if problems else "refused" if refused else "allowed",
        tuple(problems),
        judged.findings,
        judged.accounts,
        report,
        sandboxed,
        labels,
        _unknown(plan, facts),
        _missing(plan, inputs),
    )
    return Examined(evaluation, plan, facts, judged)


def _unknown(plan: Plan, facts: Sequence[StepFacts]) -> tuple[str, ...]:
    return tuple(sorted({step.skill_id for step, each in zip(plan.steps, facts, strict=True) if not each.known}))


def _missing(plan: Plan, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in plan.required_inputs if name not in inputs)


def unreadable(problems: Sequence[Problem]) -> PlanEvaluation:
    """The evaluation of a text that cannot even be read, for these reasons."""
    return PlanEvaluation("invalid", tuple(problems), (), (), PlannerSandbox().validate(None), False, ())
