"""Runs without any engine: the pure core, with outcomes made by hand."""

from __future__ import annotations

from random import Random

from refold.core.canonical import Payload
from refold.core.decide import decide
from refold.core.decision import outcome_hash, step_failed
from refold.core.errors import RefoldError
from refold.core.events import SEMANTICS, Event, RunStarted, StepAttemptFailed, StepCompleted
from refold.core.limits import Limits
from refold.core.plan import merge_inputs, plan_of
from refold.core.seeds import step_seed
from refold.core.spec import WorkflowSpec
from refold.core.spec_state import SpecState
from refold.core.state import evolve, start

from .oracle import SkillFailedError
from .random_specs import behave

RUN_ID = "r"
"""What the simulated run is called."""


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
