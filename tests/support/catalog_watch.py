"""Watches that what fails in a test fails with a code of a catalog: one of Refold's, or one that is registered."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from refold.core.events import RunFailed, RunParked, StepAttemptFailed, StepFailed
from refold.core.failures import FAILURES, CatalogEntry, FailureCatalog
from refold.eventstore import sealing

FAILING = (StepAttemptFailed, StepFailed, RunFailed, RunParked)
"""The events whose code comes from what skills and workflow functions do."""


class CatalogWatch:
    """What was seen: codes that are registered, and events with other ones."""

    def __init__(self) -> None:
        self.registered = set(FAILURES)
        self._found: list[str] = []

    def see(self, event: Any) -> None:
        """Look at an event that is about to be stored."""
        if isinstance(event, FAILING) and event.error_code not in self.registered:
            self._found.append(f"{event.topic} {event.error_code}")

    def take(self) -> list[str]:
        """What was found since it was last asked."""
        found, self._found = self._found, []
        return found


@contextmanager
def watching() -> Generator[CatalogWatch]:
    """Look at every event that this process seals from now on, and at every code that it registers."""
    watch = CatalogWatch()
    encode, add = sealing.encode, FailureCatalog.add

    def seen(event: Any, *rest: Any) -> bytes:
        watch.see(event)
        return encode(event, *rest)

    def added(catalog: FailureCatalog, entry: CatalogEntry) -> CatalogEntry:
        watch.registered.add(entry.code)
        return add(catalog, entry)

    with _replaced(sealing, "encode", seen), _replaced(FailureCatalog, "add", added):
        yield watch


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Generator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
