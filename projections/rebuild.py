"""A projection built anew from the beginning of the log, beside the one that is read, and put in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..core.errors import ReplayDivergenceError, StoreRefusedError
from ..eventstore.owner import is_dead
from ..eventstore.store import Store
from ..eventstore.tables import Generation, hash_of
from .model import Projection
from .runner import LEASE_SECONDS, Reached, Runner, generation, unheeded

REBUILD_BATCH = 10_000
"""Events of one transaction of a rebuild."""

SWITCHED = "after switch"
"""One more point at which a test may kill the process."""

_TRIES = 10


class Progress(NamedTuple):
    """How far a rebuild is: at which position, of which, and how many events this process has taken in."""

    position: int
    of: int
    events: int


class Rebuilt(NamedTuple):
    """What came of a rebuild: `compared` is whether rows were compared, and found equal."""

    name: str
    version: int
    generation: int
    position: int
    events: int
    compared: bool
    switched: bool


Watch = Callable[[Progress], None]
"""Told how far a rebuild is, after each batch."""


def _unwatched(progress: Progress) -> None:
    """Nobody wants to know."""


class Rebuild:
    """One rebuild, on behalf of the process named `owner`; one that was interrupted goes on where it was."""

    def __init__(
        self,
        store: Store,
        projection: Projection,
        owner: str,
        *,
        watch: Watch = _unwatched,
        reached: Reached = unheeded,
        batch: int = REBUILD_BATCH,
    ):
        self._store = store
        self._projection = projection
        self._owner = owner
        self._watch = watch
        self._reached = reached
        self._batch = batch
        self._events = 0

    def run(self, *, compare: bool = False, shadow: bool = False) -> Rebuilt:
        """Build, catch up with the log, `compare` with the live rows at the same position, and switch.

        With `shadow` the new rows are compared and thrown away. Raises ReplayDivergenceError where rows differ: then
        nothing is switched, and the new generation stays to be looked at. Raises StoreRefusedError while the
        projection is paused or another process rebuilds it.
        """
        active = self._active()
        runner = self._runner(self._target(active))
        if not runner.claim():
            raise StoreRefusedError(f"another process rebuilds the projection {runner.of.name} already")
        self._catch_up(runner)
        live = None
        compared = False
        try:
            while (active := self._active()) is not None and active.generation != runner.of.generation:
                live = self._held(active)
                if compare or shadow:
                    self._meet(runner, live)
                    self._compare(runner, live)
                    compared = True
                else:
                    self._catch_up(runner)
                break
            switched = not shadow and self._switched(runner)
        finally:
            if live is not None:
                self._store.tables.release(live.name, live.generation, self._owner)
            runner.release()
        of = runner.of
        if shadow:
            self._store.tables.drop(of.name, of.generation)
        return Rebuilt(of.name, of.version, of.generation, of.position, self._events, compared, switched)

    def _active(self) -> Generation | None:
        return next((each for each in self._store.tables.generations(self._projection.name) if each.active), None)

    def _target(self, active: Generation | None) -> Generation:
        """The generation of an earlier rebuild that was interrupted, else a new one."""
        name, version = self._projection.name, self._projection.version
        if active is not None and active.paused:
            raise StoreRefusedError(f"the projection {name} is paused; first: refold projections resume {name}")
        every = self._store.tables.generations(name)
        begun = [each for each in every if each.version == version and not each.active]
        begun = [each for each in begun if active is None or each.generation > active.generation]
        if active is None or not begun:
            number = self._store.tables.create(name, version, self._projection.tables)
            return generation(self._store, name, number)
        return begun[-1]

    def _runner(self, of: Generation) -> Runner:
        return Runner(self._store, self._projection, self._owner, of, batch=self._batch, reached=self._reached)

    def _catch_up(self, runner: Runner, until: int | None = None) -> None:
        """Take in the log up to the position `until`, else to its end as it is when that is reached."""
        while True:
            last = self._store.last_position() if until is None else until
            if runner.of.position >= last:
                return
            taken = runner.step(until)
            self._events += taken
            self._watch(Progress(runner.of.position, last, self._events))
            if not runner.owns or runner.of.paused:
                raise StoreRefusedError(f"the rebuild of {runner.of.name} was taken over by another process, or paused")
            if not taken:
                return  # The end of the log was a gap.

    def _held(self, live: Generation) -> Generation:
        """The live generation, with its lease in our hand: it stands still until that is given up, or we die."""
        for _ in range(_TRIES):
            owner = generation(self._store, live.name, live.generation).owner
            if self._store.tables.claim(live.name, live.generation, self._owner, LEASE_SECONDS, owner):
                return generation(self._store, live.name, live.generation)
        raise StoreRefusedError(f"the owner of the projection {live.name} changes too often; try again")

    def _meet(self, runner: Runner, live: Generation) -> None:
        """Bring both generations to the same position: whichever is behind goes on."""
        if runner.of.position < live.position:
            self._catch_up(runner, live.position)
        elif runner.of.position > live.position:
            if live.version != self._projection.version:
                reason = f"version {live.version} of {live.name} is behind, and its code is not here"
                raise StoreRefusedError(f"{reason}: rows cannot be compared; rebuild without it")
            behind = self._runner(live)
            behind.claim()
            self._catch_up(behind, runner.of.position)

    def _compare(self, runner: Runner, live: Generation) -> None:
        def prolong() -> None:
            runner.claim()
            self._store.tables.claim(live.name, live.generation, self._owner, LEASE_SECONDS)

        prolong()
        both = [generation(self._store, live.name, each.generation) for each in (runner.of, live)]
        rebuilt, found = (hash_of(self._store.tables, each, prolong) for each in both)
        if both[0].position != both[1].position:
            raise StoreRefusedError(f"the projection {live.name} was taken over while it was compared; try again")
        if rebuilt != found:
            raise ReplayDivergenceError(
                f"the rows of {live.name} differ at position {live.position}: generation {live.generation}, which is "
                f"read, hashes to {found[:16]}, generation {runner.of.generation}, built anew, to {rebuilt[:16]}"
            )

    def _switched(self, runner: Runner) -> bool:
        of = runner.of
        if not self._store.tables.switch(of.name, of.generation, self._owner):
            raise StoreRefusedError(f"the rebuild of {of.name} was taken over by another process")
        self._reached(SWITCHED)
        return True


def drop_old(store: Store, name: str) -> list[int]:
    """Drop the generations older than the one that is read; tells their numbers."""
    every = store.tables.generations(name)
    active = next((each.generation for each in every if each.active), 0)
    old = [each.generation for each in every if each.generation < active and not _is_held(each)]
    for number in old:
        store.tables.drop(name, number)
    return old


def _is_held(of: Generation) -> bool:
    return of.owner is not None and of.seconds_left > 0 and not is_dead(of.owner)
