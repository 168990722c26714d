"""What was decided administratively, by whom and when: the control streams as one list, the latest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..core.errors import IntegrityError
from ..core.ids import (
    ARCHIVES,
    BUDGETS,
    CONTROL,
    EMERGENCY,
    ERASURES,
    GOLDEN_KEYS,
    POLICIES,
    goldens_of,
    specs_of,
    webhooks_of,
)
from ..core.ports import Record
from ..eventstore.codec import open_envelope
from ..eventstore.store import Store
from .stored_events import told

ACCESS = f"{CONTROL}/access"
"""The control stream of keys."""

SERVICE_STREAMS: Mapping[str, str] = {
    "access": ACCESS,
    "archives": ARCHIVES,
    "budgets": BUDGETS,
    "emergency": EMERGENCY,
    "erasures": ERASURES,
    "golden-keys": GOLDEN_KEYS,
    "policies": POLICIES,
}
"""What is decided for the service as a whole, by what it is about."""

_OWN = ("at", "by", "reason", "tenant", "secret_sha256", "document", "spec")
_LONGEST = 200


class ControlPage(NamedTuple):
    """Decisions, and the cursor of those before them; None at the end."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


def control_streams(tenant: str, everywhere: bool) -> dict[str, str]:
    """The control streams that somebody of this tenant may see, by what they are about; with `everywhere` those of the
    service too. Raises CallError for what is no tenant."""
    own = {"goldens": goldens_of(tenant), "specs": specs_of(tenant), "webhooks": webhooks_of(tenant)}
    return {**SERVICE_STREAMS, **own} if everywhere else own


def control_page(store: Store, streams: Mapping[str, str], limit: int, before: int | None = None) -> ControlPage:
    """At most `limit` of what `streams` record before the time `before` (µs since the epoch), and whatever is of the
    same moment as the last of them: so the time alone says where the next page begins. Raises StoreError."""
    found: list[tuple[int, str, int, dict[str, Any]]] = []
    for about, stream in streams.items():
        found += [(at, about, row["version"], row) for at, row in _tail(store, about, stream, limit + 1, before)]
    found.sort(key=lambda each: each[:3], reverse=True)
    shown = found[:limit]
    shown += [each for each in found[limit:] if each[0] == shown[-1][0]]
    cursor = str(shown[-1][0]) if len(found) > len(shown) else None
    return ControlPage([row for *_, row in shown], cursor)


def _tail(
    store: Store, about: str, stream: str, count: int, before: int | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The last `count` of a stream's events before a time."""
    head = store.heads([stream]).get(stream)
    version, left = 0 if head is None else head.version, count
    while version > 0 and left > 0:
        first = max(version - count, 0)
        for record in reversed(store.read(stream, first, version - first)):
            at = _at(record)
            if left > 0 and (before is None or at < before):
                left -= 1
                yield at, _row(about, record)
        version = first


def _at(record: Record) -> int:
    """When an event was recorded; one that cannot be read stands at the very beginning."""
    try:
        return open_envelope(record).at
    except IntegrityError:
        return 0


def _row(about: str, record: Record) -> dict[str, Any]:
    event = told(record)
    data: dict[str, Any] = event["data"] or {}
    return {
        "about": about,
        "stream": record.stream,
        "version": record.version,
        "topic": record.topic,
        "at": event["time"],
        "by": str(data.get("by") or ""),
        "reason": str(data.get("reason") or ""),
        "what": {name: _short(value) for name, value in data.items() if name not in _OWN},
        "hash": event["hash"],
        "fault": event.get("fault"),
    }


def _short(value: Any) -> Any:
    return value[:_LONGEST] + "…" if isinstance(value, str) and len(value) > _LONGEST else value
