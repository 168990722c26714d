"""What a monitor of a shadow simulation tells on `/metrics`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from ..api.metrics import Metrics
from ..core.errors import CallError, Problem

_CLIENT_SECONDS = 5.0


class MonitorMetrics:
    """The latest figures of a monitor, as a source of `Metrics`. `up` is 0 for a simulation that died or was stopped
    before its end; the age is None where nothing more is to come. Before the first look nothing is told."""

    def __init__(self) -> None:
        self.up: int | None = None
        self.age_seconds: float | None = None
        self.mismatches = 0
        self.free_ratio: float | None = None

    def __call__(self) -> Iterator[Metric]:
        """The figures."""
        if self.up is None:
            return
        yield GaugeMetricFamily("refold_shadow_up", "1: the simulation runs, or came to its end.", value=self.up)
        yield GaugeMetricFamily("refold_shadow_mismatches", "Mismatches in all its records.", value=self.mismatches)
        if self.age_seconds is not None:
            meaning = "Seconds since its latest record; not told of one that has come to its end."
            yield GaugeMetricFamily("refold_shadow_log_age_seconds", meaning, value=self.age_seconds)
        if self.free_ratio is not None:
            disk = GaugeMetricFamily("refold_disk_free_ratio", "What is free of the disk, 0 to 1.", labels=["folder"])
            disk.add_metric(["shadow"], self.free_ratio)
            yield disk


def bound_to(text: str) -> socket.socket:
    """A socket that listens at `HOST:PORT`, port 0 for any free one. Raises CallError."""
    host, colon, port = text.rpartition(":")
    fix = "give HOST:PORT, such as 127.0.0.1:9464"
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise CallError(Problem("", f"--metrics {text[:60]!a} is no address", fix))
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        found = socket.getaddrinfo(bare, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(found[0][4][:2], family=found[0][0])  # pyright: ignore[reportArgumentType]
    except (OSError, UnicodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise CallError(Problem("", f"{text[:60]!a} cannot be had: {why}", fix)) from None


def serve_metrics(bound: socket.socket, source: MonitorMetrics) -> ThreadingHTTPServer:
    """Answer `GET /metrics` on the socket, on a thread, until the server is shut down."""
    metrics = Metrics([source])

    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS  # Of each read: nobody holds a thread for long.

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            body, kind = metrics.text()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: a client has gone."""

    server = Server(bound.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = bound
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
    return server


def address_of(bound: socket.socket) -> str:
    """Where a socket listens, as HOST:PORT."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
