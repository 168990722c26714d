"""What was erased, folded from its control stream."""

from __future__ import annotations

from collections.abc import Iterable

from .erasure_events import DataErased
from .errors import IntegrityError
from .events import Event
from .ids import stream_of


class ErasureLog:
    """The erasures, by the stream of the run; of several of one run the first."""

    def __init__(self, events: Iterable[Event] = ()):
        self.erased: dict[str, DataErased] = {}
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot occur here."""
        if not isinstance(event, DataErased):
            raise IntegrityError(f"{event.topic} cannot occur here")
        self.erased.setdefault(stream_of(event.tenant, event.run_id), event)
