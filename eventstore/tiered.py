"""A store whose ended runs may lie in archives: who reads it sees all of it, wherever it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..core.ports import Head, Record
from .access import Access
from .archive_cache import ArchiveCache, Sweep
from .archive_files import ArchiveFolder
from .archive_index import ArchiveIndex
from .migrate import Migration
from .sealing import SealedUnit
from .store import Notification, Store, StreamRow
from .sweep_tiered import TieredSweep

_TRIES = 10
"""How often a stream that moves just now is looked for again."""


class HotStore(Store, Protocol):
    """A store in a SQL database, and the way into it for what lies beside."""

    access: Access

    def migrate(self, *, dry_run: bool = False) -> Sequence[Migration]:
        """Bring the schema up to date and return the migrations that were (or, dry, would be) applied."""
        ...


class TieredStore:
    """The store `hot` with the archives in `folder`; fulfils `refold.eventstore.store.Store`.

    Heads stay in the database, so appends know nothing of archives: whatever comes to an archived stream goes into the
    hot tables, and is read after what is archived. Streams may move while they are read; see `docs/archive.md`.
    """

    def __init__(self, hot: HotStore, folder: ArchiveFolder):
        self.hot = hot
        self.folder = folder
        self.index = ArchiveIndex(hot.access)
        self.cache = ArchiveCache(folder)
        self.dispatch = hot.dispatch
        self.queries = hot.queries
        self.key_uses = hot.key_uses
        self.data_keys = hot.data_keys
        self.ledger = hot.ledger
        self.tables = hot.tables
        self.parts = hot.parts
        self.outbox = hot.outbox
        self._sweep = Sweep(self.index, self.cache)
        self.sweep = TieredSweep(hot.sweep, self.index, self.cache)
        self._moves = 0

    def migrate(self, *, dry_run: bool = False) -> Sequence[Migration]:
        """Bring the schema up to date and return the migrations that were (or, dry, would be) applied."""
        return self.hot.migrate(dry_run=dry_run)

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """See `Store.commit`."""
        return self.hot.commit(units, owner)

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """See `Store.heads`."""
        return self.hot.heads(streams)

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        """See `Store.read`. Raises IntegrityError for an archive that is missing or was altered."""
        found: list[Record] = []
        for _ in range(_TRIES):
            found = self.hot.read(stream, after, limit)
            # What is archived of a stream is its beginning, so nothing of it is missing here.
            if limit == 0 or (found and found[0].version == max(after, 0) + 1):
                return found
            place, first = self.index.place(stream, after)
            if place is not None:
                cold = [] if place.version <= after else self.cache.events(place)
                kept = [each.record for each in cold if each.record.version > after]
                return (kept + [record for record in found if record.version > place.version])[:limit]
            if first == (found[0].version if found else None):
                break
            # It was brought back between the two looks.
        return found

    def read_all(self, streams: Sequence[str]) -> dict[str, list[Record]]:
        """See `Store.read_all`. Raises IntegrityError for an archive that is missing or was altered."""
        hot = self.hot.read_all(streams)
        return {
            stream: found if found and found[0].version == 1 else self.read(stream) for stream, found in hot.items()
        }

    def follow(self, position: int, limit: int) -> list[Notification]:
        """See `Store.follow`. Raises IntegrityError for an archive that is missing or was altered."""

        def look(moves: int) -> list[Notification]:
            hot = self.hot.follow(position, limit)
            return self._sweep.merged(position, hot, limit, moves) if moves else hot

        return self._unmoved(look)

    def follow_share(self, position: int, until: int, share: int, of: int) -> list[Notification]:
        """See `Store.follow_share`. Raises IntegrityError for an archive that is missing or was altered."""

        def look(moves: int) -> list[Notification]:
            hot = self.hot.follow_share(position, until, share, of)
            return self._sweep.share(position, until, hot, moves, share, of) if moves else hot

        return self._unmoved(look)

    def _unmoved(self, look: Callable[[int], list[Notification]]) -> list[Notification]:
        """What `look` sees when no stream moves between its looks at the tables and at the archives."""
        moves = self._moves
        while True:
            page = look(moves)
            now = self.index.moves()
            if now == moves:
                return page
            moves = self._moves = now

    def last_position(self) -> int:
        """See `Store.last_position`. Never archived: that a file was made is recorded after all that is in it."""
        return self.hot.last_position()

    def starts(self, streams: Sequence[str]) -> dict[str, int]:
        """See `Store.starts`."""
        found = self.hot.starts(streams)
        missing = [stream for stream in streams if stream not in found]
        return {**self.index.starts(missing), **found} if missing else found

    def streams(self, tenant: str) -> list[str]:
        """See `Store.streams`."""
        return self.hot.streams(tenant)

    def large(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """See `Store.large`. Raises IntegrityError for an archive that is missing or was altered."""
        found = self.hot.large(hashes)
        missing = [digest for digest in hashes if digest not in found]
        if not missing:
            return found
        for digest, span in self.index.payloads(missing).items():
            named, data = self.folder.payload(span)
            if named == digest:
                found[digest] = data
        missing = [digest for digest in missing if digest not in found]
        # What was brought back between the two looks.
        return {**found, **self.hot.large(missing)} if missing else found

    def runs(self, tenant: str, before: int | None, limit: int) -> list[StreamRow]:
        """See `Store.runs`."""
        page = [] if self._moves else self.hot.runs(tenant, before, limit)
        return self.index.runs(tenant, before, limit) if self._moves or self.index.moves() else page

    def hint(self) -> None:
        """See `Store.hint`."""
        self.hot.hint()

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """See `Store.on_hint`."""
        return self.hot.on_hint(hear)

    def close(self) -> None:
        """See `Store.close`."""
        self.hot.close()
