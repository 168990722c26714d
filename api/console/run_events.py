"""The events of a run, a page of them: each with its stored bytes, its hash and its predecessor's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from ...core.ports import Record
from ...eventstore.store import Store
from ...projections.stored_events import told

PAGE = 100
"""So many events stand on one page."""

TICKS = 240
"""So many ticks the strip of the chain has at most; each then stands for several events."""

MAX_STORED = 4_000
"""Of an event's stored state a page shows so many characters; the API and the export have all of it."""

_SAID = ("error_code", "reason", "name", "child", "message", "status")


def events_page(
    store: Store, stream: str, after: int, last: int, findings: Sequence[Mapping[str, Any]], begun: int | None
) -> dict[str, Any]:
    """The events after number `after`, where pages before and after begin, and what was found wrong with each.

    `begun` is when the run began, in µs since the epoch, None where nobody knows.
    """
    records = store.read(stream, after, PAGE)
    wrong: dict[int, list[str]] = {}
    for found in findings:
        if found["stream"] == stream:
            wrong.setdefault(found["number"], []).append(f"{found['kind']}: {found['reason']}")
    return {
        "after": after,
        "shown": [_told(record, wrong.get(record.version, []), begun) for record in records],
        "before": max(after - PAGE, 0) if after else None,
        "next": records[-1].version if records and records[-1].version < last else None,
        "total": last,
        "page": PAGE,
    }


def strip_of(last: int, findings: Sequence[Mapping[str, Any]], stream: str) -> list[dict[str, Any]]:
    """The ticks of the chain up to event `last`: which events each stands for, and what is wrong with them."""
    wrong = [found for found in findings if found["stream"] == stream]
    ends = max([last, *(found["number"] for found in wrong)])
    size = -(-ends // TICKS) or 1
    ticks: list[dict[str, Any]] = []
    for first in range(1, ends + 1, size):
        until = min(first + size - 1, ends)
        bad = [found for found in wrong if first <= found["number"] <= until]
        reasons = [f"event {found['number']}: {found['kind']}: {found['reason']}" for found in bad[:5]]
        at = bad[0]["number"] if bad else first
        ticks.append({"first": first, "last": until, "at": at, "findings": reasons})
    return ticks


def _told(record: Record, wrong: list[str], begun: int | None) -> dict[str, Any]:
    event = told(record)
    event["at"] = event.pop("time")
    at = None if event["at"] is None else datetime.fromisoformat(event["at"]).timestamp()
    stored = record.state.decode("utf-8", "replace")
    data = cast("dict[str, Any]", event["data"] or {})
    said = [str(data[name])[:120] for name in _SAID if isinstance(data.get(name), str) and data[name]]
    return {
        **event,
        "step_id": data.get("step_id") if isinstance(data.get("step_id"), str) else None,
        "said": said[0] if said else None,
        "stored": stored[:MAX_STORED],
        "stored_bytes": len(record.state),
        "findings": wrong,
        "seconds": None if at is None or begun is None else max(at - begun / 1e6, 0.0),
    }
