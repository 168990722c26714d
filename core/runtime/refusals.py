"""Checkpoints that were refused: counted, logged, and recorded for an operator to be told of."""

from __future__ import annotations

import asyncio
import logging

from ..errors import OwnershipLostError, StoreError
from ..events import CheckpointRefused
from ..ids import CHECKPOINTS, run_of
from ..ports import Append, Clock, Journal, RunLog, Unit

_log = logging.getLogger(__name__)


class Refusals:
    """Told of every checkpoint that could not be used; `count` is how often that was."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock
        self._known: dict[str, str] = {}
        self.count = 0

    async def record(self, stream: str, reason: str) -> None:
        """Append `checkpoint.refused`, unless the same was recorded before; a run that goes on is not kept from it."""
        self.count += 1
        _log.error("the checkpoint of %s is refused, its events are folded instead: %s", stream, reason)
        if self._known.get(stream) == reason:
            return
        self._known[stream] = reason
        tenant, run_id = run_of(stream)
        try:
            await self._append(CheckpointRefused(self._clock.now(), tenant, run_id, reason))
        except StoreError as error:
            del self._known[stream]
            _log.error("that the checkpoint of %s was refused could not be recorded: %s", stream, error)

    async def _append(self, event: CheckpointRefused) -> None:
        while True:
            head = await asyncio.to_thread(self._log.head, CHECKPOINTS)
            try:
                await self._journal.commit(Unit((Append(CHECKPOINTS, head, (event,)),)))
                return
            except OwnershipLostError:
                continue  # Another process recorded something first.
