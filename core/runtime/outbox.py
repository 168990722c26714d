"""Units of commit with messages to other runs in them: a child's end with the news for its parent, for instance.

An inbox may grow between a look at its head and the commit. The unit is then refused as a whole and tried again, unless
it was the run's own stream that somebody else has written to. Messages of many runs to one inbox share a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import OwnershipLostError, RefoldError, StoreError
from ..ids import inbox_of
from ..ports import EMPTY, Ack, Append, Head, Journal, Unit, Wake
from .history import History
from .relations import Letter

_TOGETHER = 64
"""At most this many units share one commit."""


class _Parcel(NamedTuple):
    """A unit, its letters, and who waits for the answer."""

    unit: Unit
    letters: Sequence[Letter]
    done: Callable[[Ack], None]

    @property
    def inboxes(self) -> frozenset[str]:
        return frozenset(inbox_of(letter.stream) for letter in self.letters)


class Outbox:
    """Commits units that carry letters. One commit for any one set of inboxes is under way at a time."""

    def __init__(self, journal: Journal, history: History):
        self._journal = journal
        self._history = history
        self._waiting: dict[frozenset[str], list[_Parcel]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waits(self) -> bool:
        """Whether no commit is under way."""
        return not self._waiting

    def append(self, unit: Unit, letters: Sequence[Letter], done: Callable[[Ack], None]) -> None:
        """Commit `unit` with `letters`; `done` is called on this event loop with the answer for the unit."""
        parcel = _Parcel(unit, letters, done)
        waiting = self._waiting.get(parcel.inboxes)
        if waiting is not None:
            waiting.append(parcel)
            return
        self._waiting[parcel.inboxes] = [parcel]
        task = asyncio.get_running_loop().create_task(self._send_all(parcel.inboxes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_all(self, inboxes: frozenset[str]) -> None:
        try:
            while waiting := self._waiting[inboxes]:
                batch, self._waiting[inboxes] = waiting[:_TOGETHER], waiting[_TOGETHER:]
                await self._send(batch)
        finally:
            del self._waiting[inboxes]

    async def _send(self, batch: list[_Parcel]) -> None:
        """Commit a batch as one unit; if that is refused because of one of them, each by itself."""
        try:
            acks = await self._commit(batch)
        except OwnershipLostError as error:
            if len(batch) == 1:
                batch[0].done(error)
                return
            for parcel in batch:
                await self._send([parcel])
        except RefoldError as error:
            for parcel in batch:
                parcel.done(error)
        else:
            for parcel, ack in zip(batch, acks, strict=True):
                parcel.done(ack)

    async def _commit(self, batch: list[_Parcel]) -> list[Sequence[Head]]:
        own = [append for parcel in batch for append in parcel.unit.appends]
        letters = [letter for parcel in batch for letter in parcel.letters]
        inboxes = sorted({inbox_of(letter.stream) for letter in letters})
        while True:
            heads = await self._history.heads(inboxes)
            posts = [
                Append(
                    inbox, heads.get(inbox, EMPTY), [each.message for each in letters if inbox_of(each.stream) == inbox]
                )
                for inbox in inboxes
            ]
            wakes = [Wake(stream) for stream in sorted({letter.stream for letter in letters})]
            dispatch = [change for parcel in batch for change in parcel.unit.dispatch]
            try:
                acks = list(await self._journal.commit(Unit([*own, *posts], [*dispatch, *wakes])))
            except OwnershipLostError:
                if await self._is_lost(own):
                    raise
                continue
            return [[acks.pop(0) for _ in parcel.unit.appends] for parcel in batch]

    async def _is_lost(self, own: Sequence[Append]) -> bool:
        """Whether somebody else has written to any of the runs' own streams."""
        try:
            heads = await self._history.heads([append.stream for append in own])
        except StoreError:
            return True
        return any(heads.get(append.stream, EMPTY) != append.expected for append in own)

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))
