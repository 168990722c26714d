"""The log as the engine awaits it: its blocking calls are made on threads, and events come back folded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..errors import IntegrityError, RunNotFoundError, StoreError
from ..events import Event, MessageSent
from ..ids import inbox_of, run_of
from ..ports import EMPTY, Claimed, Head, Lease, QueryStore, RunLog
from ..run_state import RunState
from ..state import fold

_TRIES = 100
"""How often a stream that grows between two reads is read again."""


class History:
    """Reading runs and their inboxes, and holding their leases, without blocking the event loop."""

    def __init__(self, log: RunLog):
        self._log = log

    @property
    def queries(self) -> QueryStore:
        """Questions to workers; its calls block."""
        return self._log.queries

    async def load(self, stream: str) -> tuple[RunState, Head]:
        """The state of a run and the head of its stream, taken at the same point. Raises RunNotFoundError."""
        events, head = await self.whole(stream)
        return fold(events), head

    async def whole(self, stream: str) -> tuple[Sequence[Event], Head]:
        """All events of a run and the head of its stream, taken at the same point. Raises RunNotFoundError."""
        head: Head = EMPTY
        events: Sequence[Event] = ()
        for _ in range(_TRIES):
            head = await asyncio.to_thread(self._log.head, stream)
            events = await self.events(stream)
            if len(events) == head.version:
                return events, head
        reason = f"{stream} holds {len(events)} events, but its head says {head.version}: run refold verify"
        raise IntegrityError(reason)

    async def events(self, stream: str) -> Sequence[Event]:
        """All events of a run. Raises RunNotFoundError."""
        events = await asyncio.to_thread(self._log.events, stream)
        if not events:
            tenant, run_id = run_of(stream)
            raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
        return events

    async def messages(self, stream: str, after: int) -> list[tuple[int, MessageSent]]:
        """The messages to a run after the one of version `after`, each with its own."""
        found = await asyncio.to_thread(self._log.events, inbox_of(stream), after)
        return [(version, event) for version, event in enumerate(found, after + 1) if isinstance(event, MessageSent)]

    async def last_message(self, stream: str) -> MessageSent | None:
        """The last message to a run, None if there is none."""
        last = (await self.inbox_head(stream)).version
        found = await self.messages(stream, last - 1) if last else []
        return found[0][1] if found else None

    async def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """The heads of those of `streams` that exist."""
        return await asyncio.to_thread(self._log.heads, streams)

    async def inbox_heads(self, streams: Sequence[str]) -> dict[str, int]:
        """The versions of the last messages to the runs of `streams`, where there are any."""
        heads = await asyncio.to_thread(self._log.heads, [inbox_of(stream) for stream in streams])
        return {stream: heads[inbox_of(stream)].version for stream in streams if inbox_of(stream) in heads}

    async def inbox_head(self, stream: str) -> Head:
        """The head of a run's inbox."""
        return await asyncio.to_thread(self._log.head, inbox_of(stream))

    async def claim(self, stream: str, seconds: float) -> Lease | None:
        """Take a run's lease; None when it is ours, else the live lease in the way."""
        return await asyncio.to_thread(self._log.claim, stream, seconds)

    async def renew(self, streams: Sequence[str], seconds: float) -> None:
        """Prolong our leases."""
        await asyncio.to_thread(self._log.renew, streams, seconds)

    async def release(self, stream: str, due: int | None = None, taken: int | None = None) -> None:
        """Give up our lease, if the store can be reached; else it runs out by itself. See `RunLog.release`."""
        with suppress(StoreError):
            await asyncio.to_thread(self._log.release, stream, due, taken)

    async def claim_due(
        self, queues: Sequence[str], serves: Callable[[str], bool], limit: int, seconds: float
    ) -> Claimed:
        """Lease runs that are due and whose needs `serves` says yes to."""
        return await asyncio.to_thread(self._log.claim_due, queues, serves, limit, seconds)

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called when runs may have become due. See `RunLog.on_hint`."""
        return self._log.on_hint(hear)

    async def hint(self) -> None:
        """Tell those who listen, in any process, that there is something to look for."""
        await asyncio.to_thread(self._log.hint)

    async def bury_the_dead(self) -> int:
        """Free the leases of ended processes of this host."""
        return await asyncio.to_thread(self._log.bury_the_dead)

    async def beat(self, report: str) -> None:
        """Record that this process lives."""
        await asyncio.to_thread(self._log.beat, report)

    async def leave(self) -> None:
        """Record that this process has gone, if the store can be reached."""
        with suppress(StoreError):
            await asyncio.to_thread(self._log.leave)
