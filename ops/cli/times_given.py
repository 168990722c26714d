"""Points in time as people give them: a date, a date and time, or how long ago."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from ...core.durations import seconds_of
from ...core.errors import CallError, Problem

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time(option: str, text: str | None) -> int | None:
    """The time in µs since the epoch; what names no zone is in UTC, and a length of time counts back from now.

    Raises CallError.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return int((time.time() - seconds_of(text)) * 1_000_000)
        except CallError:
            fix = 'write "2026-05-01", "2026-05-01T12:30" or how long ago, such as "2h" or "7d"'
            raise CallError(Problem("", f"{option} {text[:60]!a} is no time", fix)) from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
