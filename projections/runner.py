"""Has one projection follow the log: one owner at a time among all processes, each event once.

The order in which records become visible is that of their positions, since positions are given out under the append
lock: what was read up to a position is all there will ever be up to there, gaps included (`Store.follow`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from ..core.errors import IntegrityError, StoreError, StoreRefusedError
from ..eventstore.codec import open_envelope
from ..eventstore.owner import is_dead
from ..eventstore.store import Notification, Store
from ..eventstore.tables import Batch, Generation
from .follow import CACHED_RUNS, BadEventError, Changes, Follower
from .model import CountingProjection, Projection
from .opened import OpenedEvents

BATCH = 2000
"""Events of one transaction."""

LEASE_SECONDS = 10.0
"""How long a projection stands still at most when its owner, on another host, has died."""

BEFORE_WRITE, BEFORE_COMMIT, AFTER_COMMIT = "before write", "before commit", "after commit"
"""The points at which a test may kill the process."""

Reached = Callable[[str], None]
"""Told each point that is reached."""


def unheeded(point: str) -> None:
    """Nobody wants to know."""


class Lag(NamedTuple):
    """How far a generation is behind: in positions, and for how many seconds its next event has been there."""

    events: int
    seconds: float


def lag_of(store: Store, of: Generation) -> Lag:
    """The lag of a generation; zero when it has taken in everything."""
    behind = store.last_position() - of.position
    following = store.follow(of.position, 1) if behind > 0 else []
    if not following:
        return Lag(0, 0.0)
    at = recorded_at(following[0]) or of.position_at
    return Lag(behind, max(0.0, (store.tables.now() - at) / 1_000_000))


def generation_for(store: Store, projection: Projection) -> Generation | None:
    """The generation that this code carries on: the active one if it is of its version, else the newest that is.

    One is made where there is none. None when the active one is of a newer version: what old code has to say is no
    longer asked for.
    """
    every = store.tables.generations(projection.name)
    mine = [each for each in every if each.version == projection.version]
    if mine:
        return next((each for each in mine if each.active), mine[-1])
    if any(each.active and each.version > projection.version for each in every):
        return None
    try:
        # The next after those that were seen: another process may make the same one at this very moment.
        following = max((each.generation for each in every), default=0) + 1
        number = store.tables.create(projection.name, projection.version, projection.tables, following)
    except StoreRefusedError:
        if len(store.tables.generations(projection.name)) == len(every):
            raise
        return generation_for(store, projection)  # Another process was faster.
    return generation(store, projection.name, number)


def generation(store: Store, name: str, number: int) -> Generation:
    """A generation by its number. Raises LookupError if there is no such one."""
    found = next((each for each in store.tables.generations(name) if each.generation == number), None)
    if found is None:
        raise LookupError(f"the projection {name} has no generation {number}")
    return found


class Runner:
    """Carries one generation of a projection on, page by page, on behalf of the process named `owner`."""

    def __init__(
        self,
        store: Store,
        projection: Projection,
        owner: str,
        of: Generation,
        *,
        batch: int = BATCH,
        cached: int = CACHED_RUNS,
        lease_seconds: float = LEASE_SECONDS,
        reached: Reached = unheeded,
        opened: OpenedEvents | None = None,
        wrote: Callable[[str, float], None] | None = None,
    ):
        """`wrote` is told the projection's name and how many seconds it took whenever a page was written."""
        self.projection = projection
        self.of = of
        self.owns = False
        self.store = store
        self._owner = owner
        self._batch = batch
        self._lease_seconds = lease_seconds
        self._reached = reached
        self._follower = Follower(store, projection, cached=cached, opened=opened)
        self._turn = nullcontext() if opened is None else opened.turn
        self._stop_at: int | None = None
        self._counting = projection if isinstance(projection, CountingProjection) else None
        self._unsure: tuple[int, Sequence[Any]] | None = None
        self._wrote = wrote

    def claim(self) -> bool:
        """Take or prolong the lease, in the place of a dead owner at once; False while somebody else holds it."""
        of = generation(self.store, self.of.name, self.of.generation)
        dead = of.owner if of.owner is not None and is_dead(of.owner) else None
        had = self.owns
        self.owns = self.store.tables.claim(of.name, of.generation, self._owner, self._lease_seconds, dead)
        if self.owns and not (had and of.owner == self._owner and of.position == self.of.position):
            self._follower.forget()
        self.of = generation(self.store, of.name, of.generation)
        if self._counting is not None:
            self._settle_count(self._counting, of)
        return self.owns

    def _settle_count(self, counting: CountingProjection, found: Generation) -> None:
        """Count what was written although the answer was lost; begin where the log ends if nobody has begun yet."""
        unsure, self._unsure = self._unsure, None
        if unsure is not None and (found.owner, found.position) == (self._owner, unsure[0]):
            counting.count(unsure[1])
        if self.owns and not self.of.position_at:
            begin = Batch(self.of.position, self.store.last_position(), self.store.tables.now())
            if self.store.tables.write(self.of.name, self.of.generation, self._owner, self._lease_seconds, begin):
                self.of = self.of._replace(position=begin.position, position_at=begin.position_at)

    @property
    def goes_on(self) -> bool:
        """Whether it is ours, and not paused."""
        return self.owns and not self.of.paused

    def release(self) -> None:
        """Give the lease up."""
        self.owns = False
        self.store.tables.release(self.of.name, self.of.generation, self._owner)

    def step(self, until: int | None = None) -> int:
        """Take in the next page, up to the position `until`; tells how many events that were.

        0 when there is nothing new, or when the projection is paused or somebody else's. Raises BadEventError at an
        event that a strict projection cannot take in, and StoreError; both leave everything as it was.
        """
        if not self.owns and not self.claim():
            return 0
        if self.of.paused:
            self.claim()
            return 0
        try:
            return self._step(until)
        except BaseException as error:
            self._follower.forget()
            if isinstance(error, BadEventError):
                # What comes before it is taken in first.
                self._stop_at = error.position
                if self._taken_before(error, until):
                    return 1
            raise
        finally:
            self._stop_at = None

    def _taken_before(self, error: BadEventError, until: int | None) -> bool:
        try:
            return self._step(until) > 0
        except BadEventError:
            self._follower.forget()
            return False

    def _step(self, until: int | None) -> int:
        with self._turn:
            page, changes = self._read(until)
        return len(page) if changes is not None and self._taken_in(page, changes) else 0

    def take_in(self, page: Sequence[Notification], changes: Changes) -> bool:
        """Take in the page after the position, of which somebody else has told what it `changes`; False if the
        projection is not ours any more. Raises StoreError."""
        self._follower.forget()
        return self._taken_in(page, changes)

    def _taken_in(self, page: Sequence[Notification], changes: Changes) -> bool:
        self.projection.settle()
        self._reached(BEFORE_WRITE)
        with self._turn:
            began = time.perf_counter()
            self.owns = self._write(page, changes)
            if self._wrote is not None:
                self._wrote(self.projection.name, time.perf_counter() - began)
        if not self.owns:
            self._follower.forget()
            return False
        if self._counting is not None:
            self._unsure = None
            self._counting.count(changes.noted)
        self._reached(AFTER_COMMIT)
        return True

    def _read(self, until: int | None) -> tuple[list[Notification], Changes | None]:
        """The next page and what it changes; None if there is nothing to be done."""
        of = self.of
        page = self.store.follow(of.position, self._batch)
        stop = min((each for each in (until, self._stop_at and self._stop_at - 1) if each is not None), default=None)
        if stop is not None:
            page = [each for each in page if each.position <= stop]
        parked = self.store.tables.parked(of.name, of.generation)
        if not page and not any(each.retry for each in parked):
            return page, None
        return page, self._follower.changes(page, parked)

    def _write(self, page: Sequence[Notification], changes: Changes) -> bool:
        of = self.of
        position, at = (page[-1].position, recorded_at(page[-1])) if page else (of.position, None)
        batch = Batch(
            of.position,
            position,
            at or of.position_at,
            list(changes.by_run),
            changes.rows(),
            changes.parked,
            changes.unparked,
        )
        self._unsure = (position, changes.noted) if self._counting is not None else None
        written = self.store.tables.write(
            of.name, of.generation, self._owner, self._lease_seconds, batch, lambda: self._reached(BEFORE_COMMIT)
        )
        if written:
            self.of = of._replace(position=position, position_at=batch.position_at, error=None)
        return written

    def fail(self, error: Exception) -> None:
        """Record why the projection stands still, if the store can be reached."""
        try:
            told = str(error).replace("\0", "␀")[:2000]  # PostgreSQL's texts hold no NUL.
            self.store.tables.fail(self.of.name, self.of.generation, self._owner, told)
        except StoreError:
            self.owns = False

    def went_on(self) -> None:
        """Take back what `fail` has recorded, once nothing is in the way although there was nothing to take in.

        Raises StoreError.
        """
        if self.owns and not self.of.paused and self.of.error is not None:
            self.store.tables.fail(self.of.name, self.of.generation, self._owner, None)
            self.of = self.of._replace(error=None)


def recorded_at(last: Notification) -> int | None:
    """When an event was recorded, in µs since the epoch; None if it cannot be read."""
    try:
        return open_envelope(last.record).at
    except IntegrityError:
        return None
