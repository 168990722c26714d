"""What was decided about goldens, read from the control streams when they have moved."""

from __future__ import annotations

from ..core.golden_log import GoldenLog
from ..core.ids import GOLDEN_KEYS, goldens_of
from ..core.ports import EMPTY, Head
from ..eventstore.log import EventLog
from ..eventstore.store import Store


class GoldenDecisions:
    """The decisions recorded in a store; what was read is kept until a stream's head moves. Not for several threads."""

    def __init__(self, store: Store):
        self._log = EventLog(store, "")
        self._known: dict[str, tuple[Head, GoldenLog]] = {}

    def of(self, tenant: str | None) -> GoldenLog:
        """The decisions on the tenant's goldens; None: on the keys. Raises CallError, IntegrityError, StoreError."""
        stream = GOLDEN_KEYS if tenant is None else goldens_of(tenant)
        head = self._log.head(stream)
        known = self._known.get(stream, (EMPTY, GoldenLog(tenant)))
        if known[0] != head:
            known = self._known[stream] = head, GoldenLog(tenant, self._log.events(stream))
        return known[1]
