"""The run that a schedule is: a workflow function, so that the log being the lock lets each firing happen once.

Fire times are found by a step and recorded: a new time zone database changes what is to come, never what was.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from ...catalog import parse_name
from ...errors import StepFailedError, StepTimeoutError
from ..functions.durable import call, continue_as_new, gather, now, run_workflow, set_query, wait_signal
from ..functions.workflow import workflow
from ..skill import skill
from .fire_times import Timing, given_of
from .fire_times import due as due_at
from .schedule import Fire, Schedule, fire_of, trigger_of

SCHEDULE = "refold.schedule"
"""The workflow type of schedules."""

TRIGGER = "trigger"
"""The signal that has a schedule fire at once."""

STATE = "schedule"
"""The query that tells how a schedule stands."""

FIRINGS = 500
"""After so many a schedule is continued by a new run, with an empty history."""

LONGEST_WAIT_SECONDS = 30 * 86_400
"""After this it looks at the time zone database again."""


@skill("refold.fire_times", inline=True)
def find_due(timing: dict[str, Any], after: int, at: int) -> dict[str, Any]:
    """The firings of `timing` that are due at `at` when all up to `after` is settled. See `fire_times.due`."""
    return due_at(Timing(**timing), after, at)._asdict()


@workflow(SCHEDULE)
async def run_schedule(
    schedule: dict[str, Any],
    settled: int | None = None,
    waiting: list[list[str]] = [],  # noqa: B006 (never changed, and a workflow's defaults are JSON)
    counts: dict[str, int] = {},  # noqa: B006
    last: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fire as `schedule` says, until its end if it has one. All else is what the run before this one left behind."""
    given = Schedule.parse(schedule)
    firings = _Firings(given, settled, [Fire(*each) for each in waiting], counts, last)
    set_query(STATE, firings.state)
    while True:
        if not firings.waiting:
            firings.waiting.extend(await firings.next())
            if not firings.waiting:
                return firings.state()
        if given.overlap == "allow":
            await firings.start()
        else:
            firings.busy = True
            await gather(firings.work(), firings.watch())
        firings.continue_after(FIRINGS)


class _Firings:
    """What is due, what waits, and what was done about it."""

    def __init__(
        self,
        schedule: Schedule,
        settled: int | None,
        waiting: list[Fire],
        counts: dict[str, int],
        last: dict[str, Any] | None,
    ):
        self.schedule = schedule
        self.waiting = deque(waiting)
        self.busy = False
        self._settled = math.floor(now().timestamp()) if settled is None else settled
        self._next: int | None = None
        self._over = False
        self._counts = {"fired": 0, "skipped": 0, "failed": 0, "triggered": 0, **counts}
        self._last = last
        self._running: Fire | None = None
        self._here = 0

    def state(self) -> dict[str, Any]:
        """How the schedule stands: the answer to the query, and the output of a schedule that has ended."""
        upcoming = None if self._next is None or self._over else fire_of(self.schedule.schedule_id, self._next).at
        return {
            "schedule": self.schedule.to_json(),
            "next": upcoming,
            "running": None if self._running is None else self._running.run_id,
            "waiting": [fire.run_id for fire in self.waiting],
            "last": self._last,
            **self._counts,
        }

    async def next(self) -> list[Fire]:
        """The next firings: those that come due, or one that is triggered. None of them: the schedule is over."""
        while not self._over:
            moment = now()
            at = math.floor(moment.timestamp())
            if self._next is None or self._next <= at:
                found = await call(find_due, timing=given_of(self.schedule.timing), after=self._settled, at=at)
                self._settled, self._next = found["settled"], found["next"]
                self._over = self._next is None
                if found["due"]:
                    return [fire_of(self.schedule.schedule_id, each) for each in found["due"]]
                continue
            try:
                await wait_signal(TRIGGER, timeout=_pause(self._next, moment))
            except StepTimeoutError:
                if self._next > math.floor(now().timestamp()):
                    self._next = None
                continue
            self._counts["triggered"] += 1
            return [trigger_of(self.schedule.schedule_id, now(), self._counts["triggered"])]
        return []

    async def start(self) -> None:
        """Start the run of each firing that waits, and let it go its own way."""
        while self.waiting:
            await self._fire(self.waiting.popleft(), detached=True)

    async def work(self) -> None:
        """Run the firings that wait, one after another."""
        while self.waiting:
            self.continue_after(FIRINGS)
            self._running = self.waiting.popleft()
            await self._fire(self._running, detached=False)
            self._running = None
        self.busy = False

    async def watch(self) -> None:
        """Meanwhile, do about new firings what the policy says; return with those that find nothing running."""
        while fires := await self.next():
            if not self.busy or self.schedule.overlap == "queue":
                self.waiting.extend(fires)
                if not self.busy:
                    return
            elif self.schedule.overlap == "skip":
                self._counts["skipped"] += len(fires)
            else:
                # A run that waits for a child no longer, because it goes on as another, has it cancelled.
                self._continue(fires[-1:])

    def continue_after(self, firings: int) -> None:
        """Go on as a new run after so many firings."""
        if self._here >= firings:
            self._continue(list(self.waiting))

    def _continue(self, waiting: list[Fire]) -> NoReturn:
        continue_as_new(
            schedule=self.schedule.to_json(),
            settled=self._settled,
            waiting=[list(fire) for fire in waiting],
            counts=self._counts,
            last=self._last,
        )

    async def _fire(self, fire: Fire, *, detached: bool) -> None:
        schedule = self.schedule
        inputs = dict(schedule.inputs)
        if schedule.time_input is not None:
            inputs[schedule.time_input] = fire.at
        name, version = (None, None) if schedule.workflow is None else parse_name(schedule.workflow)
        self._here += 1
        self._counts["fired"] += 1
        self._last = {"run_id": fire.run_id, "scheduled_at": fire.at, "error_code": None}
        try:
            await run_workflow(
                schedule.spec or {} if name is None else name,
                inputs,
                run_id=fire.run_id,
                version=version,
                queue=schedule.queue,
                detached=detached,
            )
        except StepFailedError as error:  # A run that fails, or could not start, keeps no later one from running.
            self._counts["failed"] += 1
            self._last = {**self._last, "error_code": error.step_code}


def _pause(until: int, moment: datetime) -> float:
    """The seconds from `moment` to `until`, made so that no microsecond is lost where they are counted again."""
    wanted = (datetime.fromtimestamp(until, UTC) - moment) // timedelta(microseconds=1)
    wanted = min(wanted, LONGEST_WAIT_SECONDS * 1_000_000)
    pause = wanted / 1_000_000
    return pause if int(pause * 1_000_000) >= wanted else math.nextafter(pause, math.inf)
