"""Sweeps of a log of which a part lies in archives; fulfils `refold.eventstore.sweep.SweepStore`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import merge
from typing import TypeVar

from ..core.errors import IntegrityError
from ..core.ports import Record
from .archive_cache import ArchiveCache
from .archive_index import ArchiveIndex, Placed
from .sweep import Notification, SweepStore, sound

T = TypeVar("T")


class TieredSweep:
    """The sweep of the hot tables `hot`, and what `index` and `cache` know beside it."""

    def __init__(self, hot: SweepStore, index: ArchiveIndex, cache: ArchiveCache):
        self._hot = hot
        self._index = index
        self._cache = cache

    def begun(self, tenant: str, after: int, until: int, limit: int) -> list[Notification]:
        """See `SweepStore.begun`. Of a run whose archive is missing or was altered the record is empty."""

        def look() -> list[Notification]:
            hot = self._hot.begun(tenant, after, until, limit)
            return list(merge(hot, self._cold(tenant, after, until, limit), key=lambda each: each.position))[:limit]

        return self._unmoved(look)

    def names(self, tenant: str, after: str, limit: int) -> list[str]:
        """See `SweepStore.names`: the head rows of archived streams are in the tables."""
        return self._hot.names(tenant, after, limit)

    def begun_among(self, streams: Sequence[str]) -> dict[str, int]:
        """See `SweepStore.begun_among`."""

        def look() -> dict[str, int]:
            cold = {place.stream: place.first for place in self._index.placed(sound(streams)) if _is_run(place)}
            return {**cold, **self._hot.begun_among(streams)}

        return self._unmoved(look)

    def read_all(self, streams: Sequence[str]) -> list[Notification]:
        """See `SweepStore.read_all`. Raises IntegrityError for an archive that is missing or was altered."""

        def look() -> list[Notification]:
            hot = self._hot.read_all(streams)
            places = {place.stream: place for place in self._index.placed(sound(streams))}
            if not places:
                return hot
            # What is archived of a stream is its beginning; of what is in both, the archive tells.
            archived = {name: place.version for name, place in places.items()}
            found = [each for place in places.values() for each in self._cache.events(place)]
            found += [each for each in hot if each.record.version > archived.get(each.record.stream, -(2**62))]
            return sorted(found, key=lambda each: (each.record.stream, each.record.version))

        return self._unmoved(look)

    def _cold(self, tenant: str, after: int, until: int, limit: int) -> list[Notification]:
        found: list[Notification] = []
        while len(found) < limit and (page := self._index.starting(after, limit)):
            for place in page:
                if place.first <= until and _is_run(place) and place.stream.startswith(f"{tenant}/"):
                    found.append(Notification(place.first, self._first(place)))
            after = page[-1].first
            if after > until:
                break
        return found

    def _first(self, place: Placed) -> Record:
        try:
            return self._cache.events(place)[0].record
        except (IntegrityError, IndexError):
            return Record(place.stream, 1, "run.started", b"")

    def _unmoved(self, look: Callable[[], T]) -> T:
        """What `look` sees when no stream moves meanwhile."""
        while True:
            moves = self._index.moves()
            seen = look()
            if self._index.moves() == moves:
                return seen


def _is_run(place: Placed) -> bool:
    return place.stream.count("/") == 1
