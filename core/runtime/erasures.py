"""Erasing sensitive data: the decision is recorded, then the keys are destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..erasure_events import DataErased
from ..erasure_log import ErasureLog
from ..errors import CallError, DataKeyError, OwnershipLostError, Problem
from ..ids import ERASURES, check_run_id, check_tenant, run_of, stream_of
from ..ports import Append, Clock, DataKeyring, Journal, RunLog, Unit
from .admission import MAX_LABEL, MAX_REASON, check_text


class Erasures:
    """What was and is to be erased. The log is never changed: what the keys opened is then closed for good."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock, keys: DataKeyring | None):
        self._log = log
        self._journal = journal
        self._clock = clock
        self._keys = keys

    async def run(self, run_id: str, tenant: str = "default", reason: str = "", by: str = "") -> list[str]:
        """Erase the sensitive data of a run, of its forks, children and continuations; the ids of these runs.

        Erased before, they are erased again. Raises CallError for a run that holds none.
        """
        stream = stream_of(check_tenant(tenant), check_run_id(run_id))
        streams = await asyncio.to_thread(self._need().family, stream)
        if not streams:
            reason = f"the run {run_id!r} of tenant {tenant!r} holds no sensitive data here"
            raise CallError(Problem("", reason, "only what was declared sensitive can be erased"))
        return await self._erase(streams, None, reason, by)

    async def subject(self, subject: str, tenant: str = "default", reason: str = "", by: str = "") -> list[str]:
        """Erase all sensitive data about somebody: of the runs that were started with this `subject`, and what
        descends from them. Raises CallError if there are none, DataKeyError."""
        keys = self._need()
        known = await asyncio.to_thread(keys.subject, check_tenant(tenant), subject)
        found: dict[str, None] = {}
        for stream in await asyncio.to_thread(keys.of_subject, known):
            found.update(dict.fromkeys(await asyncio.to_thread(keys.family, stream)))
        if not found:
            raise CallError(Problem("", f"no run of tenant {tenant!r} is about this subject", "look at its spelling"))
        return await self._erase(list(found), known, reason, by)

    async def finish(self) -> list[str]:
        """Destroy the keys of all that is recorded as erased; the streams whose keys a crash had left."""
        erased = (await self.read()).erased
        keys = self._need()
        return [stream for stream in erased if await asyncio.to_thread(keys.destroy, stream)]

    async def read(self) -> ErasureLog:
        """All that was erased. Raises IntegrityError."""
        return ErasureLog(await asyncio.to_thread(self._log.events, ERASURES))

    def _need(self) -> DataKeyring:
        if self._keys is None:
            raise DataKeyError("this engine knows no data keys")
        return self._keys

    async def _erase(self, streams: Sequence[str], subject: str | None, reason: str, by: str) -> list[str]:
        check_text("the reason", reason, MAX_REASON)
        check_text("by", by, MAX_LABEL)
        await self.finish()
        while True:
            head = await asyncio.to_thread(self._log.head, ERASURES)
            known = (await self.read()).erased
            new = [run_of(stream) for stream in streams if stream not in known]
            at = self._clock.now()
            events = [DataErased(at, tenant, run_id, subject, reason, by) for tenant, run_id in new]
            try:
                if events:
                    await self._journal.commit(Unit((Append(ERASURES, head, events),)))
                break
            except OwnershipLostError:
                continue  # Somebody else erased something first.
        for stream in streams:
            await asyncio.to_thread(self._need().destroy, stream)
        # What a run began meanwhile has a key; from now on it gets none.
        families = [await asyncio.to_thread(self._need().family, stream) for stream in streams]
        late = {each for family in families for each in family} - set(streams)
        found = await self._erase(sorted(late), subject, reason, by) if late else []
        return [*(run_of(stream)[1] for stream in streams), *found]
