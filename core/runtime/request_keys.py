"""Idempotency keys: what a key stands for is recorded before anything is done, so that it stands for nothing else.

What is done then is given its name (the id of a run, the key of a message) by the key, so that it is done once, however
often it is tried, also when the process dies in between.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from hashlib import sha256

from ..errors import IdempotencyConflictError, IntegrityError, OwnershipLostError, RequestDoneError
from ..ids import requests_of
from ..ports import Append, Clock, Journal, RunLog, Unit
from ..request_events import RequestKeyed

Beside = Callable[[int], Awaitable[Append]]
"""Gives what is recorded in one unit with something that happens at a time (µs since 1970), so that it happens once.
Raises RequestDoneError when it has happened, and IdempotencyConflictError for a key that stands for something else."""


class RequestKeys:
    """The control streams of keyed requests."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock

    async def claim(self, key: str, request: bytes, by: str = "", tenant: str = "default") -> bool:
        """Have `key` stand for `request` (the same bytes whenever the same is asked for); whether it is the first time.

        Raises IdempotencyConflictError when it stands for something else, and writes nothing then.
        """
        stream = f"{requests_of(tenant)}/{sha256(key.encode()).hexdigest()}"
        told = hmac.new(key.encode(), request, sha256).hexdigest()
        while True:
            head = await asyncio.to_thread(self._log.head, stream)
            if head.version:
                await self._check(stream, told)
                return False
            try:
                await self._journal.commit(Unit((Append(stream, head, (RequestKeyed(self._clock.now(), told, by),)),)))
            except OwnershipLostError:
                continue  # The same key came by another way at the same moment.
            return True

    def once(self, key: str, request: bytes, by: str = "", tenant: str = "default") -> Beside:
        """What has `key` stand for `request` in the unit that does what is requested: nothing can come between them."""
        stream = f"{requests_of(tenant)}/{sha256(key.encode()).hexdigest()}"
        told = hmac.new(key.encode(), request, sha256).hexdigest()

        async def beside(at: int) -> Append:
            head = await asyncio.to_thread(self._log.head, stream)
            if head.version:
                raise RequestDoneError((await self._check(stream, told)).at)
            return Append(stream, head, (RequestKeyed(at, told, by),))

        return beside

    async def _check(self, stream: str, told: str) -> RequestKeyed:
        first = (await asyncio.to_thread(self._log.events, stream, 0, 1) or [None])[0]
        if not isinstance(first, RequestKeyed):
            raise IntegrityError(f"{stream} does not say what its key stands for")
        if not hmac.compare_digest(first.request, told):
            raise IdempotencyConflictError("the idempotency key was used for another request; use a new one")
        return first
