"""Ceilings refuse the same steps whatever the order in which steps end: compared with a serial run of a few lines."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from refold import Limits, WorkflowSpec
from refold.core.canonical import Payload
from refold.core.decide import decide
from refold.core.decision import outcome_hash, step_failed
from refold.core.events import Event, StepAttemptFailed, StepCompleted
from refold.core.plan import Plan, compile_plan
from refold.core.policy.ceilings import Ceilings, Exceeded, Prices
from refold.core.run_state import FIRST
from refold.core.runtime.admission import first_event
from refold.core.spec_state import SpecState
from refold.core.state import evolve


@dataclass(frozen=True)
class Behaviour:
    """What an attempt of a step costs, how many it may make, and how many fail first."""

    cents: float
    attempts: int
    failing: int


@dataclass(frozen=True)
class Case:
    """A plan, and how its steps behave by the order of their names."""

    plan: Plan
    steps: dict[str, Behaviour]


PRICES = st.integers(0, 5) | st.sampled_from([0.1, 0.2, 0.7, 1.1, 1e-6])
"""Cents, also such as no binary fraction is."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 9))
    names = [f"s{number}" for number in range(count)]
    behaviours: dict[str, Behaviour] = {}
    steps: list[dict[str, object]] = []
    for number, name in enumerate(names):
        attempts = draw(st.integers(1, 3))
        behaviours[name] = Behaviour(draw(PRICES), attempts, draw(st.integers(0, attempts)))
        needs = draw(st.lists(st.sampled_from(names[:number]), unique=True, max_size=3)) if number else []
        on_error = draw(st.sampled_from(["abort", "continue", "skip"]))
        steps.append({"step_id": name, "skill_id": "work", "depends_on": needs, "on_error": on_error})
    ceilings = {
        name: value
        for name in ("workflow_ceiling_cents", "step_ceiling_cents")
        if (value := draw(st.none() | st.integers(0, 25) | st.sampled_from([0.3, 0.6, 2.1, 3.3]))) is not None
    }
    order = draw(st.permutations(steps))
    return Case(compile_plan(WorkflowSpec.parse({"workflow_type": "t", "steps": list(order), **ceilings})), behaviours)


Outcome = tuple[str, int, Fraction]
"""What became of a step, after how many attempts, for how much."""


def exact(cents: float) -> Fraction:
    """The amount that was meant: in decimals, as people write it."""
    return Fraction(f"{cents:.6f}")


def serially(case: Case) -> dict[str, Outcome]:
    """One step after the other by index, as far as the first that aborts; what runs beyond it does not count."""
    spec, found = case.plan.spec, dict[str, Outcome]()
    spent = Fraction()
    skipped: set[int] = set()
    for step in case.plan.steps:
        if step.index in skipped:
            found[step.step_id] = ("skipped", 0, Fraction())
            skipped.update(step.dependents)
            continue
        outcome = _alone(case.steps[step.step_id], spent, spec.workflow_ceiling_cents, spec.step_ceiling_cents)
        found[step.step_id] = outcome
        spent += outcome[2]
        if outcome[0] == "completed":
            continue
        if step.on_error == "abort":
            break
        if step.on_error == "skip":
            skipped.update(step.dependents)
    return found


def _alone(step: Behaviour, spent: Fraction, of_run: float | None, of_step: float | None) -> Outcome:
    own, cents = Fraction(), exact(step.cents)
    for attempt in range(1, step.attempts + 1):
        if of_step is not None and own + cents > exact(of_step):
            return "STEP_COST_CEILING", attempt, own
        if of_run is not None and spent + own + cents > exact(of_run):
            return "WORKFLOW_COST_CEILING", attempt, own
        own += cents
        if attempt > step.failing:
            return "completed", attempt, own
    return "BOOM", step.attempts, own


def in_some_order(case: Case, random: Random) -> dict[str, Outcome]:
    """As the engine does it: many at a time, ending in any order, with nothing but what the log would hold."""
    spec = case.plan.spec
    state = SpecState(first_event(spec, "r", 0, None, None, "default", skills=None, limits=Limits(), at=0), case.plan)
    behaviour = [case.steps[step.step_id] for step in case.plan.steps]
    ceilings = Ceilings(state, lambda index: Prices(behaviour[index].cents, behaviour[index].attempts))
    running: set[int] = set()
    while True:
        running = {index for index in running if state.abort_at is None or index <= state.abort_at}
        decision = decide(state, 0, running, Limits())
        wanted = sorted(int(execute.index) for execute in decision.execute)
        judged = dict(zip(wanted, ceilings.judge(state, wanted), strict=True))
        events: list[Event] = list(decision.events)
        if not events:
            for index, verdict in judged.items():
                if isinstance(verdict, Exceeded):
                    attempt = state.attempted.get(index, FIRST).attempt
                    step = case.plan.steps[index]
                    events.append(step_failed(state, 0, step, "", attempt, None, None, verdict.code, verdict.reason))
        if events:
            for event in events:
                evolve(state, event)
                if state.end is not None:
                    return _outcomes(case, state)
            continue
        running |= {index for index, verdict in judged.items() if verdict == "run"}
        assert running, f"nothing runs, and the run has not ended: {judged}"
        # Some have not even begun when others end: those whose turn comes late in this order.
        index = random.choice(sorted(running))
        running.discard(index)
        evolve(state, _ended(case, state, index, behaviour[index]))


def _ended(case: Case, state: SpecState, index: int, step: Behaviour) -> Event:
    planned, pending = case.plan.steps[index], state.attempted.get(index, FIRST)
    if pending.attempt > step.failing:
        return _completed(state, index, pending.attempt, step.cents)
    if pending.attempt < step.attempts:
        return StepAttemptFailed(
            0, index, planned.step_id, planned.skill_id, "1", pending.attempt, "BOOM", "", step.cents, 0
        )
    return step_failed(state, 0, planned, "1", pending.attempt, None, None, "BOOM", "", step.cents)


def _completed(state: SpecState, index: int, attempt: int, cents: float) -> StepCompleted:
    planned, empty = state.plan.steps[index], Payload.of({})
    hashed = outcome_hash(state, planned, empty.sha256, True, empty.sha256, None)
    named = (planned.step_id, planned.skill_id, "1")
    return StepCompleted(0, index, *named, attempt, None, empty.sha256, empty, empty.sha256, hashed, cents)


def _outcomes(case: Case, state: SpecState) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for index, outcome in enumerate(state.outcomes[: state.counted]):
        assert outcome is not None
        told = outcome.error_code if outcome.status == "failed" else outcome.status
        attempt = 0 if outcome.status == "skipped" else outcome.attempt
        found[case.plan.steps[index].step_id] = (str(told), attempt, exact(outcome.cost_cents))
    return found


@settings(max_examples=400, deadline=None)
@given(cases(), st.lists(st.integers(0, 2**32), min_size=3, max_size=3))
def test_the_same_steps_are_refused_for_the_same_reason_whatever_the_order(case: Case, seeds: list[int]) -> None:
    expected = serially(case)
    for seed in seeds:
        assert in_some_order(case, Random(seed)) == expected
