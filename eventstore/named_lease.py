"""A lease by name: of all processes on a store, one does something for all, and another when it dies."""

from __future__ import annotations

from contextlib import suppress

from ..core.errors import StoreRefusedError
from .owner import is_dead
from .store import Store
from .tables import LEASES, Generation


class NamedLease:
    """The lease `name`, one of `LEASES`, as the process `owner` sees it. All calls block, and raise StoreError."""

    def __init__(self, store: Store, name: str, owner: str, seconds: float = 30.0):
        """After `seconds` without being prolonged anybody may take it; that of a dead process of this host at once."""
        if name not in LEASES:
            raise ValueError(f"no lease is called {name!r}")
        self._store = store
        self._name = name
        self._owner = owner
        self._seconds = seconds

    def hold(self) -> bool:
        """Take or prolong it; False while somebody else holds it who may live."""
        of = self._row()
        dead = of.owner if of.owner is not None and is_dead(of.owner) else None
        if of.owner not in (None, self._owner, dead) and of.seconds_left > 0:
            return False
        return self._store.tables.claim(self._name, of.generation, self._owner, self._seconds, dead)

    def release(self) -> None:
        """Give it up, if it is ours."""
        for of in self._store.tables.generations(self._name):
            self._store.tables.release(self._name, of.generation, self._owner)

    def _row(self) -> Generation:
        found = self._store.tables.generations(self._name)
        if not found:
            with suppress(StoreRefusedError):  # Another process was faster.
                self._store.tables.create(self._name, 1, (), 1)
            found = self._store.tables.generations(self._name)
        return found[0]
