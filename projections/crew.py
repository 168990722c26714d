"""Several projections that stand at the same position of the log: each run is folded once for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..eventstore.store import Store
from .follow import BadEventError, Follower
from .opened import OpenedEvents
from .runner import Runner


class Crew:
    """Carries runners on together, for as long as none of them needs a way of its own."""

    def __init__(self, store: Store, batch: int, opened: OpenedEvents):
        self._store = store
        self.batch = batch
        self._opened = opened
        self._runners: list[Runner] = []
        self._follower = Follower(store)
        self._position = -1

    def together(self, runners: Sequence[Runner]) -> list[Runner]:
        """Those of `runners` that can be carried on together: at the position where most are, with nothing left aside.

        Fewer than two are none.
        """
        able = [each for each in runners if each.goes_on and not self._has_parked(each)]
        positions = [each.of.position for each in able]
        chosen = max(positions, key=positions.count, default=-1)
        found = [each for each in able if each.of.position == chosen]
        return found if len(found) > 1 else []

    def step(self, runners: Sequence[Runner], until: int | None = None) -> int | None:
        """Take in the next page for all of them, up to the position `until`; tells how many events that were, None if
        each must go on alone.

        Raises StoreError. A projection that is not ours any more is left behind.
        """
        position = runners[0].of.position
        if list(runners) != self._runners or position != self._position:
            self._runners = list(runners)
            projections = [each.projection for each in runners]
            self._follower = Follower(self._store, *projections, opened=self._opened)
        self._position = -1  # Unless all goes well: the runs may then be further than the tables.
        try:
            with self._opened.turn:
                page = self._store.follow(position, self.batch)
                page = [each for each in page if until is None or each.position <= until]
                changes = self._follower.changes_of_each(page) if page else []
        except BadEventError:
            return None
        for runner, changed in zip(runners, changes, strict=False):
            runner.take_in(page, changed)
        self._position = page[-1].position if page else position
        return len(page) * len(runners)

    def _has_parked(self, runner: Runner) -> bool:
        return bool(self._store.tables.parked(runner.of.name, runner.of.generation))
