"""Moving ended runs into archives, so that a process killed at any point leaves nothing out of reach.

An archive is written under a hidden name, made durable, read back and proved; then it gets its name, then the log tells
of it, and only then runs move (`refold.eventstore.archive_moves`). What is cut off in between is a file that nothing
leads to, or a move that the next call finishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ..core.errors import IntegrityError
from ..core.ids import ARCHIVES
from ..core.ports import EMPTY, Append, Unit
from ..core.store_events import ArchiveEvent, StoreArchived
from .archive_files import ArchiveWriter
from .archive_index import Placed
from .archive_moves import EVENTS, ArchiveMoves, Entry
from .archive_packer import Packer
from .codec import open_envelope
from .sealing import Sealer
from .store import Notification, Store
from .tables import COUNTING, Generation
from .tiered import TieredStore

RUNS = 50
"""Of one transaction."""

_WINDOW = 2000
"""Hot events looked at in one statement."""

WRITTEN, NAMED, RECORDED, ADMITTED, DRAINED, FORGOTTEN, SETTLED = (
    "archive written",
    "archive named",
    "archive recorded",
    "runs admitted",
    "events drained",
    "payloads forgotten",
    "runs settled",
)
"""The points at which a test may kill the process that archives."""

Reached = Callable[[str], None]
"""Told each point that is reached."""

Progress = Callable[[int, int], None]
"""Told how far the work is: what is done, and of how much."""


class Made(NamedTuple):
    """An archive that was made: its file, its SHA-256, its length in bytes, and what it holds."""

    archive: str
    sha256: str
    bytes: int
    runs: int
    events: int


class Left(NamedTuple):
    """A run that was left in the database, and why; `intact` if only because it changed, or another moved it."""

    stream: str
    reason: str
    intact: bool = False


class Due(NamedTuple):
    """An ended run that can be archived, and how many events it has."""

    stream: str
    events: int


def unheeded(point: str) -> None:
    """Nobody wants to know."""


def recorded(store: Store, sealer: Sealer, event: ArchiveEvent) -> None:
    """Append what becomes of archives to their control stream. Raises StoreError."""
    stored = False
    while not stored:  # Somebody else recorded something first.
        head = store.heads([ARCHIVES]).get(ARCHIVES, EMPTY)
        (stored,) = store.commit([sealer.seal(Unit((Append(ARCHIVES, head, (event,)),)))], sealer.writer)


class Unhurried:
    """Leaves the database to others for as long as it had it to itself."""

    def __init__(self) -> None:
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        time.sleep(max(0.001, time.monotonic() - self._began))


class Archiving:
    """Moves runs of `store` into archives, on behalf of the operator `by`, for `reason`.

    `left` says which runs were not moved although they are old enough.
    """

    def __init__(self, store: TieredStore, sealer: Sealer, by: str, reason: str, reached: Reached = unheeded):
        self.left: list[Left] = []
        self._store = store
        self._sealer = sealer
        self._by = by
        self._reason = reason
        self._reached = reached
        self._index = store.index
        self._moves = ArchiveMoves(store.hot.access)

    def due(self, before: int, limit: int | None) -> list[Due]:
        """The runs that ended before `before` (µs since the epoch), as far as they may go, in the order of their ends.

        All projections, also those being built, have taken in what may go, and no run has a dispatch row.
        """
        last = self._seen()
        found: list[Due] = []
        position = 0
        while position < last and (limit is None or len(found) < limit):
            until = min(self._index.step(position, _WINDOW) or last, last)
            ends = self._index.ended(position, until)
            streams = [end.record.stream for end in ends]
            held = self._held(streams) if streams else set[str]()
            heads = self._store.heads(streams) if streams else {}
            for end in ends:
                stream, version = end.record.stream, end.record.version
                if stream in held or not self._is_before(end, before):
                    continue
                if heads.get(stream, EMPTY).version == version:
                    found.append(Due(stream, version))
                else:
                    self.left.append(Left(stream, "its end is not its last event"))
            position = until
        return found[:limit]

    def _seen(self) -> int:
        """Up to where every generation of every projection has followed the log, but for those that were replaced."""
        slowest = self.slowest()
        return self._store.last_position() if slowest is None else slowest.position

    def slowest(self) -> Generation | None:
        """The generation that is furthest behind; None where there is no projection."""
        every = self._store.tables.generations()
        read = {each.name: each.generation for each in every if each.active}
        # What was replaced is not followed any more; read again, it would find archived events where they are.
        followed = [each for each in every if each.generation >= read.get(each.name, 0) and each.name != COUNTING]
        return min(followed, key=lambda each: each.position, default=None)

    def _held(self, streams: Sequence[str]) -> set[str]:
        """Those that are waited for, or on their way already."""
        return self._index.awaited(streams) | {place.stream for place in self._index.placed(streams)}

    def _is_before(self, end: Notification, before: int) -> bool:
        try:
            return open_envelope(end.record).at < before
        except IntegrityError as error:
            self.left.append(Left(end.record.stream, str(error)))
            return False

    def run(self, due: Sequence[Due], progress: Progress) -> Iterator[Made]:
        """Archive these runs; tells of each archive when its runs have moved. `progress` counts every run twice.

        Raises StoreError, and IntegrityError when the disk does not keep what is written.
        """
        self.finish()
        seen = self._seen()
        packed = moved = 0

        def told() -> None:
            progress(packed + moved, 2 * len(due))

        left = iter(due)
        while packed < len(due):
            with self._store.folder.writer() as writer:
                packer = Packer(self._store, writer, seen)
                while not packer.is_full and (each := next(left, None)) is not None:
                    try:
                        packer.add(each.stream)
                    except IntegrityError as error:
                        self._leave(each.stream, str(error), intact=False)
                    packed += 1
                    told()
                if not packer.entries:
                    break
                made = self._published(writer, packer)
            for entries in _chunks(packer.placed(made.archive), RUNS):
                self._move(entries)
                moved += len(entries)
                told()
            yield made

    def _published(self, writer: ArchiveWriter, packer: Packer) -> Made:
        name, digest = writer.settle()
        packer.prove()
        self._reached(WRITTEN)
        writer.publish(name)
        self._reached(NAMED)
        events = sum(head.version for entry in packer.entries for head in entry.heads.values())
        made = Made(name, digest, writer.length, len(packer.entries), events)
        at = time.time_ns() // 1000
        event = StoreArchived(at, name, digest, made.runs, events, self._reason, self._by)
        recorded(self._store, self._sealer, event)
        self._reached(RECORDED)
        return made

    def _move(self, entries: Sequence[Entry]) -> None:
        with Unhurried():
            admitted = self._moves.admit(entries)
        self._reached(ADMITTED)
        names = {entry.stream for entry in admitted}
        for entry in entries:
            if entry.stream not in names:
                self._leave(entry.stream, "something came to it meanwhile", intact=True)
        self._drain([place for entry in admitted for place in entry.places])

    def _leave(self, stream: str, reason: str, *, intact: bool) -> None:
        """Note why a run is left; of one that another process has taken the events away under us, nothing is amiss."""
        taken = bool(self._index.placed([stream]))
        self.left.append(Left(stream, "another process archives it" if taken else reason, intact or taken))

    def finish(self) -> int:
        """Finish the moves that were cut off, and take back what was on its way out; tells how many streams."""
        finished = 0
        while places := self._index.unsettled(RUNS):
            self._drain(places)
            finished += len(places)
        return finished

    def _drain(self, places: Sequence[Placed]) -> None:
        for pieces in _pieces(places):
            with Unhurried():
                self._moves.drain(pieces)
            self._reached(DRAINED)
        streams = [place.stream for place in places]
        if not streams:
            return
        more = True
        while more:
            with Unhurried():
                more = self._moves.forget_payloads(streams)
            self._reached(FORGOTTEN)
        with Unhurried():
            self._moves.settle(streams)
        self._reached(SETTLED)


def _chunks(entries: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _pieces(places: Iterable[Placed]) -> Iterator[list[tuple[str, int]]]:
    """Streams up to a version each, the lowest versions first; each piece has a transaction's share of events."""
    piece: list[tuple[str, int]] = []
    room = EVENTS
    for place in places:
        done = 0
        while done < place.version:
            taken = min(room, place.version - done)
            done, room = done + taken, room - taken
            piece.append((place.stream, done))
            if not room:
                yield piece
                piece, room = [], EVENTS
    if piece:
        yield piece
