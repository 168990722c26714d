"""The HTTP server: the API on a bound socket, until it is told to stop."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import h11
from fastapi import FastAPI
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..api.access.access import Access
from ..api.access.issuer import Issuer
from ..api.access.tokens import IssuedTokens
from ..api.access.uses import NotedUses
from ..api.app import create_app
from ..api.places import NOWHERE, Places
from ..api.ports import Ports
from ..api.problems import MEDIA_TYPE, problem_bytes
from ..compose import BUILD, WorkflowEngine
from .loopback import is_loopback

STOP_SECONDS = 10
"""For how long requests under way are waited for when the server is to stop."""

_MAX_HEAD_BYTES = 256_000
"""Of a request line with its headers. Beyond it the connection is closed with a problem of its own."""

_BACKLOG = 1024


class HttpServer:
    """The API over `engine`, which executes nothing, on a bound socket. `begun` is called when it accepts requests."""

    def __init__(
        self,
        engine: WorkflowEngine,
        bound: socket.socket,
        begun: Callable[[], None],
        *,
        places: Places = NOWHERE,
        issuer: Issuer | None = None,
        public_url: str | None = None,
    ):
        """`issuer` is whose tokens count beside keys; people reach the server under `public_url`."""
        self.engine = engine
        self._bound = bound
        access = Access(
            engine.access,
            tokens=None if issuer is None else IssuedTokens(issuer),
            uses=NotedUses(engine.store.key_uses, engine.access.now),
            keyed=not is_loopback(bound.getsockname()[0]),
        )
        app = create_app(engine, engine.store, BUILD, access, public_url, places=places)
        self._server = _Server(app, begun)
        self._ports: Ports = app.state.ports

    async def run(self) -> None:
        """Serve until stopped."""
        await self._server.serve(sockets=[self._bound])

    def stop(self) -> None:
        """Accept nothing more, answer what is under way, and have `run` return."""
        self._ports.close()
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
