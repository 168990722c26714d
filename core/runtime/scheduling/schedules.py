"""Schedules as callers see them: made, listed, paused, triggered, deleted. Each is a run, see `schedule_run`.

A schedule that is made again after its end lives in a new run: `nightly`, then `nightly~2`; each of its lives may go on
in further ones, `nightly~2~c2`. The ids of what it fires do not change with that, so nothing is fired twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import RunConflictError, RunEndedError, RunNotFoundError
from ...ids import check_tenant, run_of, stream_of
from ...needs import needs_of_code
from ...ports import RunLog
from ...run_state import RunState
from ..engine import Engine
from .schedule import Schedule
from .schedule_run import SCHEDULE, STATE, TRIGGER, run_schedule

_TOGETHER = 32
"""Of so many ids at once it is asked whether there are such runs."""

NEEDS = needs_of_code(SCHEDULE, run_schedule.version)
"""What the dispatch rows of schedules say."""


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """How a schedule stands: `status` as of any run, `run_id` of the run that it is now.

    `next` is when it fires next (None: never), `running` the run that it waits for, `waiting` those that come after,
    `last` the last firing. `fired` counts all firings, `failed` those whose run did not complete (unless they may
    overlap), `skipped` those that overlapped, `triggered` those that somebody asked for.
    """

    schedule: Schedule
    status: str
    run_id: str
    next: str | None
    running: str | None
    waiting: Sequence[str]
    last: Mapping[str, Any] | None
    fired: int
    skipped: int
    failed: int
    triggered: int

    def to_json(self) -> dict[str, Any]:
        """As JSON, by the same names; the definition under `schedule`."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "schedule": self.schedule.to_json(), "waiting": list(self.waiting)}


class Schedules:
    """The schedules of an engine's store; `streams` gives the streams of the open runs with certain needs."""

    def __init__(self, engine: Engine, log: RunLog, streams: Callable[[str], Sequence[str]]):
        self._engine = engine
        self._log = log
        self._streams = streams

    async def create(
        self, schedule: Schedule | Mapping[str, Any], tenant: str = "default", *, paused: bool = False
    ) -> ScheduleStatus:
        """Have workers fire as `schedule` says from now on; `paused`: from when it is resumed.

        Again with the same definition changes nothing. Raises CallError, and RunConflictError when there is one of
        another definition under its id, or a run that is none.
        """
        given = schedule if isinstance(schedule, Schedule) else Schedule.parse(schedule)
        life, state = await self._latest(given.schedule_id, tenant)
        if state is not None and state.started.workflow_type != SCHEDULE:
            reason = f"{given.schedule_id!r} is a run of {state.started.workflow_type!r}; choose another id"
            raise RunConflictError(reason)
        if state is not None and state.end is None:
            there = await self._status(state, tenant)
            if there.schedule != given:
                reason = f"the schedule {given.schedule_id!r} exists with another definition; delete it first"
                raise RunConflictError(reason)
            return there
        run_id = _life(given.schedule_id, life + 1)
        await self._engine.start(run_schedule, run_id, inputs={"schedule": given.to_json()}, tenant=tenant)
        if paused:
            await self._engine.pause(run_id, tenant=tenant)
        return await self._status(await self._engine.state(run_id, tenant), tenant)

    async def list(self, tenant: str = "default") -> list[ScheduleStatus]:
        """All that have not ended, by the ids of the runs that they are."""
        return [await self.of_run(run_id, tenant) for run_id in await self.runs(tenant)]

    async def runs(self, tenant: str = "default") -> Sequence[str]:
        """The ids of the runs that are schedules and have not ended, sorted."""
        check_tenant(tenant)
        streams = await asyncio.to_thread(self._streams, NEEDS)
        return sorted(run_id for of, run_id in map(run_of, streams) if of == tenant)

    async def of_run(self, run_id: str, tenant: str = "default") -> ScheduleStatus:
        """How the schedule stands that is this run. Raises RunNotFoundError."""
        return await self._status(await self._engine.state(run_id, tenant), tenant)

    async def get(self, schedule_id: str, tenant: str = "default") -> ScheduleStatus:
        """How it stands, or stood at its end. Raises RunNotFoundError."""
        return await self._status(await self._existing(schedule_id, tenant), tenant)

    async def pause(self, schedule_id: str, reason: str = "", tenant: str = "default") -> None:
        """Fire no more until `resume`, after which the policy for catching up says what becomes of what was missed.

        Runs that go on are left alone. Raises RunNotFoundError, RunEndedError.
        """
        await self._engine.pause(await self._open(schedule_id, tenant), reason, tenant=tenant)

    async def resume(self, schedule_id: str, tenant: str = "default") -> None:
        """Fire again. Raises RunNotFoundError, RunEndedError."""
        await self._engine.unpause(await self._open(schedule_id, tenant), tenant=tenant)

    async def trigger(self, schedule_id: str, tenant: str = "default", *, key: str | None = None) -> None:
        """Fire at once, once for each `key`; a firing like any other if it overlaps. When paused: once it is resumed.

        Raises RunNotFoundError, RunEndedError.
        """
        await self._engine.signal(await self._open(schedule_id, tenant), TRIGGER, key=key, tenant=tenant)

    async def delete(self, schedule_id: str, reason: str = "", tenant: str = "default") -> None:
        """Fire no more, and cancel the run that it waits for (with the policy `allow` it waits for none).

        Raises RunNotFoundError, RunEndedError.
        """
        await self._engine.cancel(await self._open(schedule_id, tenant), reason, tenant=tenant)

    async def _open(self, schedule_id: str, tenant: str) -> str:
        state = await self._existing(schedule_id, tenant)
        if state.end is not None:
            raise RunEndedError(f"the schedule {schedule_id!r} has ended ({state.status})")
        return state.started.run_id

    async def _existing(self, schedule_id: str, tenant: str) -> RunState:
        _, state = await self._latest(schedule_id, tenant)
        if state is None or state.started.workflow_type != SCHEDULE:
            raise RunNotFoundError(f"no schedule {schedule_id!r} of tenant {tenant!r}")
        return state

    async def _status(self, state: RunState, tenant: str) -> ScheduleStatus:
        run_id = state.started.run_id
        told = await self._engine.query(run_id, STATE, tenant=tenant)
        schedule = Schedule.parse(told.pop("schedule"))
        last = told["last"]
        if state.end is not None and last is not None and last["error_code"] is None:
            stream = stream_of(tenant, last["run_id"])
            if stream not in await asyncio.to_thread(self._log.heads, [stream]):
                # It was decided on, and before it was started the schedule was deleted.
                told |= {"last": None, "fired": told["fired"] - 1}
        return ScheduleStatus(schedule=schedule, status=state.status, run_id=run_id, **told)

    async def _latest(self, schedule_id: str, tenant: str) -> tuple[int, RunState | None]:
        """The number of the schedule's last life, 0 if it has none, and the run in which that goes on."""
        life = await self._count(lambda number: _life(schedule_id, number), tenant)
        if life == 0:
            return 0, None
        first = _life(schedule_id, life)
        runs = await self._count(lambda number: f"{first}~c{number}" if number > 1 else first, tenant)
        return life, await self._engine.state(f"{first}~c{runs}" if runs > 1 else first, tenant)

    async def _count(self, name: Callable[[int], str], tenant: str) -> int:
        """How many runs there are of `name(1)`, `name(2)` and so on."""
        number = 1
        while True:
            streams = [stream_of(tenant, name(each)) for each in range(number, number + _TOGETHER)]
            heads = await asyncio.to_thread(self._log.heads, streams)
            missing = next((place for place, stream in enumerate(streams) if stream not in heads), None)
            if missing is not None:
                return number + missing - 1
            number += _TOGETHER


def _life(schedule_id: str, number: int) -> str:
    return f"{schedule_id}~{number}" if number > 1 else schedule_id
