"""Which policies were ever in use: recorded before a process goes by one."""

from __future__ import annotations

import asyncio

from ..canonical import Payload
from ..errors import OwnershipLostError
from ..events import PolicyAdopted
from ..ids import POLICIES
from ..policy.document import Policy
from ..policy.log import PolicyLog
from ..ports import Append, Clock, Head, Journal, RunLog, Unit


class PolicyControl:
    """The control stream of policies."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock

    async def adopt(self, policy: Policy, by: str = "") -> None:
        """Record that somebody goes by the policy from now on; if it is known already, nothing happens.

        Raises CallError where its name and version stand for another content, StoreUnreachableError.
        """
        while True:
            known, head = await self._read()
            if known.is_known(policy):
                return
            event = PolicyAdopted(
                at=self._clock.now(),
                name=policy.policy,
                version=policy.version,
                document=Payload.from_canonical(policy.canonical),
                sha256=policy.sha256,
                by=by,
            )
            try:
                await self._journal.commit(Unit((Append(POLICIES, head, (event,)),)))
                return
            except OwnershipLostError:
                continue  # Somebody else adopted one first, perhaps this very one.

    async def adopted(self) -> PolicyLog:
        """All that were ever in use. Raises IntegrityError."""
        return (await self._read())[0]

    async def _read(self) -> tuple[PolicyLog, Head]:
        head = await asyncio.to_thread(self._log.head, POLICIES)
        events = await asyncio.to_thread(self._log.events, POLICIES, 0, head.version) if head.version else []
        return PolicyLog(events), head
