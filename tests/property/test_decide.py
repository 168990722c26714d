"""The pure core against the oracle: whatever order steps end in, the run ends as serial execution would."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.core.canonical import Payload
from refold.core.decide import decide
from refold.core.decision import outcome_hash, step_failed
from refold.core.errors import RefoldError
from refold.core.events import SEMANTICS, Event, RunStarted, StepAttemptFailed, StepCompleted
from refold.core.limits import Limits
from refold.core.plan import merge_inputs, plan_of
from refold.core.results import result_of
from refold.core.seeds import step_seed
from refold.core.spec import WorkflowSpec
from refold.core.spec_state import SpecState
from refold.core.state import evolve, fold, start
from refold.tests.support.oracle import SkillFailedError, serial_run
from refold.tests.support.random_specs import behave, random_spec
from refold.tests.support.states import slots_of

RUN_ID = "r"


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.integers(0, 2**53 - 1), st.integers(1, 5))
def test_any_order_of_completion_ends_as_the_serial_run(random: Random, seed: int, parallel: int) -> None:
    spec = random_spec(random)
    state, events = simulate(spec, seed, random, Limits(parallel_steps=parallel))
    expected = serial_run(spec, RUN_ID, seed, None, behave)
    result = result_of(state)
    assert (result.status, result.error_code, result.output) == (expected.status, expected.error_code, expected.output)
    assert result.step_hashes == expected.step_hashes
    assert result.workflow_hash == expected.workflow_hash
    assert {
        step.step_id: (step.status, step.output, step.error_code, step.attempts)
        for step in result.steps[: len(expected.steps)]
    } == expected.steps
    assert slots_of(fold(events)) == slots_of(state)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_lowest_abort_decides_even_if_higher_ones_are_recorded_after_it(order: tuple[int, ...]) -> None:
    fails = {1: "fatal", 2: "always", 3: "fatal"}
    spec: dict[str, object] = {
        "workflow_type": "random",
        "steps": [
            {"step_id": f"s{n}", "skill_id": "inline_work", "inputs": {"fails": fails.get(n, 0)}} for n in range(4)
        ],
    }
    state = begun(first_event(spec, 1))
    for index in order:
        evolve(state, outcome(state, index, 1, 1))
    (end,) = decide(state, 2, (), Limits()).events
    evolve(state, end)
    assert result_of(state).workflow_hash == serial_run(spec, RUN_ID, 1, None, behave).workflow_hash


def simulate(spec: dict[str, object], seed: int, random: Random, limits: Limits) -> tuple[SpecState, list[Event]]:
    """A run without any engine: what runs ends in random order, and now and then all that runs is forgotten."""
    first = first_event(spec, seed)
    state = begun(first)
    events: list[Event] = [first]
    running: dict[int, int] = {}
    at = 0
    while state.end is None:
        at += 1
        decision = decide(state, at, running, limits)
        while decision.events:
            for event in decision.events:
                evolve(state, event)
                events.append(event)
            decision = decide(state, at, running, limits)
        running.update({int(execute.index): execute.attempt for execute in decision.execute})
        assert len(running) <= limits.parallel_steps
        if state.end is not None:
            break
        if not running:
            assert decision.wake is not None, "nothing runs, and nothing ever will"
            at = max(at, decision.wake)
        elif random.random() > 0.9:
            running.clear()
        else:
            index = random.choice(sorted(running))
            event = outcome(state, index, running.pop(index), at)
            # The engine drops what comes in beyond an abort and stops what runs there; the rules must not need it to.
            if index < state.counted or random.random() > 0.5:
                evolve(state, event)
                events.append(event)
            if random.random() > 0.5:
                running = {index: attempt for index, attempt in running.items() if index < state.counted}
    return state, events


def first_event(spec: dict[str, object], seed: int) -> RunStarted:
    """What a run of `spec` begins with."""
    parsed = WorkflowSpec.parse(spec)
    inputs = Payload.of(merge_inputs(plan_of(parsed.canonical), None))
    return RunStarted(
        0,
        RUN_ID,
        "default",
        "random",
        "1",
        Payload.from_canonical(parsed.canonical),
        None,
        None,
        inputs,
        seed,
        None,
        SEMANTICS,
        "default",
        0,
        None,
        None,
        None,
    )


def begun(first: RunStarted) -> SpecState:
    """The state of a run that has just begun."""
    state = start(first)
    assert isinstance(state, SpecState)
    return state


def outcome(state: SpecState, index: int, attempt: int, at: int) -> Event:
    """The event that the engine would make of one attempt."""
    step = state.plan.steps[index]
    try:
        inputs = Payload.of(step.inputs.resolve(state))
    except RefoldError as error:
        return step_failed(state, at, step, "1", attempt, None, None, error.code, "")
    try:
        output = Payload.of(behave(step.skill_id, inputs.fresh(), step_seed(state.started.seed, index), attempt))
    except SkillFailedError as error:
        if error.again and attempt <= (step.max_retries or 0):
            name = (index, step.step_id, step.skill_id)
            return StepAttemptFailed(at, *name, "1", attempt, error.code, "", 0, at + 1000)
        return step_failed(state, at, step, "1", attempt, None, inputs.sha256, error.code, "")
    hashed = outcome_hash(state, step, inputs.sha256, True, output.sha256, None)
    return StepCompleted(
        at, index, step.step_id, step.skill_id, "1", attempt, None, inputs.sha256, output, output.sha256, hashed, 0
    )
