"""Listening to the log as it grows: one look at the store for all who listen, who then read for themselves.

Nobody is handed events: a listener is woken, and reads on from where it is. So nothing can be missed or come twice, a
slow one holds up nobody, and what it has not read yet takes no memory. What came last is kept for all, so that many
who keep up do not each ask the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http import HTTPStatus

from ..core.errors import StoreError
from ..eventstore.store import Notification, Store
from .problems import Refusal

LOOK_SECONDS = 0.05
"""How often the log is looked at while somebody listens; after a hint it is looked at once more at once."""

MAX_STREAMS, MAX_STREAMS_OF_A_CALLER = 500, 50
"""How many may listen at a time to one server, and how many of them on behalf of one caller."""

RETRY_SECONDS = 5
"""After how long to come back who finds no place."""

_PAGE, _KEPT = 500, 2_000
_LONGEST_PAUSE = 1.0

_log = logging.getLogger(__name__)


class Listener:
    """Somebody who listens to the streams that begin with `prefix`."""

    def __init__(self, prefix: str, *, exact: bool):
        self._prefix = prefix
        self._exact = exact
        self._woken = asyncio.Event()

    def hears(self, stream: str) -> bool:
        """Whether events of `stream` are what it listens to."""
        return stream == self._prefix if self._exact else stream.startswith(self._prefix)

    def wake(self) -> None:
        """There is, or may be, something to read."""
        self._woken.set()

    async def woken(self, seconds: float) -> bool:
        """Wait until there is something to read, at most so long; whether there is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        found = self._woken.is_set()
        self._woken.clear()
        return found


class LiveLog:
    """The log of a store, for listeners of one event loop. `close` sends all of them away."""

    def __init__(self, store: Store):
        self._store = store
        self._listeners: set[Listener] = set()
        self._callers = Counter[tuple[str, str]]()
        self._looking: asyncio.Task[None] | None = None
        self._hinted = asyncio.Event()
        self._kept: list[Notification] = []
        self._from = self._position = 0
        self.closed = False

    @contextmanager
    def listening(self, caller: tuple[str, str], prefix: str, *, exact: bool) -> Generator[Listener]:
        """A listener to the stream `prefix`, or to all that begin with it, on behalf of `caller` (tenant and name).

        Raises Refusal (503) when too many listen.
        """
        if self.closed or len(self._listeners) >= MAX_STREAMS or self._callers[caller] >= MAX_STREAMS_OF_A_CALLER:
            reason = "as many listen as this server has places for; come back later, or read the events page by page"
            headers = {"retry-after": str(RETRY_SECONDS)}
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, code="STREAMS_EXHAUSTED", headers=headers)
        listener = Listener(prefix, exact=exact)
        self._listeners.add(listener)
        self._callers[caller] += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_while_somebody_listens())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._callers[caller] -= 1
            self._callers += Counter()  # Forgets those at 0.

    def after(self, position: int) -> list[Notification]:
        """What comes after `position`, in order, at most a page; empty at the end. Blocks; raises StoreError."""
        kept, begins = self._kept, self._from
        if begins <= position and kept and kept[-1].position > position:
            return [each for each in kept if each.position > position][:_PAGE]
        return self._store.follow(position, _PAGE)

    def close(self) -> None:
        """Have everybody go who listens, and let nobody listen any more."""
        self.closed = True
        for listener in self._listeners:
            listener.wake()

    async def _look_while_somebody_listens(self) -> None:
        loop = asyncio.get_running_loop()

        def hear() -> None:
            with suppress(RuntimeError):  # The loop has been closed.
                loop.call_soon_threadsafe(self._hinted.set)

        unheard = await asyncio.to_thread(self._store.on_hint, hear)
        try:
            await self._look(known=False)
        finally:
            await asyncio.to_thread(unheard)

    async def _look(self, *, known: bool) -> None:
        pause = LOOK_SECONDS
        while self._listeners and not self.closed:
            try:
                if not known:
                    # Whoever listens already may have read before this: everybody reads once more.
                    self._kept = []
                    self._from = self._position = await asyncio.to_thread(self._store.last_position)
                    known = True
                    self._wake_all()
                page = await asyncio.to_thread(self._store.follow, self._position, _PAGE)
                pause = LOOK_SECONDS
            except StoreError:
                pause = min(pause * 2, _LONGEST_PAUSE)
                page = []
            except Exception:
                _log.exception("the log cannot be followed")
                pause, page = _LONGEST_PAUSE, []
                self._wake_all()  # They find out for themselves what is wrong.
            if page:
                self._tell(page)
            if len(page) < _PAGE:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hinted.wait()
                self._hinted.clear()

    def _tell(self, page: list[Notification]) -> None:
        kept = [*self._kept, *page]
        if len(kept) > _KEPT:
            self._from = kept[-_KEPT - 1].position
            kept = kept[-_KEPT:]
        self._kept, self._position = kept, page[-1].position
        streams = {each.record.stream for each in page}
        for listener in self._listeners:
            if any(map(listener.hears, streams)):
                listener.wake()

    def _wake_all(self) -> None:
        for listener in self._listeners:
            listener.wake()


def topics_of(patterns: list[str]) -> Callable[[str], bool]:
    """What says whether a topic is one of these; `run.*` stands for all that begin with `run.`; none: every topic."""
    exact = {each for each in patterns if not each.endswith(".*")}
    begins = tuple(each[:-1] for each in patterns if each.endswith(".*"))

    def wants(topic: str) -> bool:
        return not patterns or topic in exact or topic.startswith(begins)

    return wants
