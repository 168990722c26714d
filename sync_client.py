"""The client for programs without an event loop: `Client` itself, on a loop of its own in a thread.

Nothing is written twice: every method here is made of the one of `Client` or `RunHandle` that has its name, with its
parameters, its documentation and, for type checkers, its types.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload
from weakref import WeakSet

from .api.client.handle import RunHandle
from .client import Client
from .core.errors import CallError, Problem
from .core.runtime.functions.workflow import Workflow
from .eventstore.store import Store

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class _Loop:
    """An event loop in a thread, for any number of threads to run coroutines on, in the process that made it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._open: WeakSet[AsyncGenerator[Any]] = WeakSet()

    def run(self, work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """What the coroutine that `work` makes returns. Cut off here (Ctrl-C), it is cancelled there."""
        loop = self._running()  # First: no coroutine is made that nobody awaits.
        running = asyncio.run_coroutine_threadsafe(work(), loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def close(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine that `work` makes, and end the thread. Does nothing the second time, nor after a fork."""
        with self._lock:
            closed, self._closed = self._closed, True
            loop, thread = self._loop, self._thread
        if closed or loop is None or thread is None or os.getpid() != self._pid:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._end(work), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def each(self, items: AsyncGenerator[R]) -> Iterator[R]:
        """The items as they come. Once nobody holds them any more, the loop closes them."""
        with self._lock:
            self._open.add(items)
        while (item := self.run(lambda: _next(items))) is not None:
            yield item[0]

    async def _end(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with self._lock:
            left = tuple(self._open)
        # From the outside to the inside: the end of the loop would close all of what is within each at once.
        for items in left:
            with suppress(RuntimeError):  # Another thread waits for the next one, and is sent away.
                await items.aclose()
        await work()

    def _running(self) -> asyncio.AbstractEventLoop:
        if os.getpid() != self._pid:
            reason = "the client was made in another process: neither its thread nor its connections outlive a fork"
            raise CallError(Problem("", reason, "make a client in each process, after the fork"))
        with self._lock:
            if self._closed:
                raise CallError(Problem("", "the client is closed", "make another one"))
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="refold-client", daemon=True)
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()


async def _next(items: AsyncGenerator[R]) -> tuple[R] | None:
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None


def _of_client(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[SyncClient, P], R]:
    """The method of `Client`, waited for."""

    @functools.wraps(method)
    def call(self: SyncClient, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._loop.run(lambda: method(self._client, *args, **kwargs))  # pyright: ignore[reportPrivateUsage]

    return cast("Callable[Concatenate[SyncClient, P], R]", call)


def _of_handle(
    method: Callable[Concatenate[RunHandle[T], P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[SyncRunHandle[T], P], R]:
    """The method of `RunHandle`, waited for."""

    @functools.wraps(method)
    def call(self: SyncRunHandle[T], *args: P.args, **kwargs: P.kwargs) -> R:
        return self._loop.run(lambda: method(self._handle, *args, **kwargs))  # pyright: ignore[reportPrivateUsage]

    return cast("Callable[Concatenate[SyncRunHandle[T], P], R]", call)


def _starting(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, RunHandle[T]]],
) -> Callable[Concatenate[SyncClient, P], SyncRunHandle[T]]:
    """The method of `Client`, waited for, with a handle to match."""

    @functools.wraps(method)
    def call(self: SyncClient, *args: P.args, **kwargs: P.kwargs) -> SyncRunHandle[T]:
        loop = self._loop  # pyright: ignore[reportPrivateUsage]
        return SyncRunHandle(
            loop.run(lambda: method(self._client, *args, **kwargs)),  # pyright: ignore[reportPrivateUsage]
            loop,
        )

    return cast("Callable[Concatenate[SyncClient, P], SyncRunHandle[T]]", call)


def _handle_of_handle(
    method: Callable[Concatenate[RunHandle[T], P], Coroutine[Any, Any, RunHandle[T]]],
) -> Callable[Concatenate[SyncRunHandle[T], P], SyncRunHandle[T]]:
    """The method of `RunHandle`, waited for, with a handle to match."""

    @functools.wraps(method)
    def call(self: SyncRunHandle[T], *args: P.args, **kwargs: P.kwargs) -> SyncRunHandle[T]:
        loop = self._loop  # pyright: ignore[reportPrivateUsage]
        return SyncRunHandle(
            loop.run(lambda: method(self._handle, *args, **kwargs)),  # pyright: ignore[reportPrivateUsage]
            loop,
        )

    return cast("Callable[Concatenate[SyncRunHandle[T], P], SyncRunHandle[T]]", call)


def _each_of_client(
    method: Callable[Concatenate[Client, P], AsyncGenerator[R]],
) -> Callable[Concatenate[SyncClient, P], Iterator[R]]:
    """The generator of `Client`, waited for item by item."""

    @functools.wraps(method)
    def call(self: SyncClient, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        items = method(self._client, *args, **kwargs)  # pyright: ignore[reportPrivateUsage]
        return self._loop.each(items)  # pyright: ignore[reportPrivateUsage]

    return cast("Callable[Concatenate[SyncClient, P], Iterator[R]]", call)


def _each_of_handle(
    method: Callable[Concatenate[RunHandle[T], P], AsyncGenerator[R]],
) -> Callable[Concatenate[SyncRunHandle[T], P], Iterator[R]]:
    """The generator of `RunHandle`, waited for item by item."""

    @functools.wraps(method)
    def call(self: SyncRunHandle[T], *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        items = method(self._handle, *args, **kwargs)  # pyright: ignore[reportPrivateUsage]
        return self._loop.each(items)  # pyright: ignore[reportPrivateUsage]

    return cast("Callable[Concatenate[SyncRunHandle[T], P], Iterator[R]]", call)


class SyncClient:
    """`Client` for programs without an event loop: see there. A context manager, for any number of threads.

    It does not outlive a fork: each process makes its own.
    """

    def __init__(
        self,
        url: str | Store | None = None,
        *,
        tenant: str | None = None,
        api_key: str | None = None,
        patience: float = 30.0,
    ):
        self._client = Client(url, tenant=tenant, api_key=api_key, patience=patience)
        self._loop = _Loop()

    start = _starting(Client.start)
    execute = _of_client(Client.execute)
    signal = _of_client(Client.signal)
    query = _of_client(Client.query)
    decide = _of_client(Client.decide)
    approvals = _of_client(Client.approvals)
    cancel = _of_client(Client.cancel)
    events = _each_of_client(Client.events)
    fork = _starting(Client.fork)
    retry = _starting(Client.retry)
    verify = _of_client(Client.verify)
    diff = _of_client(Client.diff)
    list = _of_client(Client.list)
    counts = _of_client(Client.counts)

    @overload
    def get_handle(self, run_id: str, workflow: Workflow[..., T]) -> SyncRunHandle[T]: ...
    @overload
    def get_handle(self, run_id: str, workflow: None = None) -> SyncRunHandle[Any]: ...
    def get_handle(self, run_id: str, workflow: Any = None) -> SyncRunHandle[Any]:
        """See `Client.get_handle`."""
        return SyncRunHandle(self._client.get_handle(run_id, workflow), self._loop)

    def close(self) -> None:
        """Close what was opened; the runs go on."""
        self._loop.close(self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SyncRunHandle(Generic[T]):
    """`RunHandle` for programs without an event loop: see there."""

    def __init__(self, handle: RunHandle[T], loop: _Loop):
        self._handle = handle
        self._loop = loop

    def __repr__(self) -> str:
        return f"SyncRunHandle({self.run_id!r})"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._handle.run_id

    result = _of_handle(RunHandle[T].result)
    describe = _of_handle(RunHandle[T].describe)
    status = _of_handle(RunHandle[T].status)
    steps = _of_handle(RunHandle[T].steps)
    signal = _of_handle(RunHandle[T].signal)
    query = _of_handle(RunHandle[T].query)
    events = _each_of_handle(RunHandle[T].events)
    fork = _handle_of_handle(RunHandle[T].fork)
    retry = _handle_of_handle(RunHandle[T].retry)
    verify = _of_handle(RunHandle[T].verify)
    cancel = _of_handle(RunHandle[T].cancel)
    pause = _of_handle(RunHandle[T].pause)
    resume = _of_handle(RunHandle[T].resume)
