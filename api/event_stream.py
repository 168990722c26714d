"""Server-sent events (WHATWG HTML, section 9.2): what a run, or all runs of a tenant, do, as it is recorded.

An event's id is its version in the run's log, or its position in the whole log. Whoever comes back with it goes on
behind it. Of a tenant's log the id also goes along what is not the tenant's, in blocks without data, which move the
last id of a client and are no events to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import orjson
from fastapi import Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Send

from ..core.errors import InvalidError, Problem, RefoldError
from ..core.ids import run_of
from ..eventstore.store import Notification
from ..projections.stored_events import event_json, next_events
from .callers import Caller
from .live import Listener, LiveLog
from .ports import Ports

HEARTBEAT_SECONDS = 15.0
"""After how long without an event something is sent, so that nobody on the way takes the connection for dead."""

SEND_SECONDS = 30.0
"""For how long a client may take nothing; then it has to come back."""

RETRY_MS = 1_000
"""After how long a client is to come back that has lost its connection."""

MEDIA_TYPE = "text/event-stream"
"""WHATWG HTML, section 9.2.5."""

_PAGE = 100
_BEGIN = f"retry: {RETRY_MS}\n\n".encode()
_BEAT = b": still here\n\n"
_END = b"event: end\ndata: {}\n\n"


class EventStream(StreamingResponse):
    """The answer that goes on. A client that takes nothing for `SEND_SECONDS` loses its connection."""

    media_type = MEDIA_TYPE

    def __init__(self, blocks: AsyncGenerator[bytes]):
        super().__init__(blocks, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self._blocks = blocks

    async def stream_response(self, send: Send) -> None:
        """Send block after block."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for block in self._blocks:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
        except TimeoutError:
            return  # The server closes what was not ended.
        finally:
            await self._blocks.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def streamed(
    ports: Ports, caller: Caller, prefix: str, exact: bool, blocks: Callable[[Listener], AsyncIterator[bytes]]
) -> Response:
    """The stream of `blocks`, with a place for it, that is free again when the stream ends. Raises Refusal (503)."""

    async def taken() -> AsyncGenerator[bytes]:
        with ports.live.listening((caller.tenant, caller.name), prefix, exact=exact) as listener:
            yield b""
            async for block in blocks(listener):
                yield block

    stream = taken()
    # The place is taken before the answer begins, so that there can be a refusal instead.
    await anext(stream)
    return EventStream(stream)


def is_wanted(request: Request) -> bool:
    """Whether the Accept header asks for a stream of events."""
    offers = ",".join(request.headers.getlist("accept")).lower().split(",")
    return any(offer.partition(";")[0].strip() == MEDIA_TYPE for offer in offers)


def resumed_at(request: Request, after: int | None) -> int | None:
    """The id behind which to go on: that of the header Last-Event-ID, else `after`. Raises InvalidError."""
    ids = request.headers.getlist("last-event-id")
    if not ids or ids == [""]:
        return after
    if len(ids) > 1 or not (ids[0].isascii() and ids[0].isdecimal() and len(ids[0]) < 17):
        reason = "the header Last-Event-ID is none of an event of this stream"
        raise InvalidError(Problem("", reason, "send the id of the last event as it was, or no such header"))
    return int(ids[0])


async def run_blocks(
    ports: Ports, live: LiveLog, listener: Listener, stream: str, after: int, beat: float = HEARTBEAT_SECONDS
) -> AsyncIterator[bytes]:
    """The run's events after version `after`, as they come, to its end."""
    yield _BEGIN
    while not live.closed:
        records, ended = await ports.ask(next_events, ports.store, stream, after, _PAGE)
        if records:
            after = records[-1].version
            yield b"".join(_block(each.version, event_json(each)) for each in records)
        if ended:
            yield _END
            return
        if len(records) < _PAGE and not await listener.woken(beat):
            yield _BEAT


async def tenant_blocks(
    ports: Ports,
    live: LiveLog,
    listener: Listener,
    position: int | None,
    wants: Callable[[str], bool],
    beat: float = HEARTBEAT_SECONDS,
) -> AsyncIterator[bytes]:
    """The wanted events of a tenant's runs behind `position`, in the order of the log, as they come; None: from now."""
    if position is None:
        position = await ports.ask(ports.store.last_position)
    yield _BEGIN + _id(position)
    while not live.closed:
        page = await ports.ask(live.after, position)
        if page:
            position = page[-1].position
            found = [_block(each.position, tenant_json(each)) for each in page if is_heard(each, listener, wants)]
            if found:
                yield b"".join(found)
        elif not await listener.woken(beat):
            yield _id(position)


def is_heard(each: Notification, listener: Listener, wants: Callable[[str], bool]) -> bool:
    """Whether it is an event of a run that is listened to; inboxes are of no run."""
    return listener.hears(each.record.stream) and each.record.stream.count("/") == 1 and wants(each.record.topic)


def tenant_json(each: Notification) -> dict[str, Any]:
    """An event of a tenant's log: where it is, of which run, and as the run's pages have it."""
    try:
        run_id = run_of(each.record.stream)[1]
    except RefoldError:
        run_id = None
    return {"position": each.position, "run_id": run_id, **event_json(each.record)}


def _block(number: int, data: dict[str, Any]) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (number, orjson.dumps(data))


def _id(number: int) -> bytes:
    return b": still here\nid: %d\n\n" % number
