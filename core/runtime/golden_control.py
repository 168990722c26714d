"""Decisions about goldens, recorded and read: the operator is audited like everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import OwnershipLostError
from ..golden_events import GoldenEvent, GoldenKeyRotated
from ..golden_log import GoldenLog
from ..ids import GOLDEN_KEYS, goldens_of
from ..ports import Append, Clock, Journal, RunLog, Unit
from .admission import MAX_LABEL, check_text


class GoldenControl:
    """The control streams of goldens."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock

    async def record(self, made: Callable[[int], GoldenEvent]) -> GoldenEvent:
        """Append the event that `made` gives for the time of now. Raises CallError, StoreUnreachableError."""
        event = made(self._clock.now())
        check_text("by", event.by, MAX_LABEL)
        stream = GOLDEN_KEYS if isinstance(event, GoldenKeyRotated) else goldens_of(event.tenant)
        while True:
            head = await asyncio.to_thread(self._log.head, stream)
            try:
                await self._journal.commit(Unit((Append(stream, head, (event,)),)))
                return event
            except OwnershipLostError:
                continue  # Somebody else decided something first.

    async def read(self, tenant: str | None) -> GoldenLog:
        """What was decided on the tenant's goldens; None: on the keys. Raises IntegrityError."""
        stream = GOLDEN_KEYS if tenant is None else goldens_of(tenant)
        return GoldenLog(tenant, await asyncio.to_thread(self._log.events, stream))
