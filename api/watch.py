"""Waiting for the ends of runs: one look at the store for all who wait, not one for each."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress

from ..core.errors import StoreError
from ..eventstore.store import Store
from ..projections.run_list import ENDS
from .visits import leave_place

SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
"""Seconds between looks at the runs that are waited for: the longer nothing ended, the longer."""


class EndWatch:
    """Tells when runs have ended. Used from one event loop; the store is asked on a thread."""

    def __init__(self, store: Store):
        self._store = store
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._seen: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None
        self._pause = SHORTEST_PAUSE
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the server is to stop: nobody is to wait for anything any more."""
        return self._closed

    async def ended(self, stream: str, seconds: float) -> None:
        """Return when the run of `stream` has ended, after `seconds`, or when the watch is closed."""
        if self._closed or seconds <= 0:
            return
        leave_place()
        event = asyncio.Event()
        self._waiting[stream].add(event)
        self._pause = SHORTEST_PAUSE
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_until_nobody_waits())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()
        finally:
            waiting = self._waiting[stream]
            waiting.discard(event)
            if not waiting:
                del self._waiting[stream]
                self._seen.pop(stream, None)

    def close(self) -> None:
        """Let everybody go who waits, and nobody wait any more."""
        self._closed = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def _look_until_nobody_waits(self) -> None:
        while self._waiting and not self._closed:
            # A store that is away says nothing; whoever waits finds out by what it asks next.
            with suppress(StoreError):
                for stream in await asyncio.to_thread(self._look, list(self._waiting)):
                    self._pause = SHORTEST_PAUSE
                    for event in self._waiting.get(stream, ()):
                        event.set()
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 1.5, LONGEST_PAUSE)

    def _look(self, streams: list[str]) -> list[str]:
        ended: list[str] = []
        for stream, head in self._store.heads(streams).items():
            if head.version == self._seen.get(stream):
                continue
            last = self._store.read(stream, head.version - 1, 1)
            if last and last[0].topic in ENDS:
                ended.append(stream)
            else:
                self._seen[stream] = head.version
        return ended
