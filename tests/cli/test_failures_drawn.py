"""`refold failures`: what failed, by code and over time, as a picture and as numbers."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from refold.ops.cli.plotting import bar, bars, blocks, hours
from refold.projections.run_counts import DAY, HOUR
from refold.tests.cli.driver import Refold, Write


@pytest.fixture
def failed(refold: Refold, write: Write) -> Refold:
    """A database with two runs that failed the same way, and one whose step was tried three times."""
    wrong = {"step_id": "a", "skill_id": "transform", "inputs": {"expression": "[", "data": 1}}
    stubborn = {
        "step_id": "a",
        "skill_id": "http_call",
        "inputs": {"url": "http://127.0.0.1:9/"},
        "max_retries": 2,
        "retry": {"initial_seconds": 0},
    }
    for run_id, step in (("one", wrong), ("two", wrong), ("three", stubborn)):
        assert refold("run", write(step), "--run-id", run_id).code == 1
    assert refold("projections", "rebuild", "failures").code == 0
    return refold


def test_failures_are_drawn_as_bars_the_longest_first(failed: Refold) -> None:
    done = failed("failures")
    first, second = done.out.splitlines()
    assert done.code == 0
    assert first.split()[0::2] == ["TRANSFORM_FAILED", "4", "steps,", "runs"]
    assert second.split()[0] == "HTTP_UNREACHABLE" and second.endswith("1 step, 1 run, 2 tried again")
    assert first.count("█") == 2 * second.count("█") > 0


def test_the_numbers_come_as_json(failed: Refold) -> None:
    assert failed("failures", "--json").lines == [
        {"code": "TRANSFORM_FAILED", "attempts": 0, "steps": 2, "runs": 2, "parked": 0},
        {"code": "HTTP_UNREACHABLE", "attempts": 2, "steps": 1, "runs": 1, "parked": 0},
    ]
    (hour,) = failed("failures", "--by", "hour", "--since", "24h", "--json").lines
    assert hour.pop("hour").endswith(":00:00.000000Z")
    assert hour == {"attempts": 2, "steps": 3, "runs": 3, "parked": 0}
    for by, values in (
        ("category", ["VALIDATION", "TRANSIENT"]),
        ("skill", ["transform", "http_call"]),
        ("workflow", None),
    ):
        lines = failed("failures", "--by", by, "--json").lines
        assert sum(line["steps"] for line in lines) == 3
        assert values is None or [line[by] for line in lines] == values
    (attempts,) = failed("failures", "--kind", "attempt", "--json").lines
    assert attempts == {"code": "HTTP_UNREACHABLE", "attempts": 2, "steps": 0, "runs": 0, "parked": 0}


def test_failures_are_drawn_over_hours_and_days(failed: Refold) -> None:
    head, day, legend = failed("failures", "--by", "hour").out.splitlines()
    assert head.startswith("day (UTC)") and day.endswith("  6") and day.count("█") == 1
    assert legend == "the highest block is 6 in an hour"
    (line,) = failed("failures", "--by", "day").out.splitlines()
    assert line.endswith("6  3 steps, 3 runs, 2 tried again") and line[:4].isdigit()


def test_what_is_not_asked_for_is_left_out(failed: Refold) -> None:
    assert failed("failures", "--until", "2000-01-01").out == ""
    assert failed("failures", "--tenant", "other").err.strip().endswith("no failures")
    done = failed("failures", "--limit", "1")
    assert len(done.out.splitlines()) == 1 and "1 more: --limit 2" in done.err
    assert failed("failures", "list", "--json").lines, "the other commands are still there"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--by", "kind"], "nothing is counted by 'kind'"),
        (["--by", "phase of the moon"], "nothing is counted by"),
        (["--since", "yesteryear"], "is no time"),
        (["--kind", "odd"], "no kind is called"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_what_cannot_be_drawn_is_a_wrong_call(failed: Refold, words: list[str], reason: str) -> None:
    done = failed("failures", *words)
    assert done.code == 2 and reason in done.err


def test_a_bar_is_as_long_as_its_number_is_large_and_never_vanishes() -> None:
    assert (bar(8, 8, 4), bar(4, 8, 4), bar(1, 8, 4), bar(0, 8, 4)) == ("████", "██", "▌", "")
    assert bar(1, 1_000_000, 10) == "▏"
    assert blocks([0, 1, 4, 8], 8) == " ▁▄█" and blocks([1], 1_000_000) == "▁"


def test_hours_without_failures_are_blank_and_days_between_are_drawn() -> None:
    screen = Console(record=True, width=80, file=io.StringIO())
    hours(screen, {3 * HOUR: 4, 2 * DAY + 23 * HOUR: 1})
    _, first, second, third, _ = screen.export_text().splitlines()
    assert first.index("█") - len("1970-01-01  ") == 3 and first.endswith("  4")
    assert second.split() == ["1970-01-02", "0"]
    assert third[len("1970-01-03  ") + 23] == "▂" and third.endswith("  1")


def test_hostile_names_are_drawn_without_what_a_terminal_obeys() -> None:
    screen = Console(record=True, width=60, file=io.StringIO())
    bars(screen, [("a\x1b[2J" * 30, 1, ""), ("b", 0, "")])
    assert "\x1b" not in screen.export_text()
