"""A checkpoint holds a run's whole state: with the events after it, it gives what all events give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.core.canonical import MAX_DEPTH, Payload, composed, decode
from refold.core.errors import IntegrityError
from refold.core.events import Event, RunStarted, StepCompleted
from refold.core.limits import Limits
from refold.core.snapshot import outputs, restore, snapshot, start_text
from refold.core.state import evolve, fold
from refold.eventstore.codec import decode as decode_event
from refold.projections.checkpoints import state_of, status_of
from refold.tests.support.checkpointed import check_every_prefix, plain, stored
from refold.tests.support.histories import History, histories
from refold.tests.support.random_specs import random_spec
from refold.tests.support.simulated import simulate
from refold.tests.support.states import slots_of
from refold.tests.support.units import started

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
    told, given = (decode(composed(part)) for part in (snapshot(state), outputs(state)))
    assert (told, given) == (plain(snapshot(state)), plain(outputs(state)))
    assert slots_of(restore(told, given)) == slots_of(state)


@EVERY_HISTORY
def test_a_restored_state_shares_nothing_that_changes(history: History) -> None:
    events = events_of(history)
    for version in range(1, len(events)):
        state = fold(events[:version])
        told = snapshot(state)
        before = composed(told)
        evolve(restore(plain(told), plain(outputs(state))), events[version])
        evolve(state, events[version])
        assert composed(told) == before


@pytest.mark.parametrize("broken", [{}, {"format": 2}, {"format": 1, "started": None}])
def test_what_is_no_snapshot_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="snapshot"):
        restore(broken, {})


def test_a_snapshot_with_any_part_missing_is_refused() -> None:
    state = fold(events_of(histories()[0]))
    whole = plain(snapshot(state))
    for part in whole:
        told = {name: value for name, value in whole.items() if name != part}
        with pytest.raises(IntegrityError, match="cannot be read"):
            restore(told, outputs(state))


@EVERY_HISTORY
def test_every_status_is_one_of_four(history: History) -> None:
    events = events_of(history)
    for version in range(1, len(events) + 1):
        state = fold(events[:version])
        assert status_of(state) in ("running", "completed", "failed", "paused")
    wanted = {"cancelled": "failed", "timed_out": "failed", "rejected": "failed", "parked": "paused"}
    assert status_of(fold(events)) == wanted.get(history.status, history.status)


def _completed(output: Any) -> StepCompleted:
    payload = Payload.of(output)
    return StepCompleted(2, 0, "a", "echo", "1", 1, None, "", payload, payload.sha256, "", 0.5)


def test_a_run_with_an_output_as_deep_as_may_be_has_a_checkpoint() -> None:
    deep: Any = 0
    for _ in range(MAX_DEPTH):
        deep = [deep]
    state = fold([started("r"), _completed(deep)])
    restored = state_of(stored(state, 2))
    assert slots_of(restored) == slots_of(state)


@EVERY_HISTORY
def test_a_first_event_that_an_attribute_repeats_is_not_taken_for_the_first_event(history: History) -> None:
    events = events_of(history)
    state = fold(events[:1])
    state.attributes = {"started": decode(start_text(state.started))}
    checkpoint = stored(state, 1)
    assert slots_of(state_of(checkpoint, checked_start(events))) == slots_of(state)
    other = replace(checked_start(events), seed=8)
    with pytest.raises(IntegrityError, match="began otherwise"):
        state_of(checkpoint, other)


def checked_start(events: Sequence[Event]) -> RunStarted:
    first = events[0]
    assert isinstance(first, RunStarted)
    return first
