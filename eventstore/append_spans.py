"""Spans of appends: one transaction a second at most, for a busy committer has thousands."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..core.errors import RefoldError
from ..core.ports import Ack
from ..core.runtime.tracing import Tracer
from .sealing import SealedUnit

EVERY_SECONDS = 1.0
"""How long after one span the next one may come."""


class AppendSpans:
    """Tells of the transactions of one committer, from one thread."""

    def __init__(self, tracer: Tracer, every_seconds: float = EVERY_SECONDS):
        self._tracer = tracer
        self._every = every_seconds
        self._next = 0.0
        self._since = 0

    def around(self, store: Callable[[list[SealedUnit]], list[Ack]], units: list[SealedUnit]) -> list[Ack]:
        """What `store` answers; `refold.transactions` says how many there were since the last that was told of."""
        self._since += 1
        if time.monotonic() < self._next:
            return store(units)
        events = sum(len(append.records) for unit in units for append in unit.appends)
        about = {"refold.units": len(units), "refold.events": events, "refold.transactions": self._since}
        span = self._tracer.begin("append", about)
        acks = store(units)
        failed = next((ack.code for ack in acks if isinstance(ack, RefoldError)), None)
        span.end({"refold.failed": sum(isinstance(ack, RefoldError) for ack in acks)}, failed)
        self._next, self._since = time.monotonic() + self._every, 0
        return acks
