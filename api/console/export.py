"""A run as one file that stands alone: what its page shows, and all its events as JSON, to be verified offline."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from ...core.errors import IntegrityError
from ...core.ids import inbox_of, stream_of
from ...core.ports import Record
from ...eventstore.chain import event_hash
from ...eventstore.codec import references
from ...eventstore.store import Store
from ...projections.times import iso
from ..callers import Auditor, Caller
from ..ports import Given
from .assets import text_of
from .pages import draw
from .run_model import run_model
from .words import segment

router = APIRouter(include_in_schema=False)
"""`/runs/{run_id}/export`."""

_PAGE = 200
# Whatever a run says is escaped, so none of it can be taken for these.
_EVENTS = "<!--events-->"
_STORED = "<!--stored-->"


@router.get("/runs/{run_id}/export")
async def export(request: Request, run_id: str, ports: Given, caller: Auditor) -> StreamingResponse:
    """The file, as it is made: no more than a few hundred events are in memory at once."""
    page = await ports.ask(_frame, ports.store, run_id, caller, ports.build)
    style = base64.b64encode(hashlib.sha256(text_of("console.css").encode()).digest()).decode()
    headers = {
        "content-disposition": f'attachment; filename="{segment(run_id)}.html"',
        "content-security-policy": f"default-src 'none'; style-src 'sha256-{style}'",
        "cache-control": "no-store",
    }
    return StreamingResponse(_parts(ports.store, run_id, caller, page), 200, headers, "text/html; charset=utf-8")


def stored_json(record: Record) -> dict[str, Any]:
    """An event so that its hash can be computed again: SHA-256 over stream, version, topic and state, joined by NUL."""
    told: dict[str, Any] = {"stream": record.stream, "version": record.version, "topic": record.topic}
    told["hash"] = event_hash(record.stream, record.version, record.topic, record.state)
    try:
        told["state"] = record.state.decode("utf-8")
    except UnicodeDecodeError:
        told["state_base64"] = base64.b64encode(record.state).decode()
    return told


def _frame(store: Store, run_id: str, caller: Caller, build: str) -> str:
    model = run_model(store, run_id, caller, 0, 0)
    about = {"made_at": iso(time.time_ns() // 1000), "build": build, "style": text_of("console.css")}
    return draw("export.html", {**model, **about})


def _parts(store: Store, run_id: str, caller: Caller, page: str) -> Iterator[bytes]:
    stream = stream_of(caller.tenant, run_id)
    head, _, rest = page.partition(_EVENTS)
    middle, _, foot = rest.partition(_STORED)
    yield head.encode("utf-8", "replace")
    for record in _records(store, stream):
        yield draw("export_event.html", {"event": {**stored_json(record), "bytes": len(record.state)}}).encode()
    yield middle.encode("utf-8", "replace")
    first, large = True, set[str]()
    for each in (stream, inbox_of(stream)):
        for record in _records(store, each):
            large |= _pointed_to(record)
            yield (b"" if first else b",\n") + _harmless(stored_json(record))
            first = False
    yield b'\n],"payloads":{'
    for number, digest in enumerate(sorted(large)):
        for value in store.large([digest]).values():
            told = value.decode("utf-8", "replace")
            yield (b",\n" if number else b"\n") + _harmless(digest) + b":" + _harmless(told)
    yield b"}}" + foot.encode("utf-8", "replace")


def _records(store: Store, stream: str) -> Iterator[Record]:
    after = 0
    while page := store.read(stream, after, _PAGE):
        yield from page
        after = page[-1].version


def _pointed_to(record: Record) -> set[str]:
    try:
        return references([record])
    except IntegrityError:
        return set()


def _harmless(value: Any) -> bytes:
    """JSON that cannot end the element that it stands in."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()
