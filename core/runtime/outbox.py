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
from .relations import Handover, Letter, forwarded

_TOGETHER = 64
"""At most this many units share one commit."""


class _Parcel(NamedTuple):
    """A unit, what goes with it, and who waits for the answer."""

    unit: Unit
    letters: Sequence[Letter]
    legacy: Handover | None
    done: Callable[[Ack], None]
    delivered: Callable[[Letter], None]

    @property
    def inboxes(self) -> frozenset[str]:
        own = () if self.legacy is None else (inbox_of(self.legacy.stream),)
        return frozenset((*own, *(inbox_of(letter.stream) for letter in self.letters)))


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

    def append(
        self,
        unit: Unit,
        letters: Sequence[Letter],
        legacy: Handover | None,
        done: Callable[[Ack], None],
        delivered: Callable[[Letter], None],
    ) -> None:
        """Commit `unit` with `letters` and `legacy`; `done` is called on this event loop with the answer for the unit,
        `delivered` then with every letter, as it was addressed in the end."""
        parcel = _Parcel(unit, letters, legacy, done, delivered)
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
            for parcel, (ack, sent) in zip(batch, acks, strict=True):
                parcel.done(ack)
                for letter in sent:
                    parcel.delivered(letter)

    async def _commit(self, batch: list[_Parcel]) -> list[tuple[Sequence[Head], list[Letter]]]:
        own = [append for parcel in batch for append in parcel.unit.appends]
        dispatch = [change for parcel in batch for change in parcel.unit.dispatch]
        ledger = [change for parcel in batch for change in parcel.unit.ledger]
        while True:
            posts: dict[str, Append] = {}
            told: list[list[Letter]] = []
            for parcel in batch:
                sent = [await self._post(letter, posts) for letter in parcel.letters]
                told.append([letter for letter in sent if letter is not None])
                if parcel.legacy is not None:
                    await self._hand_over(parcel.legacy, posts)
            wakes = [Wake(stream) for stream in sorted({letter.stream for sent in told for letter in sent})]
            try:
                acks = list(await self._journal.commit(Unit([*own, *posts.values()], [*dispatch, *wakes], ledger)))
            except OwnershipLostError:
                if await self._is_lost(own):
                    raise
                continue
            return [([acks.pop(0) for _ in p.unit.appends], sent) for p, sent in zip(batch, told, strict=True)]

    async def _post(self, letter: Letter, posts: dict[str, Append]) -> Letter | None:
        """Add a letter to `posts`, as it is addressed in the end; None if nobody is to read it."""
        while inbox_of(letter.stream) not in posts:
            inbox, head = inbox_of(letter.stream), await self._history.inbox_head(letter.stream)
            found = await self._history.messages(letter.stream, head.version - 1) if head.version else []
            successor = forwarded(letter.stream, found[0][1] if found else None)
            if successor is None:
                posts[inbox] = Append(inbox, head, ())
            elif letter.message.kind == "child":
                return None  # The run that waited has given that child up.
            else:
                letter = letter._replace(stream=successor)
        post = posts[inbox_of(letter.stream)]
        posts[post.stream] = post._replace(events=(*post.events, letter.message))
        return letter

    async def _hand_over(self, legacy: Handover, posts: dict[str, Append]) -> None:
        inbox, head = inbox_of(legacy.stream), await self._history.inbox_head(legacy.stream)
        messages = await self._history.messages(legacy.stream, legacy.taken)
        unread = [message for version, message in messages if version <= head.version]
        posts[inbox] = Append(inbox, head, (legacy.closing,))
        if legacy.carried or unread:
            theirs = inbox_of(legacy.successor)
            posts[theirs] = Append(theirs, EMPTY, (*legacy.carried, *unread))

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
