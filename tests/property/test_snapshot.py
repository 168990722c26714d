"""A checkpoint holds a run's whole state: with the events after it, it gives what all events give."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.core.canonical import canonical_json, decode
from refold.core.errors import IntegrityError
from refold.core.events import Event
from refold.core.limits import Limits
from refold.core.snapshot import outputs, restore, snapshot
from refold.core.state import evolve, fold
from refold.eventstore.codec import decode as decode_event
from refold.projections.checkpoints import status_of
from refold.tests.support.checkpointed import check_every_prefix
from refold.tests.support.histories import History, histories
from refold.tests.support.random_specs import random_spec
from refold.tests.support.simulated import simulate
from refold.tests.support.states import slots_of

EVERY_HISTORY = pytest.mark.parametrize("history", histories(), ids=lambda history: history.name)


def events_of(history: History) -> list[Event]:
    return [decode_event(record, history.large) for record in history.records[history.stream]]


@EVERY_HISTORY
def test_every_prefix_of_a_recorded_run_comes_back_and_goes_on(history: History) -> None:
    check_every_prefix(events_of(history))


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(0, 2**53 - 1), st.integers(1, 5))
def test_every_prefix_of_a_random_run_comes_back_and_goes_on(random: Random, seed: int, parallel: int) -> None:
    _, events = simulate(random_spec(random), seed, random, Limits(parallel_steps=parallel))
    check_every_prefix(events)


@EVERY_HISTORY
def test_a_snapshot_survives_canonical_json(history: History) -> None:
    state = fold(events_of(history))
    told, given = (decode(canonical_json(part)) for part in (snapshot(state), outputs(state)))
    assert (told, given) == (snapshot(state), outputs(state))
    assert slots_of(restore(told, given)) == slots_of(state)


@EVERY_HISTORY
def test_a_restored_state_shares_nothing_that_changes(history: History) -> None:
    events = events_of(history)
    for version in range(1, len(events)):
        state = fold(events[:version])
        told = snapshot(state)
        before = canonical_json(told)
        evolve(restore(told, outputs(state)), events[version])
        evolve(state, events[version])
        assert canonical_json(told) == before


@pytest.mark.parametrize("broken", [{}, {"format": 2}, {"format": 1, "started": None}])
def test_what_is_no_snapshot_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="snapshot"):
        restore(broken, {})


def test_a_snapshot_with_any_part_missing_is_refused() -> None:
    state = fold(events_of(histories()[0]))
    for part in snapshot(state):
        told = {name: value for name, value in snapshot(state).items() if name != part}
        with pytest.raises(IntegrityError, match="cannot be read"):
            restore(told, outputs(state))


@EVERY_HISTORY
def test_every_status_is_one_of_four(history: History) -> None:
    events = events_of(history)
    for version in range(1, len(events) + 1):
        state = fold(events[:version])
        assert status_of(state) in ("running", "completed", "failed", "paused")
    wanted = {"cancelled": "failed", "timed_out": "failed", "parked": "paused"}
    assert status_of(fold(events)) == wanted.get(history.status, history.status)
