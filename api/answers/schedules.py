"""What the API answers about schedules."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ScheduleStatus(BaseModel):
    """How a schedule stands: `status` as of any run, `run_id` of the run that it is now.

    `next` is when it fires next (null: never), `running` the run that it waits for, `waiting` those that come after.
    """

    schedule: dict[str, Any]
    status: str
    run_id: str
    next: str | None
    running: str | None
    waiting: list[str]
    last: dict[str, Any] | None
    fired: int
    skipped: int
    failed: int
    triggered: int


class SchedulePage(BaseModel):
    """The schedules that have not ended, by id."""

    schedules: list[ScheduleStatus]
    next_cursor: str | None


class FireTimes(BaseModel):
    """When a schedule fires next, as ISO 8601 in UTC, if it is not paused and none is made up for."""

    schedule_id: str
    times: list[str]
