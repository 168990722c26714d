"""Messages to runs: sent into the inbox by anybody, taken by whoever holds the run."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from ..canonical import Payload
from ..decide import due_of
from ..errors import OwnershipLostError, RefoldError
from ..events import Event, MessageSent
from ..ids import inbox_of
from ..inbox import CONTINUED, take
from ..ports import Ack, Append, Schedule, Unit, Unschedule, Wake
from ..run_state import RunState
from ..state import evolve
from .history import History
from .relations import NO_BODY, Letter, children_awaited, forwarded, letters
from .services import Services


class Mailbox:
    """Sends messages, and takes them for runs that no live process holds."""

    def __init__(self, services: Services, history: History):
        self._services = services
        self._history = history

    async def send(
        self, stream: str, kind: str, reason: str, key: str | None, name: str = "", body: Payload = NO_BODY
    ) -> tuple[str, int]:
        """Put a message into the inbox of `stream`, once for each key, and return its stream and its version there.

        Of a run that is continued by another one it is the other one's inbox.
        """
        key = key or uuid.uuid4().hex
        while True:
            head = await self._history.inbox_head(stream)
            messages = await self._history.messages(stream, 0)
            for version, sent in messages:
                if sent.key == key and sent.kind != CONTINUED:
                    return stream, version
            successor = forwarded(stream, messages[-1][1] if messages else None)
            if successor is not None:
                stream = successor
                continue
            message = MessageSent(self._services.clock.now(), kind, key, reason, name, body)
            try:
                unit = Unit((Append(inbox_of(stream), head, (message,)),), (Wake(stream),))
                return stream, (await self._services.journal.commit(unit))[0].version
            except OwnershipLostError:
                continue  # Somebody else's message came first.

    async def latest(self, stream: str) -> str:
        """The stream of the run that continues the one of `stream`, and so on; its own if none does."""
        while (successor := forwarded(stream, await self._history.last_message(stream))) is not None:
            stream = successor
        return stream

    async def sent(self, stream: str, key: str) -> bool:
        """Whether the run of `stream`, or one that continues it, was sent a message of this key."""
        following: str | None = stream
        while following is not None:
            messages = await self._history.messages(following, 0)
            if any(sent.key == key and sent.kind != CONTINUED for _, sent in messages):
                return True
            following = forwarded(following, messages[-1][1] if messages else None)
        return False

    async def take_for(self, stream: str) -> RunState:
        """Take the messages of a run that no live process holds, on its behalf; nothing is executed."""
        while await self._history.claim(stream, self._services.lease_seconds) is None:
            try:
                state, version, taken = await self._take(stream)
            except OwnershipLostError:
                break
            finally:
                await self._history.release(stream)
            self._services.ended(stream, state.started, taken)
            if self._services.observer is not None:
                for number, event in enumerate(taken, version + 1):
                    self._services.observer(stream, number, event)
            # Who sent a message while we held the lease counts on us to take it.
            if state.end is not None or not await self._history.messages(stream, state.taken):
                return state
        return (await self._history.load(stream))[0]

    async def _take(self, stream: str) -> tuple[RunState, int, list[Event]]:
        state, head = await self._history.load(stream)
        taken: list[Event] = []
        awaited = children_awaited(state)
        for version, message in await self._history.messages(stream, state.taken):
            if state.end is None:
                taken.append(take(state, self._services.clock.now(), version, message))
                evolve(state, taken[-1])
        if taken:
            dispatch = Unschedule(stream) if state.end is not None else Schedule(stream, 0, due_of(state), state.taken)
            await self._commit(Unit((Append(stream, head, taken),), (dispatch,)), letters(state, awaited, taken))
        return state, head.version, taken

    async def _commit(self, unit: Unit, told: Sequence[Letter]) -> None:
        family = self._services.family
        if not told or family is None:
            await self._services.journal.commit(unit)
            return
        answered: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        family.append(unit, told, None, answered.set_result)
        ack = await answered
        if isinstance(ack, RefoldError):
            raise ack
