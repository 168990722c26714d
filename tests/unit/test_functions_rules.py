"""The pure rules under workflow functions: paths, lengths of time, needs, messages, and letters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from refold import CallError
from refold.core.canonical import Payload
from refold.core.durations import MAX_SECONDS, seconds_of
from refold.core.errors import IntegrityError
from refold.core.events import (
    ChildEnded,
    MessageRefused,
    MessageSent,
    RunCancelled,
    RunCancelling,
    RunContinued,
    RunPaused,
    SignalReceived,
)
from refold.core.inbox import CONTINUED, take
from refold.core.needs import Offer, needs_of_code, needs_of_spec
from refold.core.paths import is_path, join, order_of, step_id_of
from refold.core.runtime.relations import forwarded, handover, letters
from refold.core.state import evolve, start
from refold.tests.support.units import started


def function_run(**fields: Any) -> Any:
    """The state of a function's run that has just begun."""
    from dataclasses import replace

    return start(replace(started("r"), spec=None, **fields))


def message(kind: str, name: str = "", body: Any = None, reason: str = "") -> MessageSent:
    return MessageSent(5, kind, "key", reason, name, Payload.of(body))


@pytest.mark.parametrize("text", ["0", "10", "2.1.0", "0.0.0.0.0", "9999999999"])
def test_paths_are_numbers_with_points(text: str) -> None:
    assert is_path(text)


@pytest.mark.parametrize(
    "text", ["", ".", "01", "1.", ".1", "1..2", "-1", "1.x", "1\n", "12345678901", "\u0661", 3, None]
)
def test_all_else_is_no_path(text: Any) -> None:
    assert not is_path(text)


def test_paths_are_sorted_number_by_number() -> None:
    assert sorted(["10", "9", "2.10.0", "2.9.0", "2"], key=order_of) == ["2", "2.9.0", "2.10.0", "9", "10"]
    assert (join("", 3), join("2.1", 0), step_id_of("pay", "2.1.0")) == ("3", "2.1.0", "pay#2.1.0")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90s", 90),
        ("1h30m", 5400),
        ("2d", 172800),
        ("250ms", 0.25),
        (timedelta(minutes=2), 120),
        ("1w", 604800),
        (0, 0),
        (MAX_SECONDS, MAX_SECONDS),
    ],
)
def test_lengths_of_time_are_read_as_people_write_them(given: Any, seconds: float) -> None:
    assert seconds_of(given) == seconds


@pytest.mark.parametrize(
    "given",
    [
        "",
        "90",
        "s",
        "1h 30m",
        "-1s",
        "1y",
        "1e3s",
        "١s",
        -1,
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        10**400,
        MAX_SECONDS + 1,
        timedelta(days=-1),
        "9999999999w",
        "1s\n",
    ],
)
def test_what_is_no_length_of_time_is_refused_with_a_fix(given: Any) -> None:
    with pytest.raises(CallError, match=r"is no length of time.*90s"):
        seconds_of(given)


def test_a_worker_serves_what_it_has_all_of_and_pins_count_for_their_type_only() -> None:
    offer = Offer(frozenset({"echo"}), frozenset({"order"}), {"order": frozenset({"2"})})
    assert offer.serves(needs_of_code("order", "2")) and not offer.serves(needs_of_code("order", "1"))
    assert not offer.serves(needs_of_code("other", "2"))
    assert offer.serves(needs_of_spec("any", "1", ["echo"])) and not offer.serves(needs_of_spec("order", "1", ["echo"]))
    assert offer.lacking(needs_of_spec("any", "1", ["echo", "pay"])) == ["pay"]
    assert offer.serves(needs_of_code("order", "")), "any version"


def test_a_function_is_asked_to_stop_once_and_terminated_always() -> None:
    state = function_run()
    evolve(state, RunPaused(1, 1, ""))
    asked = take(state, 5, 2, message("cancel", reason="why"))
    assert asked == RunCancelling(5, 2, "why")
    evolve(state, asked)
    assert not state.paused, "its clean-up must be able to run"
    assert isinstance(take(state, 6, 3, message("cancel")), MessageRefused)
    assert isinstance(take(state, 6, 3, message("terminate")), RunCancelled)


def test_signals_and_news_of_children_are_taken_as_they_are() -> None:
    state = function_run()
    assert take(state, 5, 1, message("signal", "go", 3)) == SignalReceived(5, 1, "go", Payload.of(3))
    told = {"status": "failed", "output": None, "error_code": "X"}
    assert isinstance(take(state, 5, 1, message("child", "c", told)), ChildEnded)
    for lie in (None, [], {}, {**told, "status": 3}, {**told, "error_code": 3}):
        with pytest.raises(IntegrityError):
            take(state, 5, 1, message("child", "c", lie))
    assert take(state, 5, 1, message("resume")) == MessageRefused(5, 1, "resume while the run is running")


def test_a_run_that_is_continued_leaves_its_signals_and_closes_its_inbox() -> None:
    state = function_run()
    for number, name in enumerate(("b", "a", "b"), 1):
        evolve(state, SignalReceived(number, number, name, Payload.of(number)))
    assert handover(state) is None
    evolve(state, RunContinued(9, "r~c2", "", 0))
    left = handover(state)
    assert left is not None and (left.stream, left.successor, left.taken) == ("default/r", "default/r~c2", 3)
    assert [(each.name, each.body.value) for each in left.carried] == [("a", 2), ("b", 1), ("b", 3)]
    assert left.closing.kind == CONTINUED and forwarded("default/r", left.closing) == "default/r~c2"
    assert forwarded("default/r", message("signal")) is None and forwarded("default/r", None) is None
    assert letters(state, ["child"], [RunContinued(9, "r~c2", "", 0)])[0].stream == "default/child"
