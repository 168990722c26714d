"""What the steps of a plan declare together with their skills, for those who look ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plan import Plan, PlannedStep
from ..sandbox.effects import decided_by, has_effect
from ..simulation.facts import StepFacts
from ..skills.waiting import sleep
from .pricing import cost_of, retry_policy, time_limit
from .registry import SkillRegistry


def facts_of(plan: Plan, skills: SkillRegistry) -> list[StepFacts]:
    """The facts of each step, by index."""
    inputs = {step.step_id: step.inputs for step in plan.spec.steps}
    return [_facts(step, inputs[step.step_id], skills) for step in plan.steps]


def _facts(step: PlannedStep, inputs: Mapping[str, Any], skills: SkillRegistry) -> StepFacts:
    skill = skills.find(step.skill_id)
    priced = (skill is not None and skill.cost_cents is not None) or step.estimated_cost_cents is not None
    return StepFacts(
        known=skill is not None,
        cents=cost_of(step, skill),
        priced=priced or (skill is not None and skill.deterministic),
        retry=retry_policy(step, skill),
        timeout_seconds=time_limit(step, skill),
        side_effect=skill is not None and skill.side_effect,
        effect=None if skill is None else _effect(step.skill_id, skill.side_effect, inputs),
        pause_seconds=_pause(inputs) if skill is sleep else None,
    )


def _effect(skill_id: str, declared: bool, inputs: Mapping[str, Any]) -> bool | None:
    given = inputs.get(decided_by(skill_id) or "")
    if declared and isinstance(given, str) and "${" in given:
        return None
    return has_effect(skill_id, declared, inputs)


def _pause(inputs: Mapping[str, Any]) -> float | None:
    seconds = inputs.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None
