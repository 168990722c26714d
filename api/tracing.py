"""Requests in traces: a span for each, in the trace that the client says it is in.

A header is what anybody likes to send: of `traceparent` only what W3C Trace Context allows counts, and of several none.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.runtime.tracing import Tracer
from ..core.traces import TraceParent, parse_traceparent

HEADER = b"traceparent"
"""The header by which a client says in which span it asks (W3C Trace Context)."""

_UNTOLD = frozenset({"/health", "/ready", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> TraceParent | None:
    """The span that the client asks in; None if it says nothing that counts."""
    said = [value for name, value in headers if name == HEADER]
    return parse_traceparent(said[0].decode("latin-1").strip(" \t")) if len(said) == 1 else None


class Traced:
    """The middleware: tells `tracer` of requests, but for those by which others see whether the server lives.

    A span has the template of the route, never the path nor the query.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer):
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in _UNTOLD:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        span = self._tracer.begin(
            method, {"http.request.method": method}, kind="server", parent=trace_of(scope["headers"])
        )
        status = 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = span.enter()
        try:
            await self._app(scope, receive, sent)
        finally:
            span.leave(token)
            route = str(getattr(scope.get("route"), "path", "none"))
            told = {"http.route": route, "http.response.status_code": status}
            span.end(told, f"HTTP {status}" if status >= 500 else None, name=f"{method} {route}")
