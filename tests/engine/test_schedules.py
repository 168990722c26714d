"""Schedules in a time that skips: what they fire, what they make up for, and what becomes of firings that meet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from refold import CallError, Failure, RunConflictError, RunEndedError, RunNotFoundError, call, sleep, workflow
from refold.core.ports import Head
from refold.core.runtime.scheduling.schedule_run import SCHEDULE
from refold.core.runtime.scheduling.schedules import Schedules
from refold.eventstore.log import EventLog
from refold.testing import START, TestEnvironment
from refold.tests.support.workflows import spec, step


@workflow
async def quick(at: str = "") -> str:
    await call("echo", at=at)
    return at


@workflow
async def slow(hours: float) -> None:
    await sleep(hours * 3600)


@workflow
async def failing() -> None:
    raise Failure("SKILL_ERROR", "no luck")


def environment(**options: Any) -> TestEnvironment:
    return TestEnvironment(workflows=[quick, slow, failing], **options)


def daily(**fields: Any) -> dict[str, Any]:
    return {"schedule_id": "s", "workflow": "quick", "every": "1d", **fields}


def hourly(**fields: Any) -> dict[str, Any]:
    return {"schedule_id": "s", "workflow": "slow", "inputs": {"hours": 2.5}, "every": "1h", **fields}


def fired(env: TestEnvironment) -> list[str]:
    """The fire times in the ids of the runs, as day and hour; triggered ones by their number."""
    runs = sorted(stream.removeprefix("default/s.") for stream in env.store.streams("default") if "/s." in stream)
    return [run[6:11] if run.endswith("Z") else run[17:] for run in runs]


async def statuses(env: TestEnvironment) -> list[str]:
    runs = sorted(stream.removeprefix("default/") for stream in env.store.streams("default") if "/s." in stream)
    return [(await env.state(run)).status for run in runs]


async def test_a_year_of_daily_firings_in_berlin_has_no_gap_and_no_double() -> None:
    async with environment() as env:
        await env.schedule(
            {
                "schedule_id": "nightly",
                "workflow": "quick",
                "cron": "30 2 * * *",
                "timezone": "Europe/Berlin",
                "time_input": "at",
            }
        )
        await env.advance("365d")
        status = await env.engine.schedules.get("nightly")
        assert (status.fired, status.skipped, status.failed, status.next) == (365, 0, 0, "2027-01-01T01:30:00Z")
        runs = [stream.removeprefix("default/") for stream in env.store.streams("default")]
        assert len(runs) == 366
        gap = await env.state("nightly.20260329T010000Z")
        assert gap.started.at == _at(datetime(2026, 3, 29, 1, 0, tzinfo=UTC)), "at 03:00, when 02:30 was left out"
        assert (await env.result("nightly.20260329T010000Z")).output == "2026-03-29T01:00:00Z"
        double = [run for run in runs if "20261025" in run]
        assert double == ["nightly.20261025T003000Z"], "02:30 came twice and fired in the first hour"


def _at(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


async def test_lateness_does_not_add_up() -> None:
    async with environment(start=START + timedelta(microseconds=123_457)) as env:
        await env.schedule(daily(every="7s"))
        await env.advance("10m")
        starts = [
            (await env.state(stream.removeprefix("default/"))).started.at
            for stream in env.store.streams("default")
            if "/s." in stream
        ]
        assert len(starts) == 85
        for at in starts:
            assert at % 7_000_000 == 0, "every firing on the multiple of seven seconds since 1970"


async def test_after_five_hundred_firings_it_goes_on_as_a_new_run() -> None:
    async with environment() as env:
        await env.schedule(daily(every="1m"))
        await env.advance("20h")
        status = await env.engine.schedules.get("s")
        assert status.run_id == "s~c3" and status.fired == 1200 == len(fired(env))
        assert status.last is not None and status.last["scheduled_at"] == "2026-01-01T20:00:00Z"
        await env.engine.replay("s")
        await env.engine.replay("s~c2")
        await env.engine.replay("s~c3")


@pytest.mark.parametrize(
    ("catch_up", "wanted"),
    [
        ({"catch_up": "all"}, ["02T00", "03T00", "04T00", "05T00", "06T00", "07T00", "08T00"]),
        ({"catch_up": "all", "catch_up_window": "2d"}, ["02T00", "06T00", "07T00", "08T00"]),
        ({"catch_up": "last"}, ["02T00", "07T00", "08T00"]),
        ({"catch_up": "last", "catch_up_window": "1h"}, ["02T00", "08T00"]),
        ({"catch_up": "none"}, ["02T00", "08T00"]),
    ],
)
async def test_what_was_missed_while_nobody_could_fire_is_made_up_for_as_told(
    catch_up: dict[str, Any], wanted: list[str]
) -> None:
    async with environment() as env:
        await env.schedule(daily(**catch_up))
        await env.advance("1d")
        env.clock.advance("5d12h")
        await env.settle()
        await env.advance("12h")
        assert fired(env) == wanted


@pytest.mark.parametrize(("catch_up", "missed"), [("all", 5), ("last", 1), ("none", 0)])
async def test_a_paused_schedule_fires_nothing_and_then_makes_up_for_it(catch_up: str, missed: int) -> None:
    async with environment() as env:
        await env.schedule(daily(catch_up=catch_up))
        await env.advance("1d")
        await env.pause("s")
        await env.advance("5d12h")
        assert fired(env) == ["02T00"] and (await env.engine.schedules.get("s")).status == "paused"
        await env.resume("s")
        assert len(fired(env)) == 1 + missed
        await env.advance("12h")
        assert fired(env)[-1] == "08T00"


async def test_firings_that_meet_a_running_one_are_skipped() -> None:
    async with environment() as env:
        await env.schedule(hourly())
        await env.advance("8h30m")
        assert fired(env) == ["01T01", "01T04", "01T07"]
        assert (await env.engine.schedules.get("s")).skipped == 5


async def test_firings_that_meet_a_running_one_wait_for_their_turn() -> None:
    async with environment() as env:
        await env.schedule(hourly(overlap="queue"))
        await env.advance("8h15m")
        assert fired(env) == ["01T01", "01T02", "01T03"]
        status = await env.engine.schedules.get("s")
        assert status.running == "s.20260101T030000Z"
        assert list(status.waiting) == [f"s.20260101T0{hour}0000Z" for hour in range(4, 9)]


async def test_firings_may_run_side_by_side() -> None:
    async with environment() as env:
        await env.schedule(hourly(overlap="allow"))
        await env.advance("4h")
        assert await statuses(env) == ["completed", "waiting", "waiting", "waiting"]


async def test_a_firing_may_have_the_one_before_cancelled() -> None:
    async with environment() as env:
        await env.schedule(hourly(overlap="cancel"))
        await env.advance("3h30m")
        assert fired(env) == ["01T01", "01T02", "01T03"]
        assert await statuses(env) == ["cancelled", "cancelled", "waiting"]
        status = await env.engine.schedules.get("s")
        assert status.run_id == "s~c3" and status.fired == 3


async def test_missed_firings_are_made_up_for_one_after_another() -> None:
    async with environment() as env:
        await env.schedule(hourly(catch_up="all", overlap="skip", every="1d"))
        env.clock.advance("3d")
        await env.advance("8h")
        assert fired(env) == ["02T00", "03T00", "04T00"] and await statuses(env) == ["completed"] * 3


async def test_a_trigger_fires_at_once_and_obeys_the_overlap_policy() -> None:
    async with environment() as env:
        await env.schedule(hourly(every="1d", time_input=None))
        await env.advance("1h")
        await env.engine.schedules.trigger("s", key="a")
        await env.engine.schedules.trigger("s", key="a")
        await env.settle()
        assert fired(env) == ["trigger1"]
        await env.engine.schedules.trigger("s")
        await env.advance("1s")
        status = await env.engine.schedules.get("s")
        assert (status.fired, status.skipped, status.triggered) == (1, 1, 2)


async def test_a_run_that_fails_keeps_no_later_one_from_running() -> None:
    async with environment() as env:
        await env.schedule(daily(workflow="failing"))
        await env.advance("3d")
        status = await env.engine.schedules.get("s")
        assert (status.fired, status.failed) == (3, 3)
        assert status.last is not None and status.last["error_code"] == "CHILD_FAILED"


async def test_a_target_that_nobody_knows_fails_its_firings_only() -> None:
    async with environment() as env:
        await env.schedule(daily(workflow="nobody"))
        await env.advance("2d")
        status = await env.engine.schedules.get("s")
        assert (status.failed, status.status) == (2, "waiting")
        assert status.last is not None and status.last["error_code"] == "SPEC_NOT_FOUND"


async def test_a_spec_fires_too_and_gets_its_fire_time() -> None:
    async with environment() as env:
        target = spec(step("a", at="${inputs.at}"), inputs={"at": ""}, output="${a.at}")
        await env.schedule(daily(workflow=None, spec=target, time_input="at"))
        await env.advance("1d")
        assert (await env.result("s.20260102T000000Z")).output == "2026-01-02T00:00:00Z"


async def test_a_schedule_ends_after_its_last_firing() -> None:
    async with environment() as env:
        await env.schedule(daily(end_at="2026-01-03T12:00:00Z"))
        result = await env.result("s")
        assert result.status == "completed" and result.output["fired"] == 2
        assert env.clock.time == datetime(2026, 1, 3, tzinfo=UTC)
        assert await env.engine.schedules.list() == []
        with pytest.raises(RunEndedError, match="the schedule 's' has ended"):
            await env.engine.schedules.trigger("s")


async def test_deleting_cancels_what_is_waited_for_and_the_id_is_free_again() -> None:
    async with environment() as env:
        schedules = env.engine.schedules
        await env.schedule(hourly())
        await env.advance("1h30m")
        await schedules.delete("s", "no longer needed")
        await env.settle()
        assert await statuses(env) == ["cancelled"]
        assert (await schedules.get("s")).status == "cancelled"
        again = await schedules.create(hourly(every="2h"))
        assert again.run_id == "s~2" and [each.run_id for each in await schedules.list()] == ["s~2"]
        await schedules.delete("s")
        assert (await schedules.create(hourly())).run_id == "s~3"


async def test_creating_it_again_changes_nothing_and_another_definition_is_refused() -> None:
    async with environment() as env:
        schedules = env.engine.schedules
        first = await schedules.create(daily(), paused=True)
        assert (first.status, first.next) == ("paused", None)
        assert await schedules.create(daily()) == first
        with pytest.raises(RunConflictError, match="exists with another definition"):
            await schedules.create(daily(every="2d"))
        await env.run(quick, run_id="taken")
        with pytest.raises(RunConflictError, match="'taken' is a run of 'quick'"):
            await schedules.create(daily(schedule_id="taken"))
        with pytest.raises(RunNotFoundError, match="no schedule 'taken'"):
            await schedules.get("taken")
        with pytest.raises(CallError, match="unknown field"):
            await schedules.create(daily(evry=1))


async def test_the_log_of_a_schedule_fits_its_function() -> None:
    async with environment() as env:
        await env.schedule(hourly(overlap="queue"))
        await env.advance("12h")
        await env.replay("s")
        assert (await env.state("s")).started.workflow_type == SCHEDULE


async def test_a_firing_that_a_deleted_schedule_never_started_is_not_told() -> None:
    class Before(EventLog):
        """The log as it would be if the worker had been killed just before the second firing."""

        def heads(self, streams: Sequence[str]) -> dict[str, Head]:
            return {name: head for name, head in super().heads(streams).items() if "/s.20260103" not in name}

    async with environment() as env:
        await env.schedule(daily())
        await env.advance("2d")
        await env.engine.schedules.delete("s")
        await env.advance("1h")
        assert (await env.engine.schedules.get("s")).fired == len(fired(env)) == 2
        seen = await Schedules(env.engine, Before(env.store, ""), lambda _: []).get("s")
        assert (seen.fired, seen.last) == (1, None)
