"""A TCP proxy of our own between processes and their database, which can cut, hold and lose connections."""

from __future__ import annotations

import asyncio
from typing import cast


class Proxy:
    """Listens on a loopback port, and passes everything on to the Unix socket of a PostgreSQL."""

    def __init__(self, socket: str):
        self._socket = socket
        self._ends: set[_Client] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refuses = False

    async def start(self) -> int:
        """Begin to listen; the port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._ends)

    def cut(self) -> None:
        """Break all connections, and every new one, until `mend`."""
        self._refuses = True
        for end in list(self._ends):
            end.abort()

    def stall(self) -> None:
        """Let no byte through in either direction, until `mend`; nobody is told anything."""
        self._flowing.clear()
        for end in self._ends:
            end.hold()

    def halve(self) -> list[_Client]:
        """Lose the server's side of all connections without a word to the clients; new ones are well."""
        lost = list(self._ends)
        for end in lost:
            end.lose_server()
        return lost

    def reset(self, lost: list[_Client]) -> None:
        """Break those connections, as the system does at last when nobody answers."""
        for end in lost:
            end.abort()

    def mend(self) -> None:
        """Let everything through again."""
        self._refuses = False
        self._flowing.set()
        for end in self._ends:
            end.release()

    async def close(self) -> None:
        """End it, with all connections."""
        self.cut()
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)

    # What follows is for the ends alone.

    @property
    def refuses(self) -> bool:
        """Whether connections are broken as they come."""
        return self._refuses

    @property
    def flows(self) -> bool:
        """Whether bytes go through."""
        return self._flowing.is_set()

    def came(self, end: _Client) -> None:
        """A client has come."""
        self._ends.add(end)

    def went(self, end: _Client) -> None:
        """A client has gone."""
        self._ends.discard(end)

    async def connected(self, end: _Client) -> _Server:
        """A connection to the server, made when bytes go through."""
        await self._flowing.wait()
        loop = asyncio.get_running_loop()
        _, server = await loop.create_unix_connection(lambda: _Server(self, end), self._socket)
        return server


class _End(asyncio.Protocol):
    """One side of a connection; `peer` is the other one."""

    def __init__(self, proxy: Proxy):
        self.proxy = proxy
        self.peer: _End | None = None
        self.wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = cast(asyncio.Transport, transport)
        if not self.proxy.flows:
            self.hold()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.wire is not None:
            self.peer.wire.write(data)

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.hold()

    def resume_writing(self) -> None:
        if self.peer is not None and self.proxy.flows:
            self.peer.release()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None and self.peer.wire is not None:
            self.peer.wire.close()

    def hold(self) -> None:
        """Read nothing from here."""
        if self.wire is not None and not self.wire.is_closing():
            self.wire.pause_reading()

    def release(self) -> None:
        """Read again."""
        if self.wire is not None and not self.wire.is_closing():
            self.wire.resume_reading()

    def abort(self) -> None:
        """Break it."""
        if self.wire is not None:
            self.wire.abort()


class _Client(_End):
    """The side of a process of ours."""

    def __init__(self, proxy: Proxy):
        super().__init__(proxy)
        self._early: list[bytes] = []
        self._lost = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.proxy.refuses:
            self.abort()
            return
        self.proxy.came(self)
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            server = await self.proxy.connected(self)
        except OSError:
            self.abort()
            return
        if self.wire is None or self.wire.is_closing() or self._lost:
            server.abort()
            return
        self.peer = server
        for data in self._early:
            self.data_received(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self.peer is None and not self._lost:
            self._early.append(data)
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.went(self)
        super().connection_lost(exc)

    def hold(self) -> None:
        super().hold()
        if self.peer is not None and not self.proxy.flows:
            _End.hold(self.peer)

    def release(self) -> None:
        super().release()
        if self.peer is not None and self.proxy.flows:
            _End.release(self.peer)

    def abort(self) -> None:
        super().abort()
        if self.peer is not None:
            self.peer.abort()

    def lose_server(self) -> None:
        """From now on nobody is there; what is sent goes nowhere."""
        self._lost = True
        server, self.peer = self.peer, None
        if server is not None:
            server.peer = None
            server.abort()


class _Server(_End):
    """The side of the database."""

    def __init__(self, proxy: Proxy, client: _Client):
        super().__init__(proxy)
        self.peer = client
