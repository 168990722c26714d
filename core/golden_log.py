"""What was decided about a tenant's goldens, or about the keys, folded from their control stream."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import IntegrityError
from .events import Event
from .golden_events import GoldenArchived, GoldenKeyRotated, GoldenResigned, GoldenRestored, GoldenRetentionSet


class GoldenLog:
    """The decisions on one tenant's goldens (`tenant` is None: on the keys of all).

    `retention_seconds` is None while nobody has set it; `archives` maps names to SHA-256; `key_id` is the current key.
    """

    def __init__(self, tenant: str | None, events: Iterable[Event] = ()):
        self._tenant = tenant
        self.retention_seconds: float | None = None
        self.archives: dict[str, str] = {}
        self.key_id: str | None = None
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow."""
        if isinstance(event, GoldenKeyRotated) and self._tenant is None:
            self._rotate(event)
        elif (
            isinstance(event, GoldenRetentionSet | GoldenArchived | GoldenRestored | GoldenResigned)
            and self._tenant == event.tenant
        ):
            if isinstance(event, GoldenRetentionSet):
                self.retention_seconds = event.seconds
            elif isinstance(event, GoldenArchived):
                self.archives[event.archive] = event.sha256
        else:
            raise IntegrityError(f"{event.topic} cannot occur here, or is of another tenant")

    def _rotate(self, event: GoldenKeyRotated) -> None:
        if self.key_id is not None and event.key_id == self.key_id:
            raise IntegrityError(f"{event.topic}: the key {event.key_id!r} is the current one already")
        self.key_id = event.key_id
