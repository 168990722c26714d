"""What this process knows of keys and sessions: looked up at most once a second, and off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from ...core.access_log import AccessLog, Session
from ...core.runtime.access_control import AccessControl

FRESH_SECONDS = 1.0
"""For how long what was looked up is taken as it is: so soon a revoked key is dead everywhere."""

MOST_SESSIONS = 10_000
"""So many sessions are remembered, those that were asked for last."""


class KnownKeys:
    """The keys. Whoever asks waits for the store only when nobody has asked for a second."""

    def __init__(self, control: AccessControl):
        self._control = control
        self._looked = -FRESH_SECONDS
        self._looking: asyncio.Task[None] | None = None
        self.log = AccessLog()

    async def fresh(self) -> AccessLog:
        """The keys as they stood less than a second ago. Raises StoreError, IntegrityError."""
        age = time.monotonic() - self._looked
        if age >= FRESH_SECONDS / 2:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.get_running_loop().create_task(self._look())
                self._looking.add_done_callback(_heard)
            if age >= FRESH_SECONDS:
                await asyncio.shield(self._looking)
        return self.log

    async def renew(self) -> AccessLog:
        """The keys as they stand now: for who has just changed them."""
        await self._look()
        return self.log

    async def _look(self) -> None:
        began = time.monotonic()
        found = await asyncio.to_thread(self._control.known, self.log)
        if found.version >= self.log.version:
            self.log, self._looked = found, began


class KnownSessions:
    """The sessions of the console that were asked for, those that there are not too."""

    def __init__(self, control: AccessControl):
        self._control = control
        self._found: OrderedDict[str, tuple[float, Session | None]] = OrderedDict()

    def remembered(self, session_id: str) -> bool:
        """Whether such a session was found before."""
        return self._found.get(session_id, (0.0, None))[1] is not None

    async def fresh(self, session_id: str) -> Session | None:
        """The session as it stood less than a second ago, None if there is none. Raises StoreError, IntegrityError."""
        looked, session = self._found.get(session_id, (-FRESH_SECONDS, None))
        now = time.monotonic()
        if now - looked >= FRESH_SECONDS:
            session = await asyncio.to_thread(self._control.session, session_id)
            self._found[session_id] = (now, session)
            if len(self._found) > MOST_SESSIONS:
                self._found.popitem(last=False)
        self._found.move_to_end(session_id)
        return session

    def forget(self, session_id: str) -> None:
        """Look the session up when it is next asked for: it has just changed."""
        self._found.pop(session_id, None)


def _heard(task: asyncio.Task[None]) -> None:
    """What went wrong is told to who waits for it; where nobody does, to who asks next."""
    if not task.cancelled():
        task.exception()
