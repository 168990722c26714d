"""Exported histories: what `refold events RUN --json` wrote, read back as events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..core.canonical import canonical_json
from ..core.errors import CallError, IntegrityError, Problem, RefoldError
from ..core.events import Event, RunStarted
from ..core.ids import stream_of
from ..core.ports import Record
from ..eventstore.chain import event_hash
from ..eventstore.codec import decode, open_envelope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXPORT = "export the run with: refold events RUN --json"


def exported_events(told: Iterable[Mapping[str, Any]]) -> list[Event]:
    """The events of one run, from its first one on, as `refold.projections.stored_events.told` wrote them.

    Raises IntegrityError where one's hash is not that of its content, CallError for what is no export.
    """
    events: list[Event] = []
    stream = ""
    for number, each in enumerate(told, 1):
        try:
            state = _state(each)
            version, topic, digest = int(each["version"]), str(each["topic"]), each["hash"]
        except (KeyError, TypeError, ValueError, RefoldError) as error:
            reason = f"event {number} is no exported one: {type(error).__name__} {error}"
            raise CallError(Problem("", reason, _EXPORT)) from None
        record = Record(stream, version, topic, state)
        if version != number:
            raise CallError(Problem("", f"event {number} is number {version} of its run", _EXPORT))
        event = _decoded(record)
        if isinstance(event, RunStarted):
            stream = stream_of(event.tenant, event.run_id)
        if event_hash(stream, version, topic, state) != digest:
            raise IntegrityError(f"event {number} of the exported history is not what its hash says")
        events.append(event)
    if not events:
        raise CallError(Problem("", "the history holds no events", _EXPORT))
    return events


def _state(told: Mapping[str, Any]) -> bytes:
    at = (datetime.fromisoformat(told["time"]) - _EPOCH) // timedelta(microseconds=1)
    return canonical_json(
        {
            "at": at,
            "build": told["build"],
            "data": told["data"],
            "nonce": told["nonce"],
            "prev": told["predecessor"],
            "v": told["schema"],
        }
    )


def _decoded(record: Record) -> Event:
    data = open_envelope(record).data
    kept = sorted(name for name in data if name.endswith("_ref"))
    if kept:
        reason = f"event {record.version} holds a value of more than 64 KiB ({kept[0]}), which an export leaves out"
        raise CallError(Problem("", reason, "replay the run where its database is: refold replay RUN"))
    return decode(record, {})
