"""The HTTP server: the API on a bound socket, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI
from uvicorn import Config, Server

from ..api.access.access import Access
from ..api.access.issuer import Issuer
from ..api.access.tokens import IssuedTokens
from ..api.access.uses import NotedUses
from ..api.app import ApiLimits, create_app
from ..api.metrics_text import Metrics
from ..api.places import NOWHERE, Places
from ..api.ports import Ports
from ..compose import BUILD, WorkflowEngine
from .http_connection import ConnectionLimits, connections_with
from .loopback import is_loopback

STOP_SECONDS = 10
"""For how long requests under way are waited for when the server is to stop."""

_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve. `drain_seconds` is for how long a server that is to stop goes on answering while it already says
    that it is not ready. With `certificate` and `key`, files in PEM, it speaks TLS. Addresses in `forwarded` may say by
    X-Forwarded-For and X-Forwarded-Proto whom they speak for."""

    api: ApiLimits = field(default_factory=ApiLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    drain_seconds: float = 0.0
    certificate: Path | None = None
    key: Path | None = None
    forwarded: tuple[str, ...] = ()
    access_log: bool = False


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
        serving: Serving | None = None,
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
        self._serving = serving or Serving()
        self.app = create_app(engine, engine.store, BUILD, access, public_url, places=places, limits=self._serving.api)
        self._server = _Server(self.app, begun, self._serving)
        self._ports: Ports = self.app.state.ports
        self._ports.traffic.logs = self._serving.access_log

    @property
    def metrics(self) -> Metrics:
        """What it tells Prometheus; whoever has more to tell adds another source."""
        return self._ports.metrics

    async def run(self) -> None:
        """Serve until stopped."""
        try:
            await self._server.serve(sockets=[self._bound])
        finally:
            self._ports.end()

    def stop(self) -> None:
        """Say that it is not ready; after the time for that accept nothing more, answer what is under way, and have
        `run` return."""
        self._ports.traffic.draining = True
        if self._serving.drain_seconds:
            asyncio.get_running_loop().call_later(self._serving.drain_seconds, self._end)
        else:
            self._end()

    def _end(self) -> None:
        self._ports.traffic.stopping = True
        self._ports.close()
        self._server.should_exit = True


class _Server(Server):
    """Leaves signals to whoever runs it, and says when it has begun."""

    def __init__(self, app: FastAPI, begun: Callable[[], None], serving: Serving):
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        super().__init__(
            Config(
                app,
                http=connections_with(serving.connections),
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(serving.forwarded),
                forwarded_allow_ips=list(serving.forwarded),
                ssl_certfile=serving.certificate,
                ssl_keyfile=serving.key,
                backlog=_BACKLOG,
                timeout_keep_alive=round(serving.connections.idle_seconds),
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
