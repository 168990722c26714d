"""When a schedule fires: a function of its definition, never of when anybody woke up, so lateness does not add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ...errors import CallError, Problem

GRACE_SECONDS = 10
"""A firing that is no later than this was not missed."""

MOST_DUE = 100
"""At most this many firings are found due at once; those that follow are found next."""

_LOOK_BACK = (3_600, 86_400, 40 * 86_400, 400 * 86_400, 9 * 366 * 86_400)
"""How far back to look for the last firing, in seconds: the nearest span that holds one is soonest searched."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule fires. Times are in seconds since the epoch, lengths in seconds; see `Schedule`."""

    cron: str | None = None
    every: int | None = None
    offset: int = 0
    timezone: str = "UTC"
    start_at: float | None = None
    end_at: float | None = None
    catch_up: str = "last"
    window: int | None = None


def given_of(timing: Timing) -> dict[str, Any]:
    """The fields of `timing` that are not as usual: what histories record must not change when fields are added."""
    usual = asdict(Timing())
    return {name: value for name, value in asdict(timing).items() if value != usual[name]}


class Due(NamedTuple):
    """The firings that are due, oldest first, up to when all is settled with them, and when the next one comes."""

    due: list[int]
    settled: int
    next: int | None


def fire_times(timing: Timing, after: int) -> Iterator[int]:
    """The times at which `timing` fires after `after`, ascending, each once.

    A cron expression is read in its time zone as Debian's cron does: what falls into the hour that spring leaves out
    fires when that is over, what falls into the hour that autumn has twice fires in the first of them; an expression
    whose minutes or hours begin with a star goes by the time that really passes, so it skips the one and has the other
    twice.
    """
    if timing.start_at is not None:
        after = max(after, ceil(timing.start_at) - 1)
    for at in _intervals(timing, after) if timing.every is not None else _crons(timing, after):
        if timing.end_at is not None and at > timing.end_at:
            return
        yield at


def _intervals(timing: Timing, after: int) -> Iterator[int]:
    every = timing.every or 1
    at = ((after - timing.offset) // every + 1) * every + timing.offset
    while True:
        yield at
        at += every


def _crons(timing: Timing, after: int) -> Iterator[int]:
    last = after
    for moment in CronSim(timing.cron or "", datetime.fromtimestamp(after, _zone(timing.timezone))):
        at = round(moment.timestamp())
        if at > last:  # Two times of the hour that spring leaves out are the same moment.
            last = at
            yield at


def due(timing: Timing, after: int, at: int) -> Due:
    """What is due at `at` when everything up to `after` is settled, as the policy for catching up says."""
    found: list[int] = []
    settled = max(after, at)
    if timing.catch_up == "all":
        window = 0 if timing.window is None else at - timing.window - 1
        for each in fire_times(timing, max(after, window)):
            if each > at:
                break
            found.append(each)
            if len(found) == MOST_DUE:
                settled = each
                break
    else:
        late = GRACE_SECONDS if timing.catch_up == "none" else timing.window
        last = _last(timing, after if late is None else max(after, at - late - 1), at)
        found = [] if last is None else [last]
    return Due(found, settled, next(fire_times(timing, settled), None))


def _last(timing: Timing, after: int, at: int) -> int | None:
    """The last time that it fires after `after` and not after `at`; one more than nine years ago counts for nothing."""
    for span in _LOOK_BACK:
        found = None
        for each in fire_times(timing, max(after, at - span)):
            if each > at:
                break
            found = each
        if found is not None or after >= at - span:
            return found
    return None


def check_cron(expression: str) -> str:
    """`expression`, if it can be read and ever fires. Raises CallError."""
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        fix = 'five fields: minute, hour, day of month, month, day of week, as in "0 2 * * MON-FRI"'
        raise CallError(Problem("", f"{ascii(expression)[:60]} is no cron expression: {error}", fix)) from None
    except StopIteration:
        reason = f"{ascii(expression)[:60]} never fires"
        raise CallError(Problem("", reason, "choose days that occur")) from None
    return expression


def check_zone(name: str) -> str:
    """`name`, if it is a time zone. Raises CallError."""
    _zone(name)
    return name


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # no such name, or what is a folder or no text of the system's
        fix = 'use an IANA name such as "Europe/Berlin" or "UTC"'
        raise CallError(Problem("", f"{ascii(name)[:60]} is no time zone", fix)) from None
