"""Has several processes fill a generation side by side: each folds the runs of its share of the log."""

from __future__ import annotations

from collections.abc import Callable

from ..core.errors import StoreRefusedError
from ..eventstore.owner import is_dead
from ..eventstore.parts import Part
from ..eventstore.store import Store
from ..eventstore.tables import Batch, Generation
from .follow import BadEventError, Follower
from .model import Projection
from .runner import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_WRITE, LEASE_SECONDS, Reached, generation, unheeded

PART_BATCH = 10_000
"""About so many events of a part are taken in by one transaction."""

_WIDEST = 40_000


class PartLostError(StoreRefusedError):
    """The part is another process's now, or the projection is paused."""


class PartRunner:
    """Carries one part of a generation to its end, page by page; `part` says how far it is.

    It is to be thrown away after any error: the runs may have gone further than the tables.
    """

    def __init__(
        self,
        store: Store,
        projection: Projection,
        owner: str,
        of: Generation,
        part: Part,
        *,
        batch: int = PART_BATCH,
        reached: Reached = unheeded,
    ):
        self.part = part
        self._store = store
        self._projection = projection
        self._owner = owner
        self._of = of
        self._width = min(batch * part.of, _WIDEST)
        self._reached = reached
        self._follower = Follower(store, projection)

    def step(self) -> bool:
        """Take in the next page; tells whether there was one left.

        Raises BadEventError at an event that a strict projection cannot take in, PartLostError, and StoreError.
        """
        part, of = self.part, self._of
        if part.position >= part.until:
            return False
        end = min(part.position + self._width, part.until)
        page = self._store.follow_share(part.position, end, part.part, part.of)
        here = {each.record.stream for each in page}
        parked = [each for each in self._store.tables.parked(of.name, of.generation) if each.stream in here]
        changes = self._follower.changes(page, parked)
        self._projection.settle()
        self._reached(BEFORE_WRITE)
        batch = Batch(part.position, end, 0, list(changes.by_run), changes.rows(), changes.parked, changes.unparked)
        if not self._store.parts.write(
            of, part.part, self._owner, LEASE_SECONDS, batch, lambda: self._reached(BEFORE_COMMIT)
        ):
            raise PartLostError(f"part {part.part} of {of.name} is another process's now, or paused")
        self.part = part._replace(position=end)
        self._reached(AFTER_COMMIT)
        return True


def work_parts(
    store: Store,
    projection: Projection,
    owner: str,
    of: Generation,
    *,
    batch: int = PART_BATCH,
    reached: Reached = unheeded,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Carry free parts of a generation to their ends, one after the other, until none is left; `between` pages is told.

    Raises BadEventError, having recorded it, and StoreError. Other processes may do the same at the same time.
    """
    while (part := _taken(store, of, owner)) is not None:
        runner = PartRunner(store, projection, owner, of, part, batch=batch, reached=reached)
        try:
            while runner.step():
                between()
        except BadEventError as error:
            store.parts.fail(of.name, of.generation, part.part, owner, str(error))
            raise


def clear_errors(store: Store, of: Generation, owner: str) -> None:
    """Have parts that could not go on tried again."""
    for part in unfinished(store, of):
        if part.error is not None:
            store.parts.claim(of.name, of.generation, part.part, owner, 0.0, None)


def unfinished(store: Store, of: Generation) -> list[Part]:
    """The parts of a generation that have not come to their end."""
    return [each for each in store.parts.list(of.name, of.generation) if each.position < each.until]


def is_free(part: Part) -> bool:
    """Whether nobody that may live holds the part."""
    return part.owner is None or part.seconds_left <= 0 or is_dead(part.owner)


def _taken(store: Store, of: Generation, owner: str) -> Part | None:
    """A part that is ours from now on, as it stands."""
    if generation(store, of.name, of.generation).paused:
        raise PartLostError(f"the projection {of.name} is paused")
    for part in unfinished(store, of):
        # One that cannot go on is left alone until somebody begins anew.
        if is_free(part) and part.error is None:
            dead = part.owner if part.owner is not None and is_dead(part.owner) else None
            if store.parts.claim(of.name, of.generation, part.part, owner, LEASE_SECONDS, dead):
                return next(each for each in store.parts.list(of.name, of.generation) if each.part == part.part)
    return None
