"""Differences of goldens: of what was done, never of when."""

from __future__ import annotations

import pytest

from refold import IntegrityError
from refold.core.divergence import VOLATILE_FIELDS
from refold.projections.golden_compare import compare_golden
from refold.projections.golden_recorder import InMemoryGoldenRecorder
from refold.tests.support.goldens import golden, goldens, keys, rewritten

DATA = golden("linear").data
LINES = DATA.splitlines(keepends=True)


def changed(number: int, **members: object) -> bytes:
    return b"".join([*LINES[: number - 1], rewritten(LINES[number - 1], **members), *LINES[number:]])


def places(actual: bytes, expected: bytes, ignore_timestamps: bool = True) -> list[tuple[str, str]]:
    return [(found.event, found.pointer) for found in compare_golden(actual, expected, ignore_timestamps)]


def test_a_golden_does_not_differ_from_itself() -> None:
    assert all(not compare_golden(each.data, each.data) for each in goldens())


def test_differences_are_named_by_line_event_and_pointer() -> None:
    (found,) = compare_golden(changed(3, output={"sha256": "x"}), DATA)
    assert (found.event, found.actual_line, found.expected_line, found.pointer) == ("step 1", 3, 3, "/output/sha256")
    assert found.actual == "'x'" and found.expected != found.actual
    assert places(changed(1, seed=6), DATA) == [("run_start", "/seed")]
    assert places(changed(len(LINES), status="failed", error_code="X"), DATA) == [
        ("run_end", "/error_code"),
        ("run_end", "/status"),
    ]


def test_a_step_that_only_one_has_moves_no_other() -> None:
    shorter = b"".join(LINES[:2] + LINES[3:])
    (missing,) = compare_golden(shorter, DATA)
    assert (missing.event, missing.actual_line, missing.expected_line) == ("step 1", 0, 3)
    (more,) = compare_golden(DATA, shorter)
    assert (more.event, more.actual_line, more.expected_line, more.actual) == ("step 1", 3, 0, "it is there")


def test_the_replay_flag_never_counts() -> None:
    assert not places(changed(1, replay=True), DATA)
    assert not places(changed(1, replay=True), DATA, ignore_timestamps=False)
    # Only the flag of the run is meant, not what steps may call so.
    assert places(changed(2, output={"replay": True}), changed(2, output={"replay": False})) == [
        ("step 0", "/output/replay")
    ]


@pytest.mark.parametrize("name", sorted(VOLATILE_FIELDS))
def test_volatile_fields_are_left_out_at_any_depth(name: str) -> None:
    one, other = (changed(2, output={"a": [{name: {"x": value}}]}) for value in (1, 2))
    assert not places(one, other)
    assert places(one, other, ignore_timestamps=False) == [("step 0", f"/output/a/0/{name}/x")]
    assert [found.pointer for found in compare_golden(one, other, volatile=())] == [f"/output/a/0/{name}/x"]


def test_the_list_of_volatile_fields_is_the_callers() -> None:
    one, other = (changed(2, output={"a/b~": value, "c": value}) for value in (1, 2))
    recorder = InMemoryGoldenRecorder(keys())
    assert [found.pointer for found in recorder.compare_golden(one, other, volatile={"a/b~"})] == ["/output/c"]
    assert not recorder.compare_golden(one, other, volatile={"a/b~", "c"})


@pytest.mark.parametrize("data", [b"", b"x", DATA[:-5], DATA + LINES[-1], b"\xef\xbb\xbf" + DATA])
def test_what_is_no_golden_is_refused_with_the_line(data: bytes) -> None:
    for pair in ((data, DATA), (DATA, data)):
        with pytest.raises(IntegrityError, match=r"the (actual|expected) golden: line \d+: "):
            compare_golden(*pair)
