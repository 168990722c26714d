"""The HTTP server: the API on a loopback socket, until it is told to stop."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import h11
from fastapi import FastAPI
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..api.app import create_app
from ..api.problems import MEDIA_TYPE, problem_bytes
from ..api.watch import EndWatch
from ..compose import BUILD, WorkflowEngine
from ..core.errors import CallError, Problem

STOP_SECONDS = 10
"""For how long requests under way are waited for when the server is to stop."""

_MAX_HEAD_BYTES = 256_000
"""Of a request line with its headers. Beyond it the connection is closed with a problem of its own."""

_BACKLOG = 1024


def loopback_socket(host: str, port: int) -> socket.socket:
    """A socket bound to `host`, which must be this machine's loopback interface; port 0 is any free one.

    Raises CallError for another host, since there are no keys yet, and when the port cannot be had.
    """
    fix = "use 127.0.0.1, ::1 or localhost; a proxy that asks for keys can stand before it"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE) if host else []
    except (OSError, UnicodeError):
        raise CallError(Problem("", f"the host {host[:60]!a} is not known", fix)) from None
    if not found or not all(ipaddress.ip_address(str(address[0])).is_loopback for *_, address in found):
        reason = f"{host[:60]!a} is not a loopback host, and without API keys whoever reaches it may do everything"
        raise CallError(Problem("", reason, fix))
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        reason = f"port {port} of {host} cannot be had: {error.strerror or error}"
        raise CallError(Problem("", reason, "choose another one; 0 is any free one")) from None
    return bound


def url_of(bound: socket.socket) -> str:
    """The URL under which a server on the socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def resolve_nothing(_name: str, _version: str | None) -> Mapping[str, Any] | None:
    """No workflow is known by name: there is no registry yet."""
    return None


class HttpServer:
    """The API over `engine`, which executes nothing, on a bound socket. `begun` is called when it accepts requests."""

    def __init__(self, engine: WorkflowEngine, bound: socket.socket, begun: Callable[[], None]):
        self.engine = engine
        self._bound = bound
        app = create_app(engine, engine.store, resolve_nothing, BUILD)
        self._server = _Server(app, begun)
        self._watch: EndWatch = app.state.ports.watch

    async def run(self) -> None:
        """Serve until stopped."""
        await self._server.serve(sockets=[self._bound])

    def stop(self) -> None:
        """Accept nothing more, answer what is under way, and have `run` return."""
        self._watch.close()
        self._server.should_exit = True


class _Server(Server):
    """Leaves signals to whoever runs it, and says when it has begun."""

    def __init__(self, app: FastAPI, begun: Callable[[], None]):
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        super().__init__(
            Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._begun = begun

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing is captured."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._begun()


class _Protocol(H11Protocol):
    """Answers what is no HTTP by a problem document, as everything else."""

    def send_400_response(self, msg: str) -> None:
        """Answer and close. Nothing can be answered once an answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = problem_bytes(400, "INPUT_INVALID", "this is no HTTP request that can be read")
            headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close"}
            headers["x-content-type-options"] = "nosniff"
            for event in (
                h11.Response(status_code=400, headers=list(headers.items())),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
