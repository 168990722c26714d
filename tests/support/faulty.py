"""A store with which things go wrong, as they do between a program and a database: after a seed, or after a script."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from random import Random
from typing import Any

from refold.core.errors import StoreUnreachableError
from refold.eventstore.sealing import SealedUnit
from refold.eventstore.store import Store


class Fault(Enum):
    """What becomes of a commit."""

    NONE = "nothing goes wrong"
    BEFORE = "the connection breaks before anything is stored"
    AFTER = "everything is stored, but the answer is lost"
    LATE = "no answer; it is stored all the same, just before the next commit"
    LATER = "no answer; it reaches the store only after the next commit"
    SLOW = "it takes a while"


class FaultyStore:
    """A `Store` that passes everything on to another one, but for the commits that a fault befalls.

    Faults follow `script` while it lasts; after that, each commit has a fault with probability `trouble`, drawn from
    `seed` alone. Reading back fails with the same probability. `calls` counts the commits asked for.
    """

    def __init__(self, store: Store, seed: int = 0, *, trouble: float = 0.0, script: Iterable[Fault | Exception] = ()):
        self.calls = 0
        self._store = store
        self._random = Random(seed)
        self._trouble = trouble
        self._script = iter(script)
        self._under_way: list[tuple[Fault, Sequence[SealedUnit], str]] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """As the store does, or as the next fault has it."""
        with self._lock:
            self.calls += 1
            fault = next(self._script, None) or self._drawn()
            if isinstance(fault, Exception):
                raise fault
            earlier, self._under_way = self._under_way, []
            self._arrive(earlier, Fault.LATE)
            try:
                return self._commit(fault, units, owner)
            finally:
                self._arrive(earlier, Fault.LATER)

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Any]:
        """As the store does, or not at all."""
        if self._random.random() < self._trouble:
            raise StoreUnreachableError("the test has cut the connection while reading")
        return self._store.read(stream, after, limit)

    def _commit(self, fault: Fault, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        if fault in (Fault.LATE, Fault.LATER):
            self._under_way.append((fault, units, owner))
        elif fault is not Fault.BEFORE:
            if fault is Fault.SLOW:
                time.sleep(0.005)
            stored = self._store.commit(units, owner)
            if fault is not Fault.AFTER:
                return stored
        raise StoreUnreachableError(f"the test has cut the connection: {fault.value}")

    def _arrive(self, commits: Iterable[tuple[Fault, Sequence[SealedUnit], str]], when: Fault) -> None:
        for fault, units, owner in commits:
            if fault is when:
                self._store.commit(units, owner)

    def _drawn(self) -> Fault:
        if self._random.random() >= self._trouble:
            return Fault.NONE
        return self._random.choice([fault for fault in Fault if fault is not Fault.NONE])
