"""How many runs an emergency stop holds: those that have not ended and stand in its scope."""

from __future__ import annotations

from typing import NamedTuple

from ..core.emergency import Scope, Stops
from ..eventstore.store import Store
from .runner import Lag, lag_of
from .runs import RUNS

_OPEN = ("running", "waiting", "paused", "parked")
_BY = ("tenant", "workflow_type", "queue")


class OpenRuns(NamedTuple):
    """How many open runs there are by tenant, workflow type and queue, as of `lag` behind the log."""

    counts: dict[tuple[str, str, str], int]
    lag: Lag

    def held_by(self, stops: Stops, tenant: str | None = None) -> int:
        """How many stand under one of the stops; of one tenant, or of all."""
        return sum(
            number for key, number in self.counts.items() if tenant in (None, key[0]) and stops.covers(*key) is not None
        )

    def within(self, scope: Scope, tenant: str | None = None) -> int:
        """How many stand in a scope; of one tenant, or of all."""
        place = {"tenant": 0, "workflow": 1, "queue": 2}.get(scope.kind)
        return sum(
            number
            for key, number in self.counts.items()
            if tenant in (None, key[0]) and (place is None or key[place] == scope.name)
        )


def open_runs(store: Store) -> OpenRuns | None:
    """The open runs, from the index; None while there is none."""
    of = next((each for each in store.tables.generations(RUNS.name) if each.active), None)
    if of is None:
        return None
    counts: dict[tuple[str, str, str], int] = {}
    for status in _OPEN:
        for *key, number in store.tables.counts(of, RUNS.name, {"status": status}, _BY):
            tenant, workflow_type, queue = key
            counts[tenant, workflow_type, queue] = counts.get((tenant, workflow_type, queue), 0) + number
    return OpenRuns(counts, lag_of(store, of))
