"""Keeps projections up with the log, in a process of its own or beside other things in one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from ..core.errors import RefoldError, StoreError
from ..eventstore.owner import this_process
from ..eventstore.store import Store
from .checkpoints import CheckpointsProjection
from .costs import CostsProjection
from .failures import FailuresProjection
from .goldens import GoldenPlace, GoldensProjection
from .model import Projection
from .opened import OpenedEvents
from .runner import BATCH, LEASE_SECONDS, Runner, generation_for
from .runs import RunsProjection
from .timeline import TimelineProjection

IDLE_SECONDS = 0.1
"""How long to wait before looking again where nothing was new."""

LONGEST_PAUSE_SECONDS = 5.0
"""How long to wait at most after an error; the first pause is IDLE_SECONDS, then each is twice the one before."""

_LOOK_AROUND_SECONDS = 1.0
"""How often to look whether the lease is still ours and the generation still the one to carry on."""

_log = logging.getLogger(__name__)


def known_projections(goldens: GoldenPlace | None = None) -> dict[str, Projection]:
    """The projections that this version has, by name; goldens where there is a place for them."""
    every: list[Projection] = [RunsProjection(), CheckpointsProjection()]
    every += [FailuresProjection(), CostsProjection(), TimelineProjection()]
    if goldens is not None:
        every.append(GoldensProjection(goldens))
    return {each.name: each for each in every}


class Projector:
    """Follows the log for several projections, each on its own; what others own already is left to them.

    projector = Projector(store)
    await projector.run()      # until projector.drain() is called
    """

    def __init__(
        self,
        store: Store,
        projections: Sequence[Projection] | None = None,
        *,
        batch: int = BATCH,
        lease_seconds: float = LEASE_SECONDS,
    ):
        self._store = store
        self._projections = list(known_projections().values()) if projections is None else list(projections)
        self._owner = this_process(uuid4().hex)
        self._batch = batch
        self._lease_seconds = lease_seconds
        self._drained = asyncio.Event()
        self._opened = OpenedEvents()
        self.taken = 0
        """How many events it has taken in, for all projections together."""

    def drain(self) -> None:
        """Let `run` return when the batches under way are written."""
        self._drained.set()

    async def run(self) -> None:
        """Follow the log until drained. Whatever is wrong with the store, an event or a projection, it tries again."""
        await asyncio.gather(*(self._follow(_Turns(self, projection)) for projection in self._projections))

    async def _follow(self, turns: _Turns) -> None:
        pause = IDLE_SECONDS
        while not self._drained.is_set():
            try:
                taken = await asyncio.to_thread(turns.take)
                pause = IDLE_SECONDS
                self.taken += taken
                if taken:
                    continue
                wait = IDLE_SECONDS
            except Exception as error:
                # One that is broken must not take down the others, nor the server beside it.
                trace = None if isinstance(error, RefoldError | LookupError) else error
                _log.warning("projection %s stands still: %s", turns.projection.name, error, exc_info=trace)
                await asyncio.to_thread(turns.failed, error)
                wait = pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), wait)
        with suppress(StoreError):
            await asyncio.to_thread(turns.leave)

    def runner(self, projection: Projection) -> Runner | None:
        """A runner for the generation that is to be carried on; None where code of a newer version does that."""
        of = generation_for(self._store, projection)
        if of is None:
            return None
        return Runner(
            self._store,
            projection,
            self._owner,
            of,
            batch=self._batch,
            lease_seconds=self._lease_seconds,
            opened=self._opened,
        )

    def switch(self, runner: Runner) -> None:
        """Make a generation that has caught up the active one, if it is of newer code than that."""
        of = runner.of
        active = next((each for each in self._store.tables.generations(of.name) if each.active), None)
        newer = active is None or active.version < of.version
        if (
            newer
            and of.position >= self._store.last_position()
            and self._store.tables.switch(of.name, of.generation, self._owner)
        ):
            _log.warning("projection %s: generation %d, of version %d, is read from now on", *of[:3])
            runner.claim()


class _Turns:
    """One projection's turns: looking around now and then, and taking in a page at a time."""

    def __init__(self, projector: Projector, projection: Projection):
        self.projection = projection
        self._projector = projector
        self._runner: Runner | None = None
        self._looked = 0.0

    def take(self) -> int:
        """Take in the next page; tells how many events that were."""
        if time.monotonic() - self._looked > _LOOK_AROUND_SECONDS:
            self._look_around()
        runner = self._runner
        if runner is None:
            return 0
        taken = runner.step()
        if not taken and runner.owns and not runner.of.active:
            self._projector.switch(runner)
        return taken

    def failed(self, error: Exception) -> None:
        """Record the error, and look around before the next turn."""
        self._looked = 0.0
        if self._runner is not None:
            self._runner.fail(error)

    def leave(self) -> None:
        """Leave the projection to others."""
        if self._runner is not None and self._runner.owns:
            self._runner.release()

    def _look_around(self) -> None:
        found = self._projector.runner(self.projection)
        known = self._runner
        if found is None or known is None or found.of.generation != known.of.generation:
            self.leave()
            self._runner = found
        if self._runner is not None:
            self._runner.claim()
        self._looked = time.monotonic()
