"""When keys were last used: noted in the store now and then, off the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from ...eventstore.key_uses import KeyUseTable

NOTED_EVERY_SECONDS = 60.0
"""A process notes the use of a key at most so often."""

_MOST = 10_000
_log = logging.getLogger(__name__)


class NotedUses:
    """Writes to `table`; `now` gives microseconds since the epoch. Used from one event loop."""

    def __init__(self, table: KeyUseTable, now: Callable[[], int]):
        self._table = table
        self._now = now
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, key_id: str) -> None:
        """The key was used now."""
        since = time.monotonic()
        if since - self._noted.get(key_id, -NOTED_EVERY_SECONDS) < NOTED_EVERY_SECONDS:
            return
        self._noted[key_id] = since
        if len(self._noted) > _MOST:
            self._noted.popitem(last=False)
        task = asyncio.get_running_loop().create_task(self._write(key_id))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, key_id: str) -> None:
        try:
            await asyncio.to_thread(self._table.note, key_id, self._now())
        except Exception as error:  # Nobody's request fails for it.
            _log.warning("the use of a key was not noted: %s", error)
