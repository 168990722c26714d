"""A key as it is told: nothing of its secret, times as ISO 8601."""

from __future__ import annotations

from typing import Any

from ..core.access_log import Key
from .times import iso


def key_view(key: Key, now: int, last_used_at: int | None = None) -> dict[str, Any]:
    """The key as a JSON object, as it stands at `now` (microseconds since the epoch), and when it was last used."""
    told: dict[str, Any] = {**key.to_json(now), "last_used_at": last_used_at}
    return {name: iso(value) if name.endswith(_TIMES) and value is not None else value for name, value in told.items()}


_TIMES = ("_at", "_until")
