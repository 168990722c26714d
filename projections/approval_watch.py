"""The watch over approvals: sends what time has brought about for runs that nobody works on.

Whoever works on a run escalates and reminds by itself. The watch looks at the projection, which it keeps up with the
log where nobody else does, and presses the runs that are late. Any number of watches may run: what one has sent, the
others cannot send again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from ..core.errors import RefoldError, StoreError
from ..core.runtime.approvals import Approvals
from ..eventstore.store import Store
from ..eventstore.tables import Generation
from .approval_list import late
from .approvals import ApprovalsProjection
from .projector import IDLE_SECONDS, Projector

LATE_SECONDS = 5.0
"""So long after its time something is left to whoever works on the run."""

LOOK_SECONDS = 1.0
"""How often the projection is looked at."""

_log = logging.getLogger(__name__)


class ApprovalWatch:
    """Looks after the approvals of a store, through the approvals of an engine on it.

    watch = ApprovalWatch(store, engine.approvals)
    await watch.run()      # until watch.drain() is called
    """

    def __init__(
        self,
        store: Store,
        approvals: Approvals,
        now: Callable[[], int],
        *,
        late_seconds: float = LATE_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ):
        """`now` tells the time in microseconds since the epoch."""
        self._store = store
        self._approvals = approvals
        self._now = now
        self._late = int(late_seconds * 1_000_000)
        self._look_seconds = look_seconds
        self._projector = Projector(store, [ApprovalsProjection()])
        self._drained = asyncio.Event()
        self.sent = 0
        """How many messages it has sent."""

    def drain(self) -> None:
        """Let `run` return soon."""
        self._drained.set()
        self._projector.drain()

    async def run(self) -> None:
        """Watch until drained. What is wrong with the store or with a run is tried again."""
        following = asyncio.create_task(self._projector.run())
        try:
            while not self._drained.is_set():
                try:
                    await self.look()
                except StoreError as error:
                    _log.warning("the approvals cannot be looked at: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._drained.wait(), self._look_seconds)
        finally:
            self._projector.drain()
            await following

    async def once(self) -> None:
        """Look once, when the projection has come up with the log as it is now. Raises StoreError."""
        wanted = await asyncio.to_thread(self._store.last_position)
        following = asyncio.create_task(self._projector.run())
        try:
            while not self._drained.is_set() and await asyncio.to_thread(self._position) < wanted:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._drained.wait(), IDLE_SECONDS)
            await self.look()
        finally:
            self._projector.drain()
            await following

    async def look(self) -> int:
        """Look once, and tell how many messages that made. Raises StoreError."""
        before = self.sent
        for tenant, run_id in await asyncio.to_thread(self._late_runs):
            try:
                self.sent += await self._approvals.press(run_id, tenant)
            except StoreError:
                raise
            except RefoldError as error:  # one run that cannot be read must not stand in the way of the others
                _log.warning("%s/%s: %s", tenant, run_id, error)
        return self.sent - before

    def _position(self) -> int:
        of = self._active()
        return -1 if of is None else of.position

    def _active(self) -> Generation | None:
        return next((each for each in self._store.tables.generations(ApprovalsProjection.name) if each.active), None)

    def _late_runs(self) -> list[tuple[str, str]]:
        of = self._active()
        return [] if of is None else late(self._store, of, self._now() - self._late)
