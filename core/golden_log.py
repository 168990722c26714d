"""What was decided about a tenant's goldens, or about the keys, folded from their control stream."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import IntegrityError
from .events import Event
from .golden_events import (
    GoldenArchived,
    GoldenArchiveResigned,
    GoldenKeyRotated,
    GoldenResigned,
    GoldenRestored,
    GoldenRetentionSet,
)

_OfTenant = GoldenRetentionSet | GoldenArchived | GoldenRestored | GoldenResigned | GoldenArchiveResigned


class GoldenLog:
    """The decisions on one tenant's goldens (`tenant` is None: on the keys of all).

    `retention_seconds` is None while nobody has set it; `archives` maps names to SHA-256, in the order in which they
    were recorded (the last one at `archived_at`, in µs since the epoch), and `replaced` those that were signed anew to
    what took their place; `key_id` is the current key, and `key_ids` all that ever were.
    """

    def __init__(self, tenant: str | None, events: Iterable[Event] = ()):
        self._tenant = tenant
        self.retention_seconds: float | None = None
        self.archives: dict[str, str] = {}
        self.archived_at = 0
        self.replaced: dict[str, str] = {}
        self.key_id: str | None = None
        self.key_ids: set[str] = set()
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow."""
        if isinstance(event, GoldenKeyRotated) and self._tenant is None:
            self._rotate(event)
        elif isinstance(event, _OfTenant) and self._tenant == event.tenant:
            self._decide(event)
        else:
            raise IntegrityError(f"{event.topic} cannot occur here, or is of another tenant")

    def _decide(self, event: _OfTenant) -> None:
        if isinstance(event, GoldenRetentionSet):
            self.retention_seconds = event.seconds
        elif isinstance(event, GoldenArchived | GoldenArchiveResigned):
            if isinstance(event, GoldenArchiveResigned):
                self.archives.pop(event.replaced, None)
                self.replaced[event.replaced] = event.archive
            self.replaced.pop(event.archive, None)
            self.archives[event.archive] = event.sha256
            self.archived_at = max(self.archived_at, event.at)

    def _rotate(self, event: GoldenKeyRotated) -> None:
        if self.key_id is not None and event.key_id == self.key_id:
            raise IntegrityError(f"{event.topic}: the key {event.key_id!r} is the current one already")
        self.key_id = event.key_id
        self.key_ids.add(event.key_id)
