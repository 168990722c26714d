"""When schedules fire, and what their definitions may say."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Any

import pytest

from refold import CallError, Schedule, workflow
from refold.core.runtime.scheduling.fire_times import Due, due, fire_times

BERLIN = {"timezone": "Europe/Berlin"}


def schedule(**fields: Any) -> Schedule:
    return Schedule(**{"schedule_id": "s", "workflow": "w", **fields})


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def firings(after: str, count: int, **fields: Any) -> list[str]:
    times = islice(fire_times(schedule(**fields).timing, seconds(after)), count)
    return [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%MZ}" for at in times]


def test_an_hour_that_spring_leaves_out_fires_when_it_is_over() -> None:
    # 2026-03-29 in Berlin: 01:59:59 CET is followed by 03:00:00 CEST.
    assert firings("2026-03-28T00:00Z", 3, cron="30 2 * * *", **BERLIN) == [
        "2026-03-28T01:30Z",
        "2026-03-29T01:00Z",
        "2026-03-30T00:30Z",
    ]


def test_several_times_in_the_hour_left_out_fire_once() -> None:
    assert firings("2026-03-29T00:59Z", 3, cron="0,20,40 2 * * *", **BERLIN) == [
        "2026-03-29T01:00Z",
        "2026-03-30T00:00Z",
        "2026-03-30T00:20Z",
    ]


def test_an_hour_that_autumn_has_twice_fires_in_the_first() -> None:
    # 2026-10-25 in Berlin: 02:59:59 CEST is followed by 02:00:00 CET.
    assert firings("2026-10-24T12:00Z", 2, cron="30 2 * * *", **BERLIN) == ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]
    assert firings("2026-10-25T00:45Z", 1, cron="30 2 * * *", **BERLIN) == ["2026-10-26T01:30Z"]
    assert firings("2026-10-25T01:10Z", 1, cron="15,45 2 * * *", **BERLIN) == ["2026-10-26T01:15Z"]


def test_a_starred_hour_goes_by_the_time_that_really_passes() -> None:
    assert firings("2026-10-24T23:30Z", 4, cron="30 * * * *", **BERLIN) == [
        "2026-10-25T00:30Z",
        "2026-10-25T01:30Z",
        "2026-10-25T02:30Z",
        "2026-10-25T03:30Z",
    ]
    assert firings("2026-03-29T00:00Z", 2, cron="30 * * * *", **BERLIN) == ["2026-03-29T00:30Z", "2026-03-29T01:30Z"]


@pytest.mark.parametrize("cron", ["30 2 * * *", "0,15,30,45 1-3 * * *", "*/20 * * * *", "59 2 29 3 *", "0 0 L * *"])
@pytest.mark.parametrize(("day", "hours"), [("2026-03-28T12:00Z", 36), ("2026-10-24T12:00Z", 36)])
def test_where_the_count_begins_does_not_change_when_it_fires(cron: str, day: str, hours: int) -> None:
    timing = schedule(cron=cron, **BERLIN).timing
    start = seconds(day)
    end = start + hours * 3600
    whole = list(takewhile(lambda at: at <= end, fire_times(timing, start)))
    for after in range(start, end, 300):
        following = list(takewhile(lambda at: at <= end, fire_times(timing, after)))
        assert following == [at for at in whole if at > after]


def test_intervals_count_from_the_epoch_and_keep_their_offset() -> None:
    assert firings("2026-01-01T00:00Z", 2, every="6h") == ["2026-01-01T06:00Z", "2026-01-01T12:00Z"]
    assert firings("2026-01-01T00:00Z", 2, every="6h", offset="15m") == ["2026-01-01T00:15Z", "2026-01-01T06:15Z"]


def test_nothing_fires_before_the_start_or_after_the_end() -> None:
    limits = {"start_at": "2026-01-02T00:00:00Z", "end_at": "2026-01-03T01:00:00+01:00"}
    assert firings("2026-01-01T00:00Z", 9, every="1d", **limits) == ["2026-01-02T00:00Z", "2026-01-03T00:00Z"]
    assert firings("2026-01-01T00:00Z", 9, cron="0 0 * * *", **limits) == ["2026-01-02T00:00Z", "2026-01-03T00:00Z"]


HOUR = 3600


@pytest.mark.parametrize(
    ("fields", "at", "wanted"),
    [
        ({"catch_up": "all"}, 5 * HOUR, Due([2 * HOUR, 3 * HOUR, 4 * HOUR, 5 * HOUR], 5 * HOUR, 6 * HOUR)),
        ({"catch_up": "all", "catch_up_window": "1h"}, 5 * HOUR + 1, Due([5 * HOUR], 5 * HOUR + 1, 6 * HOUR)),
        ({"catch_up": "all", "catch_up_window": "1h"}, 5 * HOUR, Due([4 * HOUR, 5 * HOUR], 5 * HOUR, 6 * HOUR)),
        ({"catch_up": "last"}, 5 * HOUR + 1800, Due([5 * HOUR], 5 * HOUR + 1800, 6 * HOUR)),
        ({"catch_up": "last", "catch_up_window": 60}, 5 * HOUR + 1800, Due([], 5 * HOUR + 1800, 6 * HOUR)),
        ({"catch_up": "none"}, 5 * HOUR + 1800, Due([], 5 * HOUR + 1800, 6 * HOUR)),
        ({"catch_up": "none"}, 5 * HOUR + 10, Due([5 * HOUR], 5 * HOUR + 10, 6 * HOUR)),
        ({"end_at": "1970-01-01T05:00:00Z"}, 5 * HOUR, Due([5 * HOUR], 5 * HOUR, None)),
        ({}, HOUR, Due([], HOUR, 2 * HOUR)),
        ({}, 0, Due([], HOUR, 2 * HOUR)),
    ],
)
def test_what_is_due_follows_the_policy_for_catching_up(fields: dict[str, Any], at: int, wanted: Due) -> None:
    assert due(schedule(every="1h", **fields).timing, HOUR, at) == wanted


def test_a_long_outage_is_made_up_for_a_hundred_firings_at_a_time() -> None:
    timing = schedule(every="1s", catch_up="all").timing
    first = due(timing, 0, 250)
    second = due(timing, first.settled, 250)
    third = due(timing, second.settled, 250)
    assert [*first.due, *second.due, *third.due] == list(range(1, 251))
    assert third.settled == 250 and third.next == 251


@pytest.mark.parametrize("cron", ["* * * * * *", "0 4 29 2 *", "0 0 * * MON"])
def test_the_last_of_years_of_missed_firings_is_found_soon(cron: str) -> None:
    timing = schedule(cron=cron).timing
    at = seconds("2027-06-01T12:00:00Z")
    found = due(timing, seconds("2020-01-01T00:00Z"), at)
    (last,) = found.due
    assert last <= at and next(fire_times(timing, last)) > at


@pytest.mark.parametrize(
    ("fields", "pointer", "reason"),
    [
        ({"cron": "0 25 * * *"}, "/cron", "'0 25 * * *' is no cron expression: Bad hour"),
        ({"cron": "0 0 31 2 *"}, "/cron", "'0 0 31 2 *' is no cron expression: Bad day-of-month"),
        ({"cron": ""}, "/cron", "Wrong number of fields"),
        ({"cron": 5}, "/cron", "must be a string, not an integer"),
        ({"cron": "0 0 * * *", "timezone": "Europe/Bonn"}, "/timezone", "'Europe/Bonn' is no time zone"),
        ({"cron": "0 0 * * *", "timezone": "../etc"}, "/timezone", "is no time zone"),
        ({}, "", "when to run is not clear"),
        ({"cron": "0 0 * * *", "every": 60}, "", "when to run is not clear"),
        ({"every": 0.5}, "/every", "no whole seconds"),
        ({"every": 0}, "/every", "at least one second"),
        ({"every": "soon"}, "/every", "'soon' is no length of time"),
        ({"every": 60, "offset": 60}, "/offset", "less than the interval"),
        ({"every": 60, "timezone": "Europe/Berlin"}, "/timezone", "an interval has no time zone"),
        ({"every": 60, "start_at": "2026-01-01T00:00:00"}, "/start_at", "needs its offset from UTC"),
        ({"every": 60, "end_at": "tomorrow"}, "/end_at", "'tomorrow' is no time"),
        ({"every": 60, "start_at": "2026-01-02T00:00Z", "end_at": "2026-01-01T00:00Z"}, "/end_at", "ends before"),
        ({"every": 60, "overlap": "skipp"}, "/overlap", "not 'skipp'"),
        ({"every": 60, "schedule_id": "a b"}, "/schedule_id", "run id 'a b' is not possible"),
        ({"every": 60, "schedule_id": "a~2"}, "/schedule_id", "no ~"),
        ({"every": 60, "workflow": "a b"}, "/workflow", "'a b' is no name of a workflow"),
        ({"every": 60, "workflow": None}, "", "what is to run is not clear"),
        ({"every": 60, "workflow": None, "spec": {"steps": []}}, "/spec", "workflow_type"),
        ({"every": 60, "time_input": "at", "inputs": {"at": 1}}, "/time_input", "is given in 'inputs', too"),
        ({"every": 60, "inputs": {"x": float("nan")}}, "/inputs/x", ""),
        ({"every": 60, "ever": 1}, "/ever", "unknown field 'ever'"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_with_pointer_and_reason(
    fields: dict[str, Any], pointer: str, reason: str
) -> None:
    with pytest.raises(CallError) as raised:
        schedule(**fields)
    assert [problem for problem in raised.value.problems if problem.pointer == pointer and reason in problem.reason], (
        raised.value.problems
    )


def test_a_definition_reads_back_as_it_was_written() -> None:
    given = schedule(every="1h30m", offset=60, start_at="2026-01-01T01:00:00+01:00", inputs={"x": 1.0}, overlap="queue")
    assert given.to_json()["start_at"] == "2026-01-01T00:00:00Z" and given.to_json()["every"] == 5400
    assert Schedule.parse(given.to_json()) == given


def test_a_workflow_function_stands_for_its_name() -> None:
    @workflow("report", version="2")
    async def report() -> None: ...

    assert schedule(workflow=report, every=60).workflow == "report"


@pytest.mark.parametrize("document", [None, [], "x", {1: 2}])
def test_what_is_no_object_is_no_schedule(document: object) -> None:
    with pytest.raises(CallError):
        Schedule.parse(document)


def test_sensitive_inputs_do_not_stand_in_a_schedule() -> None:
    spec = {
        "workflow_type": "visit",
        "sensitive_inputs": ["name"],
        "steps": [{"step_id": "a", "skill_id": "echo", "inputs": {"text": "${inputs.name}"}}],
    }
    with pytest.raises(CallError, match="'name' is sensitive"):
        Schedule.parse({"schedule_id": "s", "spec": spec, "every": 60, "inputs": {"name": "Ada"}})
