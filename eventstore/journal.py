"""The journal: the engine's way to the log. It seals units and has them committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from ..core.errors import RefoldError
from ..core.histogram import Histogram
from ..core.ports import Ack, Head, Unit
from ..core.runtime.tracing import Tracer
from .committer import Committer, Work, refusal
from .hints import makes_due
from .sealing import Sealer
from .store import Store

FLUSH_UNITS = 256
"""So many units are handed to the committer at once, without waiting for the event loop's turn to end."""


class Journal:
    """Seals units on the caller's thread and commits them on the committer's; fulfils `refold.core.ports.Journal`.

    What one turn of the event loop appends is handed over together. Handing over each unit at once would wake the
    committer for a batch of one while the turn goes on, and the two threads would fight for the interpreter's lock.
    """

    def __init__(
        self, store: Store, sealer: Sealer, owner: str, *, patience: float = 30.0, tracer: Tracer | None = None
    ):
        self._sealer = sealer
        self._committer = Committer(store, owner, patience=patience, tracer=tracer)
        self._turn: list[Work] = []

    @property
    def seconds(self) -> Histogram:
        """How long appends took."""
        return self._committer.seconds

    def append(self, unit: Unit, done: Callable[[Ack], None]) -> None:
        """Hand over `unit`; `done` is called on this event loop with the answer."""
        loop = asyncio.get_running_loop()
        if self._turn and self._turn[0].loop is not loop:
            self._flush()  # Left behind by a loop that was closed in the middle of its turn.
        self._turn.append(Work(self._sealer.seal(unit), loop, done))
        if len(self._turn) == 1:
            loop.call_soon(self._flush)
        elif len(self._turn) == FLUSH_UNITS:
            self._flush()

    def _flush(self) -> None:
        if self._turn:
            self._committer.submit(self._turn)
            self._turn = []

    async def commit(self, unit: Unit) -> Sequence[Head]:
        """Append `unit` and wait for it to be durable."""
        return await _answer(self, unit)

    def close(self) -> None:
        """Commit what is queued and stop."""
        self._flush()
        self._committer.close()


class DirectJournal:
    """A journal over a store that needs no waiting (memory): commits at once, answers on the next turn of the loop."""

    def __init__(self, store: Store, sealer: Sealer, owner: str):
        self._store = store
        self._sealer = sealer
        self._owner = owner
        self.seconds = Histogram()

    def append(self, unit: Unit, done: Callable[[Ack], None]) -> None:
        """Store `unit` and let `done` know on this event loop."""
        sealed = self._sealer.seal(unit)
        began = time.perf_counter()
        stored = self._store.commit([sealed], self._owner)[0]
        self.seconds.observe(time.perf_counter() - began)
        ack: Ack = [append.head for append in sealed.appends] if stored else refusal(sealed)
        asyncio.get_running_loop().call_soon(done, ack)
        if makes_due([sealed], time.time_ns() // 1000):
            self._store.hint()

    async def commit(self, unit: Unit) -> Sequence[Head]:
        """Store `unit`."""
        return await _answer(self, unit)

    def close(self) -> None:
        """Nothing is open."""


async def _answer(journal: Journal | DirectJournal, unit: Unit) -> Sequence[Head]:
    future: asyncio.Future[Sequence[Head]] = asyncio.get_running_loop().create_future()

    def settle(ack: Ack) -> None:
        if future.done():
            return
        if isinstance(ack, RefoldError):
            future.set_exception(ack)
        else:
            future.set_result(ack)

    journal.append(unit, settle)
    return await future
