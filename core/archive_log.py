"""What was recorded about archives, folded from their control stream."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import IntegrityError
from .events import Event
from .store_events import StoreArchived, StoreBroughtBack


class ArchiveLog:
    """The archives ever made, by name."""

    def __init__(self, events: Iterable[Event] = ()):
        self.archives: dict[str, StoreArchived] = {}
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow."""
        if isinstance(event, StoreArchived):
            known = self.archives.setdefault(event.archive, event)
            if known.sha256 != event.sha256:
                raise IntegrityError(f"{event.topic}: the archive {event.archive} had another content before")
        elif isinstance(event, StoreBroughtBack):
            if event.archive not in self.archives:
                raise IntegrityError(f"{event.topic}: no archive {event.archive} was ever made")
        else:
            raise IntegrityError(f"{event.topic} cannot occur here")
