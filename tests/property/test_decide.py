"""The pure core against the oracle: whatever order steps end in, the run ends as serial execution would."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.core.decide import decide
from refold.core.limits import Limits
from refold.core.results import result_of
from refold.core.state import evolve, fold
from refold.tests.support.oracle import serial_run
from refold.tests.support.random_specs import behave, random_spec
from refold.tests.support.simulated import RUN_ID, begun, first_event, outcome, simulate
from refold.tests.support.states import slots_of


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
