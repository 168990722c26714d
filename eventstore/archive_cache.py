"""Runs read from archives, the latest used of them kept; and archived events in the order of their positions."""

from __future__ import annotations

import heapq
import threading
from bisect import bisect_right
from collections import OrderedDict
from operator import attrgetter

from ..core.errors import IntegrityError
from ..core.ports import Head
from .archive_files import ArchivedRun, ArchiveFolder
from .archive_index import ArchiveIndex, Placed, Span
from .chain import event_hash
from .parts import share_of
from .store import Notification

KEPT_BYTES = 64 * 2**20
"""How much of decompressed runs is kept; a single larger one is kept, too."""

_AHEAD = 200
"""So many streams are looked up at a time."""

_WHOLE = (0, 1)
"""The one share of one."""

_CURSORS = 64
"""So many followers find again which streams they were within."""


class ArchiveCache:
    """Decompressed runs, by their bytes' places. Archives never change, so what is kept never gets old."""

    def __init__(self, folder: ArchiveFolder, kept_bytes: int = KEPT_BYTES):
        self.loads = 0
        self._folder = folder
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._runs: OrderedDict[Span, tuple[ArchivedRun, int]] = OrderedDict()
        self._bytes = 0

    def events(self, place: Placed) -> list[Notification]:
        """The events of an archived stream. Raises IntegrityError unless they end as the database says they do."""
        found = self._run(place.span).events.get(place.stream, [])
        end = Head(len(found), event_hash(*found[-1].record) if found else None)
        if end != (place.version, place.hash):
            raise IntegrityError(f"the archive {place.file} was altered: {place.stream} does not end as it should")
        return found

    def _run(self, span: Span) -> ArchivedRun:
        with self._lock:
            if (kept := self._runs.get(span)) is not None:
                self._runs.move_to_end(span)
                return kept[0]
        run = self._folder.run(span)
        size = sum(200 + len(event.record.state) for events in run.events.values() for event in events)
        with self._lock:
            self.loads += 1
            if span not in self._runs:
                self._runs[span] = run, size
                self._bytes += size
            while self._bytes > self._kept_bytes and len(self._runs) > 1:
                self._bytes -= self._runs.popitem(last=False)[1][1]
        return run


class Sweep:
    """Archived events after a position, in order.

    Which streams a follower was within when its page ended is remembered for the page after it; whatever the archives
    have come to hold meanwhile (`ArchiveIndex.moves`) makes that void.
    """

    def __init__(self, index: ArchiveIndex, cache: ArchiveCache):
        self._index = index
        self._cache = cache
        self._cursors: OrderedDict[tuple[int, int], list[Placed]] = OrderedDict()

    def merged(self, position: int, hot: list[Notification], limit: int, moves: int) -> list[Notification]:
        """The page after `position`: what is archived, and `hot`, which is as much of the page as the tables hold."""
        known = self._known(moves, position)
        end = hot[-1].position if len(hot) == limit else None
        page = _both(self._cold(position, end, limit, known, _WHOLE), hot)[:limit]
        if page:
            self._remember(moves, page[-1].position, known)
        return page

    def share(
        self, position: int, until: int, hot: list[Notification], moves: int, share: int, of: int
    ) -> list[Notification]:
        """What is archived of a share of the streams between two positions, and `hot`, what the tables hold of it."""
        known = self._known(moves, position)
        page = _both(self._cold(position, until, None, known, (share, of)), hot)
        self._remember(moves, until, known)
        return page

    def _known(self, moves: int, position: int) -> list[Placed]:
        within = self._cursors.get((moves, position))
        return self._index.spanning(position) if within is None else list(within)

    def _remember(self, moves: int, position: int, known: list[Placed]) -> None:
        self._cursors[moves, position] = [place for place in known if place.first <= position < place.last]
        while len(self._cursors) > _CURSORS:
            self._cursors.popitem(last=False)

    def _cold(
        self, position: int, end: int | None, limit: int | None, known: list[Placed], share: tuple[int, int]
    ) -> list[Notification]:
        """Archived events, at most `limit`, none after `end`; all streams that begin there are added to `known`."""
        found: list[Notification] = []
        heap: list[tuple[int, str, list[Notification], int]] = []
        for place in known:
            self._push(heap, place, position, share)
        ahead: list[Placed] = []
        asked, more = position, True
        while limit is None or len(found) < limit:
            if not ahead and more:
                ahead = self._index.starting(asked, _AHEAD)[::-1]
                more = len(ahead) == _AHEAD
                asked = ahead[0].first if ahead else asked
            if ahead and (not heap or ahead[-1].first < heap[0][0]):
                place = ahead.pop()
                if end is not None and place.first > end:
                    ahead, more = [], False
                    continue
                known.append(place)
                self._push(heap, place, position, share)
                continue
            if not heap or (end is not None and heap[0][0] > end):
                break
            _, stream, events, at = heap[0]
            found.append(events[at])
            if at + 1 < len(events):
                heapq.heapreplace(heap, (events[at + 1].position, stream, events, at + 1))
            else:
                heapq.heappop(heap)
        return found

    def _push(
        self, heap: list[tuple[int, str, list[Notification], int]], place: Placed, after: int, share: tuple[int, int]
    ) -> None:
        if share_of(place.stream.encode(), share[1]) != share[0]:
            return
        events = self._cache.events(place)
        at = bisect_right(events, after, key=attrgetter("position"))
        if at < len(events):
            heapq.heappush(heap, (events[at].position, place.stream, events, at))


def _both(cold: list[Notification], hot: list[Notification]) -> list[Notification]:
    # While a stream moves, its events are in both.
    every = {each.position: each for each in (*cold, *hot)}
    return [every[position] for position in sorted(every)]
