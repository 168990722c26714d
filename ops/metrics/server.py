"""`/metrics` of processes that serve nothing else."""

from __future__ import annotations

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from ...api.metrics_text import Metrics
from ...core.errors import CallError, Problem
from ..loopback import url_of

_FORM = "give HOST:PORT, or PORT for 127.0.0.1; 0 is any free port"
_AT_ONCE = 8


def metrics_socket(address: str) -> socket.socket:
    """A socket bound to `address`, HOST:PORT or PORT alone, which is one of 127.0.0.1. Raises CallError."""
    host, colon, digits = address.rpartition(":")
    name = host[1:-1] if re.fullmatch(r"\[.*\]", host) else host
    if (colon and not name) or not re.fullmatch(r"\d{1,5}", digits, re.ASCII) or int(digits) > 65_535:
        raise CallError(Problem("", f"{address[:60]!a} is no address for metrics", _FORM))
    name = name or "127.0.0.1"
    try:
        found = socket.getaddrinfo(name, int(digits), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise CallError(Problem("", f"the host {name[:60]!a} is not known", _FORM)) from None
    family, kind, protocol, _, place = min(found, key=lambda each: each[0] != socket.AF_INET)
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(16)
    except OSError as error:
        bound.close()
        reason = f"port {digits} of {name[:60]} cannot be had for metrics: {error.strerror or error}"
        raise CallError(Problem("", reason, "choose another one; 0 is any free one")) from None
    return bound


class MetricsServer:
    """Serves `metrics` on a bound socket, on threads of its own; a context manager. `url` is where."""

    def __init__(self, bound: socket.socket, metrics: Metrics):
        self.url = f"{url_of(bound)}/metrics"
        self.metrics = metrics
        self._server = _Server(bound, metrics)
        self._thread = threading.Thread(target=self._server.serve_forever, name="refold-metrics", daemon=True)

    def __enter__(self) -> MetricsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.metrics.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, bound: socket.socket, metrics: Metrics):
        super().__init__(bound.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.address_family = bound.family
        self.metrics = metrics
        self.room = threading.BoundedSemaphore(_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread, where there is room for one more."""
        if self.room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has gone; that is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "refold", ""
    timeout = 5

    def do_GET(self) -> None:
        """Answer `/metrics`."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        text, kind = cast("_Server", self.server).metrics.text()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""
