"""The ready-made skills that compute and wait."""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.core.canonical import canonical_json
from refold.core.errors import Failure
from refold.core.runtime.context import StepContext
from refold.core.runtime.payloads import output_of
from refold.core.runtime.wait import Wait
from refold.core.seeds import MAX_SEED, step_seed
from refold.core.skills.basic import echo, hash_inputs, random_value, transform
from refold.core.skills.expressions import ExpressionError, evaluate
from refold.core.skills.library import ready_skills
from refold.core.skills.waiting import sleep, wait_signal


def _context(seed: int) -> StepContext:
    return StepContext("r1", "s1", 0, seed, 1, "r1:s1", {})


def _run(skill: Any, inputs: dict[str, Any], seed: int = 0) -> Any:
    return output_of(skill(**skill.bind(canonical_json(inputs), _context(seed)))).value


def test_the_library_declares_what_replay_and_policies_need() -> None:
    declared = {s.skill_id: (s.deterministic, s.side_effect, s.inline, s.is_async) for s in ready_skills()}
    computes, waits = (True, False, True, False), (False, False, True, False)
    assert declared == {
        "echo": computes,
        "hash": computes,
        "random": computes,
        "transform": computes,
        "sleep": waits,
        "wait_signal": waits,
        "approval": waits,
        "run_workflow": waits,
        "http_call": (False, True, False, True),
        "file_write": (False, True, False, False),
    }


@pytest.mark.parametrize("inputs", [{}, {"a": 1}, {"context": 1, "inputs": {"n": None}}, {"big": 1e17}])
def test_echo_returns_its_inputs(inputs: dict[str, Any]) -> None:
    assert _run(echo, inputs) == inputs


def test_hash_is_that_of_the_canonical_json_of_the_inputs() -> None:
    expected = hashlib.sha256(b'{"a":1,"b":"\xc3\xbc"}').hexdigest()
    assert _run(hash_inputs, {"b": "ü", "a": 1.0}) == {"sha256": expected}


def test_random_follows_from_the_seed_alone() -> None:
    assert _run(random_value, {}, seed=2**52) == {"value": 0.5}
    assert _run(random_value, {}, seed=0) == {"value": 0}
    assert _run(random_value, {}, seed=MAX_SEED)["value"] < 1
    seed = step_seed(7, 3)
    assert _run(random_value, {}, seed) == _run(random_value, {}, seed) != _run(random_value, {}, step_seed(7, 4))


def test_random_takes_no_inputs_that_it_would_ignore() -> None:
    with pytest.raises(Failure, match="input 'max' is unknown"):
        _run(random_value, {"max": 10})


@pytest.mark.parametrize(
    ("expression", "inputs", "value"),
    [
        ("a.b[0]", {"a": {"b": [7]}}, 7),
        (
            "people[?age > `30`].name | sort(@)",
            {"people": [{"name": "B", "age": 31}, {"name": "A", "age": 40}]},
            ["A", "B"],
        ),
        ("{total: sum(n), text: join('-', t)}", {"n": [1, 2.5], "t": ["x", "y"]}, {"total": 3.5, "text": "x-y"}),
        ("nothing.here", {}, None),
        ("n[::-1]", {"n": [1, 2, 3]}, [3, 2, 1]),
        ("map(&[@, @], n)", {"n": [1]}, [[1, 1]]),
        ("expression", {}, None),
    ],
)
def test_transform_evaluates_jmespath_over_the_other_inputs(
    expression: str, inputs: dict[str, Any], value: Any
) -> None:
    assert _run(transform, {"expression": expression, **inputs}) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("a..b", "is wrong"),
        ("", "is wrong"),
        ("nope(@)", "is wrong|does not fit"),
        ("abs('x')", "does not fit"),
        ("n[::0]", "does not fit"),
        ("sort(@)", "does not fit"),
        ("a" * 4_097, "4097 characters, more than 4096"),
        ("(" * 2_000, "64 levels"),
        ("!" * 4_000 + "a", "64 levels"),
        ("a|" * 100 + "a", "64 levels"),
        ("[@,@]|" * 60 + "@", "1000000 steps"),
        ("[@,@][]|" * 30 + "length(@)", "1000000 steps"),
        ("[@,@]|" * 30 + "to_string(@)", "1000000 steps"),
        ("'x'|" + "join('',[@,@])|" * 50 + "length(@)", "1000000 steps"),
        ("to_string(&a)", "place in memory"),
    ],
)
def test_a_bad_expression_fails_the_step_and_ends_soon(expression: str, reason: str) -> None:
    began = time.process_time()
    with pytest.raises(Failure, match=reason) as caught:
        _run(transform, {"expression": expression, "n": [1, 2, 3]})
    assert caught.value.step_code == "TRANSFORM_FAILED"
    assert caught.value.retryable is False
    assert time.process_time() - began < 30, "an unbounded expression would take for ever"


def test_joining_a_long_text_many_times_is_refused_before_it_is_done() -> None:
    with pytest.raises(ExpressionError, match="1000000 steps"):
        evaluate("join(glue, parts)", {"glue": "x" * 1_000_000, "parts": [""] * 900_000})


def test_an_error_does_not_carry_the_whole_data() -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate("abs(text)", {"text": "x" * 1_000_000})
    assert len(str(caught.value)) < 500


def test_the_bounds_leave_room_for_ordinary_work() -> None:
    people = [{"name": f"n{i}", "age": i % 90} for i in range(20_000)]
    assert len(evaluate("people[?age > `80`].{name: name, old: age}", {"people": people})) > 1_000


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning")
@given(st.text(alphabet="ab.[]()*{}:|&@!=<>?`'\"0-1, \\", max_size=40))
def test_whatever_the_expression_only_one_error_comes_out(expression: str) -> None:
    with contextlib.suppress(ExpressionError):
        evaluate(expression, {"a": [{"b": 1}, {"b": [0, "x"]}], "b": {"a": None}})


def test_sleep_and_wait_signal_only_say_what_to_wait_for() -> None:
    assert sleep(**sleep.bind(b'{"seconds":3600}', None)) == Wait(seconds=3600, output={"slept_seconds": 3600})
    assert wait_signal("go") == Wait(signal="go")
    assert wait_signal("go", timeout_seconds=5) == Wait(seconds=5, signal="go")


@pytest.mark.parametrize("seconds", [-1, 400_000_000, 1e300])
def test_a_wait_out_of_bounds_is_refused(seconds: float) -> None:
    for call in (lambda: sleep(seconds), lambda: wait_signal("go", seconds)):
        with pytest.raises(Failure, match="wanted 0 to ") as caught:
            call()
        assert caught.value.step_code == "SKILL_INPUT_INVALID"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 201, "\n"])
def test_a_signal_needs_a_plain_name(name: str) -> None:
    with pytest.raises(Failure, match="input 'name'"):
        wait_signal(name)
