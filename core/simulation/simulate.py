"""A plan played through without running anything: what it costs, how long it takes, what stands in its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

from ..limits import Limits
from ..plan import Plan
from .evaluate import Examined
from .facts import Circumstances, Records, StepFacts
from .findings import Outlook, PlanEvaluation
from .judging import Judged
from .shape import depths, longest_path, widest
from .timing import Slot, play

TimeSource = Literal["step", "skill", "pause", "timeout", "unknown"]
"""Where a step's duration comes from: runs of this workflow, other runs of its skill, its own inputs, its time-out
(so it is rather too long), or nowhere: it then counts as 0."""


@dataclass(frozen=True, slots=True)
class SimulatedStep:
    """A step as it would go. Costs are in cents, times in seconds from the start of the run.

    `cost_cents` is what is expected, `worst_cents` if all its `attempts` are needed. `duration_seconds` is None where
    nothing is known of it. `level` counts the steps that must end before it. `outlook` is the worst that policies say
    of it, None if nothing. `held_up_by` names the account that makes it wait.
    """

    index: int
    step_id: str
    skill_id: str
    level: int
    attempts: int
    cost_cents: float
    worst_cents: float
    duration_seconds: float | None
    time_source: TimeSource
    samples: int
    start_seconds: float
    end_seconds: float
    critical: bool
    held_up_by: str
    outlook: Outlook | None

    def to_json(self) -> dict[str, Any]:
        """The step as a JSON value."""
        return {name: getattr(self, name) for name in self.__slots__}


class CostEstimate(NamedTuple):
    """Cents: what is expected, what it is if every retry is needed, and of how many steps nobody says what they cost
    (they count as 0)."""

    expected_cents: float
    worst_cents: float
    unpriced_steps: int


class TimeEstimate(NamedTuple):
    """Seconds: what is expected, what it is if every step is as slow as one in twenty was, and the longest that time
    limits allow (None if a step has none; waiting for rates and places does not count).

    `without_limits_seconds` is what would be expected if no rate and no place held anything up. Of `unknown_steps`
    steps nothing is known: then all but the longest are too short.
    """

    expected_seconds: float
    slow_seconds: float
    longest_seconds: float | None
    without_limits_seconds: float
    unknown_steps: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What can be said of a plan before it runs.

    `critical_path` names the steps that decide how long it takes, `widest` is how many steps could run side by side,
    `levels` how many must run one after the other, `recorded_runs` how many runs the durations are from. Of what is
    no plan there is only the `evaluation`.
    """

    workflow_type: str
    version: str
    spec_hash: str
    evaluation: PlanEvaluation
    steps: tuple[SimulatedStep, ...]
    cost: CostEstimate
    time: TimeEstimate
    critical_path: tuple[str, ...]
    levels: int
    widest: int
    recorded_runs: int

    @classmethod
    def of_nothing(cls, evaluation: PlanEvaluation) -> Self:
        """That of what is no plan."""
        return cls("", "", "", evaluation, (), CostEstimate(0, 0, 0), TimeEstimate(0, 0, None, 0, 0), (), 0, 0, 0)

    @property
    def status(self) -> str:
        """That of the evaluation."""
        return self.evaluation.status

    def to_json(self) -> dict[str, Any]:
        """The simulation as a JSON value."""
        return {
            "status": self.status,
            "workflow_type": self.workflow_type,
            "version": self.version,
            "spec_hash": self.spec_hash,
            "cost": self.cost._asdict(),
            "time": self.time._asdict(),
            "critical_path": list(self.critical_path),
            "levels": self.levels,
            "widest": self.widest,
            "recorded_runs": self.recorded_runs,
            "steps": [step.to_json() for step in self.steps],
            "evaluation": self.evaluation.to_json(),
        }


class _Took(NamedTuple):
    expected: float | None
    slow: float
    source: TimeSource
    samples: int
    attempts: float


def simulation_of(examined: Examined, where: Circumstances, records: Records) -> Simulation:
    """The simulation of a plan that was examined."""
    evaluation, plan, facts, judged = examined
    if plan is None or judged is None:
        return Simulation.of_nothing(evaluation)
    took = [_took(step.step_id, step.skill_id, each, records) for step, each in zip(plan.steps, facts, strict=True)]
    expected, slow = [each.expected or 0.0 for each in took], [each.slow for each in took]
    slots = _played(plan, expected, judged, where)
    path = longest_path(plan, expected)
    deep = depths(plan)
    return Simulation(
        plan.spec.workflow_type,
        plan.spec.version,
        plan.spec.sha256,
        evaluation,
        _steps(plan, facts, took, slots, judged, deep, frozenset(path)),
        CostEstimate(
            sum(each.cents * one.attempts for each, one in zip(facts, took, strict=True)),
            sum(each.cents * each.retry.max_attempts for each in facts),
            sum(not each.priced for each in facts),
        ),
        TimeEstimate(
            max(slot.end for slot in slots),
            max(slot.end for slot in _played(plan, slow, judged, where)),
            _longest(plan, facts),
            max(slot.end for slot in play(plan, expected, [()] * len(took), {}, 0, Limits().parallel_steps)),
            sum(each.expected is None for each in took),
        ),
        tuple(plan.steps[index].step_id for index in path),
        max(deep) + 1,
        widest(deep),
        records.runs,
    )


def _took(step_id: str, skill_id: str, facts: StepFacts, records: Records) -> _Took:
    """How long the step takes, by the best that is known."""
    sample = records.by_step.get(step_id)
    attempts = 1.0 if sample is None else sample.attempts
    if facts.pause_seconds is not None:
        return _Took(facts.pause_seconds, facts.pause_seconds, "pause", 0, attempts)
    if sample is not None:
        return _Took(sample.median, sample.slow, "step", sample.size, attempts)
    sample = records.by_skill.get(skill_id)
    if sample is not None:
        return _Took(sample.median, sample.slow, "skill", sample.size, attempts)
    if facts.timeout_seconds is not None:
        return _Took(facts.timeout_seconds, facts.timeout_seconds, "timeout", 0, attempts)
    return _Took(None, 0.0, "unknown", 0, attempts)


def _played(plan: Plan, seconds: Sequence[float], judged: Judged, where: Circumstances) -> list[Slot]:
    return play(plan, seconds, judged.limits, judged.known, where.at, Limits().parallel_steps)


def _longest(plan: Plan, facts: Sequence[StepFacts]) -> float | None:
    """The longest that the time-outs allow: of the steps on the way, or the run's own."""
    seconds = [each.longest_seconds for each in facts]
    known = [each for each in seconds if each is not None]
    longest = sum(known[index] for index in longest_path(plan, known)) if len(known) == len(seconds) else None
    own = plan.spec.timeout_seconds
    return longest if own is None else own if longest is None else min(own, longest)


def _steps(
    plan: Plan,
    facts: Sequence[StepFacts],
    took: Sequence[_Took],
    slots: Sequence[Slot],
    judged: Judged,
    deep: Sequence[int],
    critical: frozenset[int],
) -> tuple[SimulatedStep, ...]:
    return tuple(
        SimulatedStep(
            step.index,
            step.step_id,
            step.skill_id,
            deep[step.index],
            declared.retry.max_attempts,
            declared.cents * one.attempts,
            declared.cents * declared.retry.max_attempts,
            one.expected,
            one.source,
            one.samples,
            slot.start,
            slot.end,
            step.index in critical,
            slot.held_up_by,
            outlook,
        )
        for step, declared, one, slot, outlook in zip(plan.steps, facts, took, slots, judged.outlooks, strict=True)
    )
