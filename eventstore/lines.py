"""Events and payloads as lines of JSON, in archives and exports: a person can read them, and no byte is lost.

What is stored of an event stands at the end of its line as it is, for canonical JSON (RFC 8785) holds no line break:

    {"position":7,"stream":"default/a","topic":"run.started","version":1,"state":{"at":…}}
    {"payload":"<sha-256>","data":…}
"""

from __future__ import annotations

from typing import Any

import orjson

from ..core.errors import IntegrityError
from ..core.hashing import sha256_hex
from ..core.ports import Record
from .store import Notification

_STATE, _DATA = b',"state":', b',"data":'
_END = b"}\n"
_MEMBERS = {"position", "stream", "topic", "version"}
_TYPES = (int, str, int, str, bytes)
_MOST = 2**63 - 1


def event_line(position: int, record: Record) -> bytes:
    """The line of an event. Raises IntegrityError for stored bytes that are no JSON of ours."""
    if b"\n" in record.state or not record.state.startswith(b"{"):
        raise IntegrityError(f"event {record.version} of {record.stream} holds no readable state")
    about = {"position": position, "stream": record.stream, "topic": record.topic, "version": record.version}
    return orjson.dumps(about)[:-1] + _STATE + record.state + _END


def payload_line(digest: str, data: bytes) -> bytes:
    """The line of a large payload. Raises IntegrityError for bytes that are not those of its hash."""
    if b"\n" in data or sha256_hex(data) != digest:
        raise IntegrityError(f"the payload {digest} was altered")
    return orjson.dumps({"payload": digest})[:-1] + _DATA + data + _END


def event_of(line: bytes) -> Notification:
    """The event in a line. Raises ValueError for anything else."""
    about, state = _halves(line, _STATE)
    if about.keys() != _MEMBERS:
        raise ValueError("it is no event")
    record = Record(about["stream"], about["version"], about["topic"], state)
    position = about["position"]
    if tuple(map(type, (position, *record))) != _TYPES or min(position, record.version) < 1:
        raise ValueError("it is no event")
    if max(position, record.version) > _MOST or "\0" in record.stream + record.topic:
        raise ValueError("no database can hold it")
    return Notification(position, record)


def payload_of(line: bytes) -> tuple[str, bytes]:
    """Hash and bytes of the large payload in a line. Raises ValueError for anything else, and altered bytes."""
    about, data = _halves(line, _DATA)
    if about.keys() != {"payload"} or sha256_hex(data) != about["payload"]:
        raise ValueError("it is no payload, or an altered one")
    return about["payload"], data


def _halves(line: bytes, mark: bytes) -> tuple[dict[str, Any], bytes]:
    # Within a JSON text every quote is escaped, so the first mark is the member's name.
    about, found, rest = line.partition(mark)
    if not found or not rest.endswith(_END):
        raise ValueError("it is cut off, or of another kind")
    return orjson.loads(about + b"}"), rest[: -len(_END)]
