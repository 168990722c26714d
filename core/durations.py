"""Lengths of time as people write them: 90, 1.5, "90s", "1h30m", "2d", or a timedelta."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import CallError, Problem

MAX_SECONDS = 10 * 366 * 86_400
"""The longest length of time that anything can be asked to last: ten years."""

Duration = float | str | timedelta
"""Seconds, text, or a timedelta."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|[smhdw])")
_WHOLE = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ms|[smhdw]))+")


def seconds_of(duration: Duration) -> float:
    """`duration` in seconds. Raises CallError for what is none, is negative, or lasts longer than ten years."""
    seconds: object = duration  # Callers are users: the type is a promise, not a fact.
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, str) and _WHOLE.fullmatch(duration):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SECONDS:
        raise _refused(duration)
    return seconds


def _refused(duration: object) -> CallError:
    shown = ascii(duration)[:60] if isinstance(duration, str | float) else f"of type {type(duration).__name__}"
    fix = 'write seconds, or text such as "90s", "1h30m" or "2d"; at most ten years'
    return CallError(Problem("", f"{shown} is no length of time", fix))
