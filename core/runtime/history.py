"""The log as the engine awaits it: its blocking calls are made on threads, and events come back folded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from ..canonical import Payload
from ..errors import IntegrityError, RunNotFoundError, StoreError, StoreRefusedError
from ..events import Event, MessageSent, RunStarted
from ..ids import inbox_of, run_of
from ..ports import EMPTY, Checkpoints, Claimed, Head, Lease, QueryStore, RunLog
from ..run_state import RunState
from ..spec_state import SpecState
from ..state import evolve, fold
from .refusals import Refusals

_TRIES = 100
"""How often a stream that grows between two reads is read again."""


LONG_RUN = 500
"""Events from which on a run is taken up from its checkpoint: fewer are folded faster than one is looked for."""


class Past(NamedTuple):
    """A run up to its `head`: all its `events`, or instead the state `restored` from a checkpoint and the tail."""

    head: Head
    events: Sequence[Event] = ()
    restored: SpecState | None = None

    @property
    def is_unreadable(self) -> bool:
        """Whether it holds sensitive data that could not be read."""
        if self.restored is None:
            found = (getattr(event, name, None) for event in self.events for name in ("inputs", "output"))
        else:
            outputs = (None if outcome is None else outcome.output for outcome in self.restored.outcomes)
            found = (self.restored.started.inputs, *outputs)
        hidden = (payload.hidden for payload in found if isinstance(payload, Payload))
        return any(each is not None and each.plain is None for each in hidden)

    def state(self) -> RunState:
        """The state after all of it."""
        return fold(self.events) if self.restored is None else self.restored


class History:
    """Reading runs and their inboxes, and holding their leases, without blocking the event loop.

    With `checkpoints`, long runs of specs are taken up from theirs; `refusals` are told of those that are no good.
    """

    def __init__(self, log: RunLog, checkpoints: Checkpoints | None = None, refusals: Refusals | None = None):
        self._log = log
        self._checkpoints = checkpoints
        self._refusals = refusals

    @property
    def queries(self) -> QueryStore:
        """Questions to workers; its calls block."""
        return self._log.queries

    async def load(self, stream: str) -> tuple[RunState, Head]:
        """The state of a run and the head of its stream, taken at the same point. Raises RunNotFoundError."""
        past = await self.past(stream)
        return past.state(), past.head

    async def past(self, stream: str, known: Past | None = None) -> Past:
        """What it takes to go on with a run; `known` is what was read before. Raises RunNotFoundError."""
        head = await asyncio.to_thread(self._log.head, stream)
        if known is not None and known.head == head:
            return known
        restored = await self._restored(stream, head)
        if restored is not None:
            return Past(head, (), restored)
        events, head = await self.whole(stream, head)
        return Past(head, events)

    async def whole(self, stream: str, first: Head | None = None) -> tuple[Sequence[Event], Head]:
        """All events of a run, and the head of its stream, taken at the same point; `first` is the head if it was just
        read. Raises RunNotFoundError."""
        head, events = EMPTY, ()
        for attempt in range(_TRIES):
            known = first if attempt == 0 else None
            head = known or await asyncio.to_thread(self._log.head, stream)
            events = await self.events(stream)
            if len(events) == head.version:
                return events, head
        reason = f"{stream} holds {len(events)} events, but its head says {head.version}: run refold verify"
        raise IntegrityError(reason)

    async def _restored(self, stream: str, head: Head) -> SpecState | None:
        """The state at `head`, by way of the checkpoint; None for a function, which must be driven through it all."""
        if self._checkpoints is None or head.version < LONG_RUN:
            return None
        try:
            return await asyncio.to_thread(_from_checkpoint, self._log, self._checkpoints, stream, head)
        except IntegrityError as error:
            if self._refusals is not None:
                await self._refusals.record(stream, str(error))
            return None
        except StoreRefusedError:
            return None  # The tables have just been dropped, for newer ones; or reading all events says so, too.

    async def events(self, stream: str) -> Sequence[Event]:
        """All events of a run. Raises RunNotFoundError."""
        events = await asyncio.to_thread(self._log.events, stream)
        if not events:
            tenant, run_id = run_of(stream)
            raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
        return events

    async def messages(self, stream: str, after: int) -> list[tuple[int, MessageSent]]:
        """The messages to a run after the one of version `after`, each with its own."""
        found = await asyncio.to_thread(self._log.events, inbox_of(stream), after)
        return [(version, event) for version, event in enumerate(found, after + 1) if isinstance(event, MessageSent)]

    async def last_message(self, stream: str) -> MessageSent | None:
        """The last message to a run, None if there is none."""
        last = (await self.inbox_head(stream)).version
        found = await self.messages(stream, last - 1) if last else []
        return found[0][1] if found else None

    async def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """The heads of those of `streams` that exist."""
        return await asyncio.to_thread(self._log.heads, streams)

    async def inbox_heads(self, streams: Sequence[str]) -> dict[str, int]:
        """The versions of the last messages to the runs of `streams`, where there are any."""
        heads = await asyncio.to_thread(self._log.heads, [inbox_of(stream) for stream in streams])
        return {stream: heads[inbox_of(stream)].version for stream in streams if inbox_of(stream) in heads}

    async def inbox_head(self, stream: str) -> Head:
        """The head of a run's inbox."""
        return await asyncio.to_thread(self._log.head, inbox_of(stream))

    async def claim(self, stream: str, seconds: float) -> Lease | None:
        """Take a run's lease; None when it is ours, else the live lease in the way."""
        return await asyncio.to_thread(self._log.claim, stream, seconds)

    async def renew(self, streams: Sequence[str], seconds: float) -> None:
        """Prolong our leases."""
        await asyncio.to_thread(self._log.renew, streams, seconds)

    async def release(self, stream: str, due: int | None = None, taken: int | None = None) -> None:
        """Give up our lease, if the store can be reached; else it runs out by itself. See `RunLog.release`."""
        with suppress(StoreError):
            await asyncio.to_thread(self._log.release, stream, due, taken)

    async def claim_due(
        self, queues: Sequence[str], serves: Callable[[str], bool], limit: int, seconds: float
    ) -> Claimed:
        """Lease runs that are due and whose needs `serves` says yes to."""
        return await asyncio.to_thread(self._log.claim_due, queues, serves, limit, seconds)

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called when runs may have become due. See `RunLog.on_hint`."""
        return self._log.on_hint(hear)

    async def hint(self) -> None:
        """Tell those who listen, in any process, that there is something to look for."""
        await asyncio.to_thread(self._log.hint)

    async def free_held(self, before: int) -> int:
        """Make runs due that an emergency stop held back. See `RunLog.free_held`."""
        return await asyncio.to_thread(self._log.free_held, before)

    async def bury_the_dead(self) -> int:
        """Free the leases of ended processes of this host."""
        return await asyncio.to_thread(self._log.bury_the_dead)

    async def beat(self, report: str) -> None:
        """Record that this process lives."""
        await asyncio.to_thread(self._log.beat, report)

    async def leave(self) -> None:
        """Record that this process has gone, if the store can be reached."""
        with suppress(StoreError):
            await asyncio.to_thread(self._log.leave)


def _from_checkpoint(log: RunLog, checkpoints: Checkpoints, stream: str, head: Head) -> SpecState | None:
    first = log.events(stream, 0, 1)
    started = first[0] if first else None
    if not isinstance(started, RunStarted) or started.spec is None:
        return None
    found = checkpoints.restore(started)
    if found is None or not isinstance(found.state, SpecState) or _holds_placeholders(found.state):
        return None
    if found.version > head.version:
        raise IntegrityError(f"it follows event {found.version}, but the run has come to {head.version}")
    tail = log.events(stream, found.version)
    if found.version + len(tail) != head.version:
        return None  # Somebody else writes; or numbers are missing, and reading it all says so.
    for event in tail:
        evolve(found.state, event)
    return found.state


def _holds_placeholders(state: SpecState) -> bool:
    """Whether what the checkpoint has may stand for what only the events hold, encrypted."""
    if state.started.inputs.hidden is not None or any(step.sensitive for step in state.plan.steps):
        return True
    outputs = (outcome.output for outcome in state.outcomes if outcome is not None and outcome.output is not None)
    return any(b'"$sensitive"' in output.data for output in outputs)
