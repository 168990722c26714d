"""The fold of emergency stops: what is in force, and whom it covers."""

from __future__ import annotations

import pytest

from refold.core.checkpoint_events import CheckpointRefused
from refold.core.emergency import EVERYTHING, NO_STOPS, Scope, Stop, Stops
from refold.core.emergency_events import EmergencyReleased, EmergencyStopped
from refold.core.errors import IntegrityError
from refold.core.ports import HELD, NEVER, held_at
from refold.eventstore.dispatch import seconds_of


def stopped(kind: str = "global", name: str = "", running: str = "finish", reason: str = "") -> EmergencyStopped:
    return EmergencyStopped(1, kind, name, running, reason, "ada")


def released(kind: str = "global", name: str = "") -> EmergencyReleased:
    return EmergencyReleased(2, kind, name, "", "bob")


def test_nothing_is_stopped_at_first() -> None:
    assert not NO_STOPS and NO_STOPS.covers("t", "w", "q") is None and not NO_STOPS.closes("q")


def test_a_global_stop_covers_every_run() -> None:
    stops = Stops.of([stopped(reason="fire")])
    found = stops.covers("t", "w", "q")
    assert found == Stop(EVERYTHING, "finish", "fire", "ada", 1) and stops.closes("q")


@pytest.mark.parametrize(("kind", "closes"), [("tenant", False), ("workflow", False), ("queue", True)])
def test_a_scoped_stop_covers_its_own_only(kind: str, closes: bool) -> None:
    stops = Stops.of([stopped(kind, "x")])
    asked = {"tenant": "t", "workflow": "w", "queue": "q"}
    assert stops.covers(*asked.values()) is None
    assert stops.covers(*{**asked, kind: "x"}.values()) is not None
    assert stops.closes("x") is closes and not stops.closes("q")


def test_a_release_ends_its_own_scope_only() -> None:
    stops = Stops.of([stopped(), stopped("tenant", "t"), released()])
    assert [stop.scope for stop in stops.all()] == [Scope("tenant", "t")]
    assert (stops.version, stops.released) == (3, 3)
    assert not Stops.of([stopped(), released()])


def test_a_stop_enabled_again_is_as_it_was_enabled_last() -> None:
    stops = Stops.of([stopped(), stopped(running="cancel", reason="more")])
    (stop,) = stops.all()
    assert (stop.running, stop.reason) == ("cancel", "more") and stops.released == 0


def test_of_several_stops_one_that_cancels_comes_first_then_the_widest() -> None:
    events = [stopped("queue", "q"), stopped("tenant", "t"), stopped()]
    assert _covering(events) == EVERYTHING
    assert _covering([*events, stopped("queue", "q", "cancel")]) == Scope("queue", "q")


def _covering(events: list[EmergencyStopped]) -> Scope:
    stop = Stops.of(events).covers("t", "w", "q")
    assert stop is not None
    return stop.scope


def test_a_local_stop_is_beside_those_of_the_log_and_outlives_their_release() -> None:
    local = Stop(EVERYTHING, "finish", "file", "", 5, "file")
    stops = Stops.of([stopped()]).beside([local])
    assert [stop.source for stop in stops.all()] == ["log", "file"]
    assert stops.after(released()).all() == [local] and stops.after(released()).closes("q")


@pytest.mark.parametrize(
    "event",
    [
        released(),
        stopped("galaxy"),
        stopped("tenant", ""),
        stopped("global", "x"),
        stopped(running="explode"),
        CheckpointRefused(1, "t", "r", "no"),
    ],
    ids=str,
)
def test_what_cannot_follow_is_refused(event: EmergencyStopped) -> None:
    with pytest.raises(IntegrityError):
        NO_STOPS.after(event)


def test_due_times_of_what_is_held_back_keep_their_order_as_seconds_in_the_tables() -> None:
    times = [seconds_of(held_at(version)) for version in (0, 1, 2, 1_000_000)]
    assert times == sorted(set(times)) and seconds_of(HELD) == times[0] and times[-1] < seconds_of(NEVER)
