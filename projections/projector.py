"""Keeps projections up with the log, in a process of its own or beside other things in one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol
from uuid import uuid4

from ..core.errors import RefoldError, StoreError
from ..core.runtime.tracing import Tracer
from ..eventstore.owner import this_process
from ..eventstore.store import Store
from .approvals import ApprovalsProjection
from .checkpoints import CheckpointsProjection
from .costs import CostsProjection
from .crew import Crew
from .failures import FailuresProjection
from .goldens import GoldenPlace, GoldensProjection
from .model import LiesOutside, Projection
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
    every += [FailuresProjection(), CostsProjection(), TimelineProjection(), ApprovalsProjection()]
    if goldens is not None:
        every.append(GoldensProjection(goldens))
    return {each.name: each for each in every}


class Watch(Protocol):
    """Who is told how projections fare, by their names; called on threads."""

    def wrote(self, name: str, seconds: float) -> None:
        """A page was written, or refused; it took so long."""
        ...

    def failed(self, name: str) -> None:
        """It could not go on, and will try again."""
        ...


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
        watch: Watch | None = None,
        tracer: Tracer | None = None,
    ):
        """`watch` is told of what is written, and of what fails."""
        self._watch = watch
        self._store = store
        self._tracer = tracer
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
        """Follow the log until drained. Whatever is wrong with the store, an event or a projection, it tries again.

        Projections whose work lies outside the tables may have to wait for other things than the store; each goes on
        by itself.
        """
        every = [_Turns(self, projection) for projection in self._projections]
        outside = [each for each in every if isinstance(each.projection, LiesOutside)]
        tables = [each for each in every if each not in outside]
        await asyncio.gather(*(self._follow(group) for group in (tables, *([each] for each in outside)) if group))

    async def _follow(self, group: Sequence[_Turns]) -> None:
        crew = Crew(self._store, self._batch, self._opened)
        while not self._drained.is_set():
            began = time.time_ns() // 1000
            taken = await asyncio.to_thread(_round, group, crew)
            self.taken += taken
            if taken:
                if self._tracer is not None:
                    about = {"refold.projections": ",".join(each.projection.name for each in group)}
                    self._tracer.begin("projection batch", about, at=began).end({"refold.events": taken})
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), IDLE_SECONDS)
        for turns in group:
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
            wrote=None if self._watch is None else self._watch.wrote,
        )

    def failed(self, projection: Projection) -> None:
        """Tell who watches that a projection could not go on."""
        if self._watch is not None:
            self._watch.failed(projection.name)

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


def _round(group: Sequence[_Turns], crew: Crew) -> int:
    """Have each projection take in its next page, those together that can; tells how many events that were.

    Where some are but a page behind another, that one waits until they have come up with it.
    """
    able = [turns for turns in group if turns.prepared()]
    going = {turns: turns.runner.of.position for turns in able if turns.runner is not None and turns.runner.goes_on}
    front = max(going.values(), default=0)
    near = {turns for turns, position in going.items() if 0 < front - position <= crew.batch}
    if near:
        able = [turns for turns in able if going.get(turns) != front]
    joined = able
    taken: int | None = 0
    try:
        together = crew.together([turns.runner for turns in able if turns.runner is not None])
        joined = [turns for turns in able if turns.runner in together]
        if joined:
            taken = crew.step(together, front if near.issuperset(joined) else None)
    except Exception as error:
        for turns in joined:
            turns.failed(error)
        return 0
    if taken is None:
        joined, taken = [], 0
    for turns in joined:
        turns.went_on(bool(taken))
    return taken + sum(turns.take(front if turns in near else None) for turns in able if turns not in joined)


class _Turns:
    """One projection's turns: looking around now and then, taking in a page at a time, and resting after an error."""

    def __init__(self, projector: Projector, projection: Projection):
        self.projection = projection
        self.runner: Runner | None = None
        self._projector = projector
        self._looked = 0.0
        self._pause = IDLE_SECONDS
        self._rests_until = 0.0

    def prepared(self) -> bool:
        """Whether it is its turn, having looked around if it was time to."""
        now = time.monotonic()
        if now < self._rests_until:
            return False
        if now - self._looked > _LOOK_AROUND_SECONDS:
            try:
                self._look_around()
            except Exception as error:
                self.failed(error)
                return False
        return True

    def take(self, until: int | None = None) -> int:
        """Take in the next page, up to the position `until`; tells how many events that were."""
        if self.runner is None:
            return 0
        try:
            taken = self.runner.step(until)
        except Exception as error:
            self.failed(error)
            return 0
        self.went_on(bool(taken))
        return taken

    def went_on(self, taken: bool) -> None:
        """Note that all went well; where nothing was to be taken in, a generation of newer code may be put in place."""
        self._pause = IDLE_SECONDS
        runner = self.runner
        if taken or runner is None or not runner.owns:
            return
        try:
            runner.went_on()
            if not runner.of.active:
                self._projector.switch(runner)
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Record the error, rest for a while, and look around before the next turn.

        One that is broken must not take down the others, nor the server beside it.
        """
        trace = None if isinstance(error, RefoldError | LookupError) else error
        _log.warning("projection %s stands still: %s", self.projection.name, error, exc_info=trace)
        self._projector.failed(self.projection)
        self._looked = 0.0
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self._rests_until = time.monotonic() + self._pause
        if self.runner is not None:
            self.runner.fail(error)

    def leave(self) -> None:
        """Leave the projection to others."""
        if self.runner is not None and self.runner.owns:
            self.runner.release()

    def _look_around(self) -> None:
        found = self._projector.runner(self.projection)
        known = self.runner
        if found is None or known is None or found.of.generation != known.of.generation:
            self.leave()
            self.runner = found
        if self.runner is not None:
            self.runner.claim()
        self._looked = time.monotonic()
