"""A run's events as they are stored, in a form that programs can read and hash again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..core.errors import IntegrityError, RunNotFoundError
from ..core.events import END_TOPICS
from ..core.ids import stream_of
from ..core.ports import Record
from ..eventstore.chain import event_hash
from ..eventstore.codec import open_envelope
from ..eventstore.store import Store
from .times import iso

_PAGE = 500


def stored_events(store: Store, run_id: str, tenant: str, after: int, limit: int | None) -> Iterator[dict[str, Any]]:
    """The events of a run after version `after`, at most `limit`, each as `told`. Raises RunNotFoundError at once."""
    stream = stream_of(tenant, run_id)
    if not store.heads([stream]) and not store.read(stream, 0, 1):
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    return map(told, _records(store, stream, after, limit))


def next_events(store: Store, stream: str, after: int, limit: int) -> tuple[Sequence[Record], bool]:
    """At most `limit` events after version `after`, and whether the run has ended with the last of them, or before."""
    records = store.read(stream, after, limit)
    if records:
        return records, len(records) < limit and records[-1].topic in END_TOPICS
    head = store.heads([stream]).get(stream)
    last = [] if head is None or head.version > after else store.read(stream, head.version - 1, 1)
    return records, bool(last) and last[0].topic in END_TOPICS


def event_json(record: Record) -> dict[str, Any]:
    """An event as the HTTP API tells it: as `told`, with `at` for its time."""
    event = told(record)
    event["at"] = event.pop("time")
    return event


def _records(store: Store, stream: str, after: int, limit: int | None) -> Iterator[Record]:
    left = limit
    while left is None or left > 0:
        page = store.read(stream, after, _PAGE if left is None else min(left, _PAGE))
        yield from page
        if not page:
            return
        after = page[-1].version
        left = None if left is None else left - len(page)


def told(record: Record) -> dict[str, Any]:
    """All that is stored of an event, enough to compute its hash again; `fault` says why one cannot be read."""
    digest = event_hash(record.stream, record.version, record.topic, record.state)
    about: dict[str, Any] = {"version": record.version, "topic": record.topic}
    try:
        envelope = open_envelope(record)
    except IntegrityError as error:
        return {**about, "fault": str(error), "time": None, "data": None, "hash": digest, "predecessor": None}
    return {
        **about,
        "time": iso(envelope.at),
        "data": envelope.data,
        "hash": digest,
        "predecessor": envelope.prev,
        "schema": envelope.v,
        "nonce": envelope.nonce,
        "build": envelope.build,
    }
