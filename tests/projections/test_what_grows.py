"""What failures, costs and timelines say of runs."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from refold.eventstore.log import EventLog
from refold.eventstore.memory import MemoryStore
from refold.projections.costs import CostsProjection
from refold.projections.failures import FailuresProjection
from refold.projections.texts import MOST_OF_A_MESSAGE, message_text
from refold.projections.timeline import TIMELINE, Span, TimelineProjection, place_of
from refold.tests.support.grown import add_busy, add_histories, named
from refold.tests.support.projected import caught_up


@pytest.fixture
async def busy_log(memory: MemoryStore) -> MemoryStore:
    """Runs b0 (a spec), b1 (paused, then completed), b2 (cancelled) and b3 (still waits), with children."""
    await add_busy(memory, 4, 1)
    for projection in (FailuresProjection(), CostsProjection(), TimelineProjection()):
        caught_up(memory, projection)
    return memory


def of_run(store: MemoryStore, projection: str, run_id: str) -> list[dict[str, Any]]:
    return [row for row in named(store, projection) if row["run_id"] == run_id]


async def test_each_failed_attempt_and_each_bad_end_is_a_failure(busy_log: MemoryStore) -> None:
    told = [
        (row["run_id"], row["kind"], row["code"], row["category"], row["skill"], row["attempt"], row["final"])
        for row in named(busy_log, "failures")
    ]
    assert told == [
        ("b0", "attempt", "SKILL_ERROR", "TRANSIENT", "stubborn", 1, False),
        ("b0", "attempt", "SKILL_ERROR", "TRANSIENT", "stubborn", 2, False),
        ("b0", "step", "SKILL_ERROR", "TRANSIENT", "stubborn", 3, True),
        ("b1", "step", "MADE_UP", None, "paid", 1, True),
        ("b2", "run", "RUN_CANCELLED", "PERMANENT", None, None, True),
    ]


async def test_a_failure_says_who_ran_what_and_when_it_was_recorded(busy_log: MemoryStore) -> None:
    (failure,) = of_run(busy_log, "failures", "b1")
    event = EventLog(busy_log, "").events("default/b1")[failure["event"] - 1]
    assert failure["at"] == event.at and failure["step_id"] == "paid#4" and failure["agent_id"] in ("one", "two")
    assert (failure["workflow_type"], failure["workflow_version"]) == ("busy", "1")


async def test_no_secret_of_a_message_reaches_a_row(busy_log: MemoryStore) -> None:
    assert "hunter2" not in str(named(busy_log, "failures")) and "abcdef" not in str(named(busy_log, "failures"))
    assert of_run(busy_log, "failures", "b1")[0]["message"] == "no: password=*** at https://***@host/␀"


@pytest.mark.parametrize(
    "message",
    [
        "Authorization: Bearer s3cr3t.s3cr3t",
        'cannot post {"api_key": "s3cr3t s3cr3t"}',
        "GET https://h/x?access_token=s3cr3t&y=1 failed",
        "postgresql://ada:s3cr3t@db/x refused",
        "AWS_SECRET_ACCESS_KEY = 's3cr3t'",
        "sk-s3cr3ts3cr3ts3cr3t is not valid",
        "wrong signature by whsec_s3cr3t/s3cr3t+s3cr3t=",
        "-----BEGIN RSA PRIVATE KEY-----\ns3cr3t",
    ],
)
def test_what_looks_like_a_secret_is_masked(message: str) -> None:
    assert "s3cr3t" not in message_text(message) and "***" in message_text(message)


def test_a_long_message_is_cut_and_an_ordinary_one_is_left_alone() -> None:
    assert len(message_text("x" * 10**6)) == MOST_OF_A_MESSAGE and message_text("x" * 301).endswith("…")
    assert message_text("division by zero in step 4 of 7") == "division by zero in step 4 of 7"


async def test_a_hostile_message_is_masked_in_no_time() -> None:
    for text in ("a-" * 10**5, "token" * 10**5, "basic " * 10**5, "://" * 10**5):
        message_text(text)


async def test_what_a_run_cost_is_the_sum_of_its_rows(busy_log: MemoryStore) -> None:
    spent: dict[str, list[float]] = {}
    for row in named(busy_log, "costs"):
        spent.setdefault(row["run_id"], []).append(row["cost_cents"])
    for run_id in ("b0", "b1", "b2"):
        end = EventLog(busy_log, "").events(f"default/{run_id}")[-1]
        assert math.fsum(spent[run_id]) == pytest.approx(end.cost_cents) and end.cost_cents  # type: ignore[union-attr]
    assert Counter(row["skill"] for row in of_run(busy_log, "costs", "b0"))["stubborn"] == 3, "failed attempts cost"


async def test_a_timeline_holds_the_run_its_steps_and_what_they_waited_for(busy_log: MemoryStore) -> None:
    told = [(row["kind"], row["path"], row["status"], row["name"]) for row in of_run(busy_log, "timeline", "b1")]
    assert told == [
        ("run", None, "completed", "busy"),
        ("step", "0.0.0", "completed", None),
        ("step", "0.1.0", "completed", None),
        ("step", "1", "completed", None),
        ("timer", "1", "completed", None),
        ("child", "2", "completed", "b1~2"),
        ("step", "2", "completed", None),
        ("step", "3", "completed", None),
        ("wait", "3", "completed", "go"),
        ("step", "4", "failed", None),
        ("signal", None, "received", "go"),
        ("pause", None, "ended", None),
    ]


async def test_times_are_those_of_recorded_events(busy_log: MemoryStore) -> None:
    recorded = {event.at for event in EventLog(busy_log, "").events("default/b0")}
    rows = of_run(busy_log, "timeline", "b0")
    assert {row["started_at"] for row in rows} | {row["ended_at"] for row in rows} <= recorded
    assert all(row["took"] == row["ended_at"] - row["started_at"] for row in rows)
    first, bad = rows[1], rows[2]
    assert bad["started_at"] == first["ended_at"] and (bad["attempts"], bad["error_code"]) == (3, "SKILL_ERROR")


async def test_what_is_open_has_no_end_and_what_was_cut_is_cancelled(busy_log: MemoryStore) -> None:
    open_ = [(row["kind"], row["path"]) for row in of_run(busy_log, "timeline", "b3") if row["ended_at"] is None]
    assert open_ == [("run", None), ("step", "3"), ("wait", "3")]
    cut = [(row["kind"], row["path"]) for row in of_run(busy_log, "timeline", "b2") if row["status"] == "cancelled"]
    assert cut == [("run", None), ("step", "3"), ("wait", "3")]


async def test_every_span_of_an_ended_run_has_ended(memory: MemoryStore) -> None:
    add_histories(memory)
    caught_up(memory, TimelineProjection())
    rows = named(memory, "timeline")
    ended = {row["run_id"] for row in rows if row["kind"] == "run" and row["ended_at"] is not None}
    assert ended and not [row for row in rows if row["run_id"] in ended and row["status"] in ("waiting", "ready")]
    kinds = {"run", "step", "timer", "wait", "child", "approval", "signal", "pause", "parked"}
    assert {row["kind"] for row in rows} == kinds


def test_a_span_is_a_row() -> None:
    assert Span._fields == TIMELINE.names


def test_places_sort_by_numbers() -> None:
    indexes = [0, 9, 10, 99, 100, 9999]
    assert sorted(set(indexes), key=place_of) == indexes
    paths = ["0", "2", "2.0.0", "2.0.10", "2.1.0", "3", "10"]
    assert sorted(set(paths), key=place_of) == paths
