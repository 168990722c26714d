"""What a webhook is told of an event: a JSON object of at most 64 KiB, made from the log when it is sent.

    {"type": "run.completed", "timestamp": "…Z", "data": {"tenant", "run_id", "workflow_type", "version", "hash", …}}

`version` is the event's number in its stream and `hash` its chain hash; the other fields are the event's own. What is
too large is left out: under its name with `_omitted` stand its SHA-256, its size and a note.
"""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
from typing import Any, NamedTuple

from ..core.canonical import Payload, canonical_json
from ..core.errors import CallError, IntegrityError, NotCanonicalError
from ..core.events import Event, RunEnd, RunStarted
from ..core.hashing import sha256_hex
from ..core.ids import run_of
from ..eventstore.chain import event_hash
from ..eventstore.codec import decode, references
from ..eventstore.log import EventLog
from ..eventstore.outbox import Delivery
from ..eventstore.store import Store
from .texts import message_text
from .times import iso

MAX_BODY_BYTES = 64 * 1024
"""The largest body."""

_LEFT_OUT = {"at", "document", "spec", "source", "inputs", "semantics", "trace"}
"""Fields of no use to a receiver, or that say more than what happened: specs, inputs, whole policies."""

_MESSAGES = {"comment", "message", "note", "reason"}
"""Fields in which skills and people say what they like."""

_NOTE = "too large for a webhook; read it from Refold"


class _Field(NamedTuple):
    value: Any
    data: bytes


def body_of(store: Store, delivery: Delivery) -> bytes:
    """The body for a delivery: canonical JSON (RFC 8785). Raises IntegrityError if the event cannot be read, and
    StoreError."""
    records = store.read(delivery.stream, delivery.version - 1, 1)
    if not records or records[0].version != delivery.version or records[0].topic != delivery.topic:
        raise IntegrityError(f"event {delivery.version} of {delivery.stream} is not there any more")
    record = records[0]
    hashes = references(records)
    event = decode(record, store.large(sorted(hashes)) if hashes else {})
    about: dict[str, Any] = {"tenant": delivery.tenant, **_run(store, delivery.stream)}
    about |= {"version": record.version, "hash": event_hash(record.stream, record.version, record.topic, record.state)}
    if isinstance(event, RunEnd):
        about["status"] = event.topic.partition(".")[2]
    told = {name: field for name, field in _fields(event).items() if name not in about or about[name] is None}
    return _fitted({"type": record.topic, "timestamp": iso(event.at)}, about, told)


def ping(endpoint_id: str, tenant: str, at: int) -> bytes:
    """The body that tells of nothing, to try an endpoint."""
    about = {"tenant": tenant, "endpoint_id": endpoint_id}
    return canonical_json({"type": "webhook.ping", "timestamp": iso(at), "data": about})


def _run(store: Store, stream: str) -> dict[str, Any]:
    try:
        _, run_id = run_of(stream)
    except CallError:
        return {"run_id": None, "workflow_type": None}
    first = EventLog(store, "").events(stream, 0, 1)
    started = first[0] if first else None
    return {"run_id": run_id, "workflow_type": started.workflow_type if isinstance(started, RunStarted) else None}


def _fields(event: Event) -> dict[str, _Field]:
    found: dict[str, _Field] = {}
    for field in fields(event):
        value: Any = getattr(event, field.name)
        if field.name in _LEFT_OUT:
            continue
        if isinstance(value, Payload):
            found[field.name] = _Field(value.value, value.data)
            continue
        if field.name in _MESSAGES and isinstance(value, str):
            value = message_text(value)
        elif is_dataclass(value) and not isinstance(value, type):
            value = asdict(value)
        try:
            found[field.name] = _Field(value, canonical_json(value))
        except NotCanonicalError:
            continue
    return found


def _fitted(head: dict[str, Any], about: dict[str, Any], told: dict[str, _Field]) -> bytes:
    data = {**about, **{name: field.value for name, field in told.items()}}
    left = sorted(told, key=lambda name: len(told[name].data))
    while True:
        body = canonical_json({**head, "data": data})
        if len(body) <= MAX_BODY_BYTES or not left:
            return body
        largest = left.pop()
        del data[largest]
        given = told[largest].data
        data[f"{largest}_omitted"] = {"sha256": sha256_hex(given), "bytes": len(given), "note": _NOTE}
