"""A projection built anew from the beginning of the log, beside the one that is read, and put in its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ..core.errors import ReplayDivergenceError, StoreRefusedError
from ..eventstore.owner import is_dead
from ..eventstore.parts import MOST_PARTS, Part
from ..eventstore.store import Store
from ..eventstore.tables import Generation, hash_of
from .helpers import StartHelper, wait_for_parts
from .model import Aside, LiesOutside, Projection, TakenOver
from .parts import clear_errors, unfinished, work_parts
from .runner import LEASE_SECONDS, Reached, Runner, generation, recorded_at, unheeded

REBUILD_BATCH = 10_000
"""Events of one transaction of a rebuild."""

SWITCHED = "after switch"
"""One more point at which a test may kill the process."""

DIVIDED_FROM = 50_000
"""A rebuild that has more events than that before it is divided among processes."""

_TRIES = 10
_WAIT_SECONDS = 0.1
TAKEN_OVER = "taken over"
"""Another, after each part of what was built outside the tables."""

_MOST_TOLD = 10


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
    files: TakenOver | None = None
    """What came of a projection's files, if it has any."""


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
        start: StartHelper | None = None,
        processes: int = 1,
        divided_from: int = DIVIDED_FROM,
    ):
        """With `start` and more than one of `processes`, these do the bulk of it side by side."""
        self._store = store
        self._projection = projection
        self._owner = owner
        self._watch = watch
        self._reached = reached
        self._batch = batch
        self._start = start
        self._processes = min(processes, MOST_PARTS)
        self._divided_from = divided_from
        self._events = 0

    def run(self, *, compare: bool = False, shadow: bool = False) -> Rebuilt:
        """Build, catch up with the log, `compare` with the live rows at the same position, and switch.

        With `shadow` the new rows are compared and thrown away. Raises ReplayDivergenceError where rows differ: then
        nothing is switched, and the new generation stays to be looked at. Raises StoreRefusedError while the
        projection is paused or another process rebuilds it.
        """
        runner, aside = self._begun(self._target(self._active()))
        live = files = None
        compared = False
        try:
            if aside is None:  # Other processes would not know where it is.
                self._fill_in_parts(runner)
            self._catch_up(runner)
            while (active := self._active()) is not None and active.generation != runner.of.generation:
                live = self._held(active)
                if aside is None and (compare or shadow):
                    self._meet(runner, live)
                    self._compare(runner, live)
                    compared = True
                else:
                    self._catch_up(runner)
                break
            if aside is not None:
                files = self._taken_over(aside, runner, live, compare, shadow)
                compared = compare or shadow
            switched = not shadow and self._switched(runner)
            of = runner.of
            self._clear(runner, aside, shadow)
        finally:
            if live is not None:
                self._store.tables.release(live.name, live.generation, self._owner)
            runner.release()
        return Rebuilt(of.name, of.version, of.generation, of.position, self._events, compared, switched, files)

    def _begun(self, target: Generation) -> tuple[Runner, Aside | None]:
        """What builds the generation, with its lease; where it fills, if that is outside the tables."""
        aside = self._aside(target.generation)
        runner = self._runner(target, aside)
        try:
            # Between the choice and the lease, another process may have brought its rebuild of it to an end.
            ours = runner.claim() and runner.of.active == target.active
        except LookupError:
            ours = False
        if not ours:
            runner.release()
            raise StoreRefusedError(f"another process rebuilds the projection {target.name} already")
        if aside is not None and runner.of.position == 0:
            aside.begin()
        return runner, aside

    def _aside(self, number: int) -> Aside | None:
        return self._projection.aside(number) if isinstance(self._projection, LiesOutside) else None

    def _active(self) -> Generation | None:
        return next((each for each in self._store.tables.generations(self._projection.name) if each.active), None)

    def _target(self, active: Generation | None) -> Generation:
        """The generation of an earlier rebuild that was interrupted, else a new one."""
        name, version = self._projection.name, self._projection.version
        if active is not None and active.paused:
            raise StoreRefusedError(f"the projection {name} is paused; first: refold projections resume {name}")
        if active is not None and active.parts and active.version == version:
            return active  # The very first one: it is read as far as it has come.
        for done in range(1, 1 if active is None else active.generation + 1):
            if (place := self._aside(done)) is not None and place.begun:
                place.discard()  # Its rebuild was killed at its very end.
        every = self._store.tables.generations(name)
        begun = [each for each in every if each.version == version and not each.active]
        begun = [each for each in begun if active is None or each.generation > active.generation]
        aside = [self._aside(each.generation) for each in begun]
        begun = [each for each, place in zip(begun, aside, strict=True) if place is None or place.begun]
        if active is None and isinstance(self._projection, LiesOutside):
            # What projectors carry on is never what is built aside.
            self._store.tables.create(name, version, self._projection.tables)
            begun.clear()
            active = self._active()
        if active is None or not begun:
            number = self._store.tables.create(name, version, self._projection.tables)
            return generation(self._store, name, number)
        return begun[-1]

    def _runner(self, of: Generation, aside: Aside | None = None) -> Runner:
        return Runner(self._store, aside or self._projection, self._owner, of, batch=self._batch, reached=self._reached)

    def _fill_in_parts(self, runner: Runner) -> None:
        """Bring a generation that is divided, or is worth it, to where its parts end."""
        of, parts = runner.of, self._store.parts
        if not of.parts:
            last = self._store.last_position()
            alone = self._start is None or self._processes < 2
            if alone or last - of.position < self._divided_from:
                return
            if not parts.divide(of.name, of.generation, self._owner, self._processes, last):
                raise StoreRefusedError(f"the rebuild of {of.name} was taken over by another process")
        clear_errors(self._store, of, self._owner)
        watch = _PartsWatch(self, runner)
        if self._start is not None:
            wait_for_parts(self._store, of, self._start, self._processes, watch.told)
        while unfinished(self._store, of):
            work_parts(self._store, self._projection, self._owner, of, reached=self._reached, between=watch.look)
            time.sleep(_WAIT_SECONDS if unfinished(self._store, of) else 0)
        watch.look()
        until = parts.list(of.name, of.generation)[0].until
        at = recorded_at(self._store.follow(until - 1, 1)[0]) or of.position_at
        if not parts.join(of.name, of.generation, self._owner, at) or not runner.claim():
            raise StoreRefusedError(f"the rebuild of {of.name} was taken over by another process, or paused")

    def tell(self, position: int, of: int, events: int) -> None:
        """Tell whoever watches how far it is, and that this process, or others for it, has taken in so many more."""
        self._events += events
        self._watch(Progress(position, of, self._events))

    def _catch_up(self, runner: Runner, until: int | None = None) -> None:
        """Take in the log up to the position `until`, else to its end as it is when that is reached."""
        while True:
            last = self._store.last_position() if until is None else until
            if runner.of.position >= last:
                return
            taken = runner.step(until)
            self.tell(runner.of.position, last, taken)
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

    def _taken_over(
        self, aside: Aside, runner: Runner, live: Generation | None, compare: bool, shadow: bool
    ) -> TakenOver:
        """Compare with what is there, write what is missing, and replace what differs, as far as that is asked for.

        Raises ReplayDivergenceError for what differs, and for what a shadow finds missing that must be there by now.
        """

        def each(done: int, of: int) -> None:
            runner.claim()
            if live is not None:
                self._store.tables.claim(live.name, live.generation, self._owner, LEASE_SECONDS)
            self._watch(Progress(done, of, self._events))
            self._reached(TAKEN_OVER)

        name = runner.of.name
        found = aside.take_over(not shadow, not (compare or shadow), each)
        if found.differing and (compare or shadow):
            told = ", ".join(found.differing[:_MOST_TOLD]) + (", …" if len(found.differing) > _MOST_TOLD else "")
            raise ReplayDivergenceError(f"of {name}, {len(found.differing)} are not what the log says: {told}")
        if shadow and found.missing and live is not None and live.position >= runner.of.position:
            raise ReplayDivergenceError(f"of {name}, {found.missing} are missing")
        return found

    def _clear(self, runner: Runner, aside: Aside | None, shadow: bool) -> None:
        """Remove what is not needed any more, while it is ours: nobody must go on with what is half gone."""
        if (aside is not None or shadow) and not runner.claim():
            raise StoreRefusedError(f"the rebuild of {runner.of.name} was taken over by another process")
        if aside is not None:
            aside.discard()
        if shadow:
            self._store.tables.drop(runner.of.name, runner.of.generation)

    def _switched(self, runner: Runner) -> bool:
        of = runner.of
        if not self._store.tables.switch(of.name, of.generation, self._owner):
            raise StoreRefusedError(f"the rebuild of {of.name} was taken over by another process")
        self._reached(SWITCHED)
        return True


class _PartsWatch:
    """Looks after the generation while its parts are worked off: prolongs its lease, tells how far they are."""

    def __init__(self, rebuild: Rebuild, runner: Runner):
        self._rebuild = rebuild
        self._runner = runner
        self._store = runner.store
        self._begun = self._seen = self._sum(self._parts())
        self._prolonged = time.monotonic()

    def _parts(self) -> list[Part]:
        return self._store.parts.list(self._runner.of.name, self._runner.of.generation)

    @staticmethod
    def _sum(parts: list[Part]) -> int:
        """How far the parts are on the average: each follows the whole log for its share of it."""
        return sum(each.position for each in parts) // max(len(parts), 1)

    def look(self) -> None:
        """Look at the parts, and do as `told`."""
        self.told(self._parts())

    def told(self, parts: list[Part]) -> None:
        """Raises StoreRefusedError when the generation is not ours any more, or paused."""
        if time.monotonic() - self._prolonged > LEASE_SECONDS / 5:
            self._prolonged = time.monotonic()
            if not self._runner.claim() or self._runner.of.paused:
                name = self._runner.of.name
                raise StoreRefusedError(f"the rebuild of {name} was taken over by another process, or paused")
        position = self._sum(parts)
        if parts and position > self._seen:
            self._rebuild.tell(position, parts[0].until, position - self._seen)
            self._seen = position


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
