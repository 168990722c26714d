"""Bringing archived runs back into the database's own tables; the archives stay as they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ..core.ids import inbox_of
from ..core.ports import Head
from ..core.store_events import StoreBroughtBack
from .archive_files import check_chain
from .archive_index import Placed
from .archive_moves import EVENTS, PAYLOADS, ArchiveMoves
from .archiving import RUNS, Progress, Reached, Unhurried, recorded, unheeded
from .codec import references
from .sealing import Sealer
from .store import Notification
from .tiered import TieredStore

RETURNING, PUT_PAYLOADS, PUT, RELEASED = "return recorded", "payloads back", "events back", "runs released"
"""The points at which a test may kill the process that brings runs back."""


def archived_runs(store: TieredStore, streams: Sequence[str]) -> list[Placed]:
    """Where those of these runs lie that are archived."""
    return store.index.placed(streams)


def runs_in(store: TieredStore, archive: str) -> Iterator[Placed]:
    """Where the runs lie that are in an archive and nowhere else."""
    after = ""
    while page := store.index.held(archive, after, EVENTS):
        yield from (place for place in page if place.stream.count("/") == 1)
        after = page[-1].stream


class BringingBack:
    """Brings runs of `store` back from archives, on behalf of the operator `by`, for `reason`."""

    def __init__(self, store: TieredStore, sealer: Sealer, by: str, reason: str, reached: Reached = unheeded):
        self._store = store
        self._sealer = sealer
        self._by = by
        self._reason = reason
        self._reached = reached
        self._moves = ArchiveMoves(store.hot.access)

    def run(self, runs: Iterable[Placed], progress: Progress) -> int:
        """Bring these runs back, with their inboxes; tells how many.

        Raises IntegrityError for an archive that is missing or was altered, and StoreError.
        """
        every = sorted(runs, key=lambda place: (place.file, place.start))
        for archive, found in groupby(every, key=lambda place: place.file):
            at = time.time_ns() // 1000
            event = StoreBroughtBack(at, archive, len(list(found)), self._reason, self._by)
            recorded(self._store, self._sealer, event)
        self._reached(RETURNING)
        for start in range(0, len(every), RUNS):
            self._bring(every[start : start + RUNS])
            progress(min(start + RUNS, len(every)), len(every))
        return len(every)

    def _bring(self, runs: Sequence[Placed]) -> None:
        places = self._store.index.placed([name for run in runs for name in (run.stream, inbox_of(run.stream))])
        events: dict[str, list[Notification]] = {}
        for place in places:
            events[place.stream] = self._store.cache.events(place)
            check_chain(place.stream, Head(place.version, place.hash), events[place.stream])
        with Unhurried():
            self._moves.unsettle([place.stream for place in places])
        self._bring_payloads(events)
        # The newest first: what is hot of a stream is its end, at any moment.
        back = [event for found in events.values() for event in reversed(found)]
        for start in range(0, len(back), EVENTS):
            with Unhurried():
                self._moves.put(back[start : start + EVENTS])
            self._reached(PUT)
        with Unhurried():
            self._moves.release(places)
        self._reached(RELEASED)

    def _bring_payloads(self, events: dict[str, list[Notification]]) -> None:
        pointers = [
            (digest, stream)
            for stream, found in events.items()
            for digest in sorted(references(event.record for event in found))
        ]
        for start in range(0, len(pointers), PAYLOADS):
            piece = pointers[start : start + PAYLOADS]
            found = self._store.large(sorted({digest for digest, _ in piece}))
            with Unhurried():
                self._moves.put_payloads(list(found.items()), piece)
            self._reached(PUT_PAYLOADS)
