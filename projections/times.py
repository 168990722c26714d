"""How times of the log are shown to programs."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(at: int) -> str:
    """A time of microseconds since 1970 in ISO 8601, UTC, with all six decimals."""
    try:
        moment = datetime.fromtimestamp(at // 1_000_000, UTC).replace(microsecond=at % 1_000_000)
    except (ValueError, OverflowError, OSError):
        return f"{at} µs"  # a time that only tampering can have written
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
