"""One connection to the HTTP server: what it may cost, and for how long. Uvicorn itself knows few of these limits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ..api.admission import BUSY
from ..api.problems import MEDIA_TYPE, problem_bytes
from ..api.traffic import left

_MAX_URL_BYTES = 65_535
"""What the parser of URLs can take."""

_FAULTS = {
    HTTPStatus.BAD_REQUEST: "this is no HTTP request that can be read",
    HTTPStatus.REQUEST_URI_TOO_LONG: "the path and the query are too long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the request line and the headers are too large",
}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Connections at once; bytes of a request line with its headers; requests sent ahead of their answers on a
    connection; seconds for a head to come, for a client to read what it was sent, and for a kept-alive connection
    without a request."""

    connections: int = 1_000
    head_bytes: int = 131_072
    ahead: int = 100
    head_seconds: float = 10.0
    write_seconds: float = 30.0
    idle_seconds: float = 30.0


class Connection(HttpToolsProtocol):
    """Answers what is no HTTP by a problem document, as everything else, and ends what takes too much or too long."""

    def __init__(
        self,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ):
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._in_head = False
        self._head_bytes = 0
        self._fault = HTTPStatus.BAD_REQUEST
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Let it in, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._end_with(HTTPStatus.SERVICE_UNAVAILABLE, BUSY, "too many connections are open", "retry-after: 1")
            return
        self._head_timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever was asked for over it need not begin any more."""
        self._stop_timers()
        if not self._is_idle():
            left(self.cycle.scope)
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes, and see to it that a head which has begun also ends."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        if not self._in_head and not self._is_idle():
            self._stop_head_timer()
        elif self._in_head and self._head_bytes > self._limits.head_bytes:
            self._fault = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        """A part of the path with its query."""
        super().on_url(url)
        if len(self.url) > _MAX_URL_BYTES:
            self._fault = HTTPStatus.REQUEST_URI_TOO_LONG
            raise ValueError("the URL is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are not taken: nothing here reads them, and they have no end."""
        if not self._in_head:
            raise ValueError("trailers are not taken")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check what the parser does not."""
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._limits.head_bytes:
            self._fault = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("the head is too large")
        parser: Any = self.parser
        if parser.get_http_version() not in ("1.1", "1.0"):
            raise ValueError("another version of HTTP")
        # RFC 9112, section 3.2: one, and never more.
        if sum(name == b"host" for name, _ in self.headers) != 1:
            raise ValueError("not one Host")
        # RFC 9112, section 6.1: codings that are not understood are refused; the parser reads past all but the last.
        if any(name == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in self.headers):
            raise ValueError("another transfer coding")
        if len(self.pipeline) >= self._limits.ahead:
            self.transport.abort()
            raise ValueError("too many requests were sent ahead")
        super().on_headers_complete()
        if parser.should_upgrade():
            self.cycle.keep_alive = False  # The parser takes nothing for HTTP that follows.

    def send_400_response(self, msg: str) -> None:
        """Answer and close. Nothing can be answered within an answer; what was asked before is answered first."""
        if self._is_idle():
            self._refuse()
        elif self.cycle.more_body and not self.cycle.response_started and not self.pipeline:
            # The fault is within the body: whoever reads it hears that the client has gone.
            self._refuse()
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self.cycle.more_body:
            self._close()
        else:
            self.cycle.keep_alive = False
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to, or not at all."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        self._close()

    def shutdown(self) -> None:
        """The server stops: what is under way is answered."""
        super().shutdown()
        if self.transport.is_closing():
            self._close()

    def _is_idle(self) -> bool:
        """Whether no request is under way."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head and self._head_bytes and self._is_idle():
            self._end_with(HTTPStatus.REQUEST_TIMEOUT, "INPUT_INVALID", "the request did not come in time")
        elif self._is_idle():
            self._close()

    def _refuse(self) -> None:
        self._end_with(self._fault, "INPUT_INVALID", _FAULTS[self._fault])

    def _end_with(self, status: HTTPStatus, code: str, detail: str, *headers: str) -> None:
        body = problem_bytes(status, code, detail)
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(body)}",
            "connection: close",
            "x-content-type-options: nosniff",
            *headers,
        )
        self.transport.write("\r\n".join((*lines, "", "")).encode() + body)
        self._close()

    def _close(self) -> None:
        """Close when everything is read that was sent, but wait no longer for it than for anything else."""
        self._stop_timers()
        self._unset_keepalive_if_required()
        self.transport.close()
        self._write_timer = self.loop.call_later(self._limits.write_seconds, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_timers(self) -> None:
        self._stop_head_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def connections_with(limits: ConnectionLimits) -> type[Connection]:
    """The class of the server's connections."""

    class Limited(Connection):
        def __init__(self, **given: Any):
            super().__init__(limits, **given)

    return Limited
