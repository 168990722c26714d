"""The API and a worker in this process, each on a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from refold.api.places import NOWHERE, Places
from refold.compose import Worker, WorkflowEngine
from refold.core.runtime.registry import SkillRegistry
from refold.eventstore.store import Store
from refold.ops.loopback import loopback_socket, url_of
from refold.ops.serve import HttpServer, Serving

_PATIENCE_SECONDS = 30


@contextmanager
def served(store: Store, places: Places = NOWHERE, serving: Serving | None = None) -> Generator[str]:
    """Serve the API over `store`; the URL under which it is reached."""
    with loopback_socket("127.0.0.1", 0) as bound:
        begun = threading.Event()
        engine = WorkflowEngine(store, patience=2, parks=True)
        server = HttpServer(engine, bound, begun.set, places=places, serving=serving)

        async def work() -> None:
            async with server.engine:
                await server.run()

        with _beside(work, server.stop):
            assert begun.wait(_PATIENCE_SECONDS), "the server does not begin"
            yield url_of(bound)


@contextmanager
def working(store: Store, skills: SkillRegistry | None = None) -> Generator[None]:
    """Work on the runs of `store`."""
    worker = Worker(store, skills or SkillRegistry())
    with _beside(worker.run, worker.drain):
        yield


@contextmanager
def _beside(work: Callable[[], Coroutine[Any, Any, None]], stop: Callable[[], None]) -> Generator[None]:
    loops: list[asyncio.AbstractEventLoop] = []
    errors: list[BaseException] = []
    ready = threading.Event()

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        ready.set()
        await work()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(_PATIENCE_SECONDS), "the event loop does not begin"
    try:
        yield
    finally:
        if thread.is_alive():
            loops[0].call_soon_threadsafe(stop)
        thread.join(_PATIENCE_SECONDS)
        assert not thread.is_alive(), "what was told to stop does not end"
        if errors:
            raise errors[0]
