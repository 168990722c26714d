"""The classes of differences, and what gives each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from refold.core.divergence import CRITICAL, Divergence, RunFacts, StepFacts, divergences, only_volatile

VOLATILE = ("at", "host")


def step(index: int = 0, **said: Any) -> StepFacts:
    made = StepFacts(
        index, f"s{index}", "work", index, "completed", f"in{index}", {"value": index}, None, f"hash{index}",
        skill_version="1", build="b1", deterministic=True,
    )  # fmt: skip
    return replace(made, **said)


def run(*steps: StepFacts, **said: Any) -> RunFacts:
    return replace(RunFacts("w#1", 7, "spec", None, "given", steps, "completed", {}, None), **said)


def told(left: RunFacts, right: RunFacts) -> list[tuple[str, str, str, str | None]]:
    return [(each.event, each.pointer, each.kind, each.follows) for each in divergences(left, right, VOLATILE)]


def test_runs_that_did_the_same_do_not_differ() -> None:
    assert told(run(step(0), step(1)), run(step(0), step(1))) == []


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "UNSEEDED_RANDOMNESS"),
        ({"skill_version": "2"}, "CODE_CHANGE"),
        ({"build": "b2"}, "CODE_CHANGE"),
        ({"build": None}, "UNSEEDED_RANDOMNESS"),
        ({"deterministic": False}, "EXTERNAL_VARIATION"),
        ({"deterministic": None}, "EXTERNAL_VARIATION"),
        ({"outside": True}, "EXTERNAL_VARIATION"),
    ],
)
def test_another_output_is_classed_by_what_is_known_of_its_skill(changed: dict[str, Any], kind: str) -> None:
    other = step(0, output={"value": 9}, step_hash="other", **changed)
    assert told(run(step(0)), run(other)) == [("step 0", "/output/value", kind, None)]


def test_a_time_out_is_from_outside_also_of_a_deterministic_skill() -> None:
    other = step(0, status="failed", output=None, error_code="STEP_TIMEOUT", step_hash="other")
    assert {kind for _, _, kind, _ in told(run(step(0)), run(other))} == {"EXTERNAL_VARIATION"}


@pytest.mark.parametrize(
    ("left", "right", "leaks"),
    [
        ({"at": 1, "n": 1}, {"at": 2, "n": 1}, True),
        ({"deep": [{"host": "a"}]}, {"deep": [{"host": "b"}]}, True),
        ({"when": "2026-01-02T03:04:05Z"}, {"when": "2026-01-02T03:04:06.5+01:00"}, True),
        ({"when": "2026-01-02T03:04:05Z"}, {"when": "never"}, False),
        ({"at": 1, "n": 1}, {"at": 2, "n": 2}, False),
        ({"n": 1}, {"n": 1.0}, False),
    ],
)
def test_only_members_named_volatile_and_times_are_volatile(left: Any, right: Any, leaks: bool) -> None:
    assert only_volatile(left, right, VOLATILE) is leaks


def test_a_time_in_an_output_is_a_leak_and_so_is_what_follows_from_it() -> None:
    left = run(step(0, output={"at": 1}), step(1, inputs_hash="a", output=[1]))
    right = run(step(0, output={"at": 2}, step_hash="x"), step(1, inputs_hash="b", output=[2], step_hash="y"))
    assert told(left, right) == [
        ("step 0", "/output/at", "VOLATILE_LEAK", None),
        ("step 1", "/inputs_hash", "VOLATILE_LEAK", "step 0"),
        ("step 1", "/output/0", "VOLATILE_LEAK", "step 0"),
    ]
    assert not any(each.critical for each in divergences(left, right, VOLATILE))


def test_what_an_earlier_difference_explains_has_its_class_and_names_it() -> None:
    left = run(step(0), step(1, inputs_hash="a"), output={"r": 1})
    right = run(
        step(0, output={"value": 5}, deterministic=False, step_hash="x"),
        step(1, inputs_hash="b", output={"value": 6}, step_hash="y"),
        output={"r": 2},
    )
    assert told(left, right) == [
        ("step 0", "/output/value", "EXTERNAL_VARIATION", None),
        ("step 1", "/inputs_hash", "EXTERNAL_VARIATION", "step 0"),
        ("step 1", "/output/value", "EXTERNAL_VARIATION", "step 0"),
        ("run_end", "/output/r", "EXTERNAL_VARIATION", "step 0"),
    ]


def test_other_inputs_that_nothing_explains_are_a_violation() -> None:
    assert told(run(step(0)), run(step(0, inputs_hash="b"))) == [
        ("step 0", "/inputs_hash", "DETERMINISM_VIOLATION", None)
    ]


@pytest.mark.parametrize(
    ("changed", "pointer", "kind"),
    [
        ({"seed": 8}, "/seed", "SEED_DRIFT"),
        ({"spec_hash": "other"}, "/spec_hash", "CODE_CHANGE"),
        ({"source_hash": "other"}, "/source_hash", "CODE_CHANGE"),
        ({"workflow": "w#2"}, "/workflow", "CODE_CHANGE"),
        ({"inputs_hash": "other"}, "/inputs_hash", "EXTERNAL_VARIATION"),
    ],
)
def test_what_a_run_began_with_classes_it(changed: dict[str, Any], pointer: str, kind: str) -> None:
    assert told(run(step(0)), run(step(0), **changed)) == [("run_start", pointer, kind, None)]


def test_another_seed_of_a_step_is_drift_and_so_is_its_outcome() -> None:
    assert told(run(step(0)), run(step(0, seed=9, output={"value": 1}, step_hash="x"))) == [
        ("step 0", "/seed", "SEED_DRIFT", None),
        ("step 0", "/output/value", "SEED_DRIFT", None),
    ]


def test_other_steps_and_another_order_are_violations_where_the_spec_is_the_same() -> None:
    assert told(run(step(0), step(1)), run(step(0))) == [("step 1", "", "DETERMINISM_VIOLATION", None)]
    assert told(run(step(0)), run(step(0), step(1))) == [("step 1", "", "DETERMINISM_VIOLATION", None)]
    assert told(run(step(0)), run(replace(step(0), index=3))) == [("step 0", "/index", "DETERMINISM_VIOLATION", None)]
    assert told(run(step(0)), run(step(0, skill_id="other"))) == [
        ("step 0", "/skill_id", "DETERMINISM_VIOLATION", None)
    ]


def test_other_steps_of_another_spec_are_a_change_of_code() -> None:
    kinds = {kind for _, _, kind, _ in told(run(step(0), step(1)), run(step(0), spec_hash="other"))}
    assert kinds == {"CODE_CHANGE"}


def test_a_run_that_was_cut_or_goes_on_differs_by_what_came_from_outside() -> None:
    for stopped in ({"cut": True, "status": "cancelled"}, {"ended": False, "status": "running"}):
        kinds = {kind for _, _, kind, _ in told(run(step(0), step(1)), run(step(0), **stopped))}
        assert kinds == {"EXTERNAL_VARIATION"}


def test_another_end_that_nothing_explains_is_a_violation() -> None:
    assert told(run(step(0)), run(step(0), status="failed", error_code="X")) == [
        ("run_end", "/status", "DETERMINISM_VIOLATION", None),
        ("run_end", "/error_code", "DETERMINISM_VIOLATION", None),
    ]


def test_a_side_that_cannot_be_believed_is_tampered_and_nothing_else_is_said() -> None:
    found = divergences(run(step(0)), run(step(0, seed=9), fault="line 2: hash: no"), VOLATILE)
    assert [(each.kind, each.reason) for each in found] == [("TAMPERED", "line 2: hash: no")]
    assert (found[0].left, found[0].right) == ("intact", "line 2: hash: no")


def test_a_hash_that_differs_alone_is_tampered() -> None:
    assert told(run(step(0)), run(step(0, step_hash="forged"))) == [("step 0", "/step_hash", "TAMPERED", None)]


def test_all_classes_but_leaks_are_critical() -> None:
    assert "VOLATILE_LEAK" not in CRITICAL and len(CRITICAL) == 6
    assert Divergence("run_end", None, "", "a", "b", "TAMPERED", "why").to_json()["critical"] is True
