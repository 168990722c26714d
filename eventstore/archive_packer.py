"""Packing runs into an archive that is being written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..core.errors import IntegrityError
from ..core.ids import inbox_of
from ..core.ports import Head
from .archive_files import ArchiveWriter, check_chain, pack_run, unpack_run
from .archive_index import Placed, Span
from .archive_moves import EVENTS, Entry
from .codec import references
from .lines import payload_line
from .store import Notification
from .tiered import TieredStore

ARCHIVE_RUNS, ARCHIVE_BYTES = 10_000, 256 * 2**20
"""An archive that has come to one of these is closed, and the next one begun."""


class Packer:
    """Packs runs into an archive, each as it stands, up to the position `seen`."""

    def __init__(self, store: TieredStore, writer: ArchiveWriter, seen: int):
        self.entries: list[Entry] = []
        self._store = store
        self._writer = writer
        self._seen = seen
        self._payloads: set[str] = set()

    @property
    def is_full(self) -> bool:
        """Whether the next run goes into another archive."""
        return len(self.entries) >= ARCHIVE_RUNS or self._writer.length >= ARCHIVE_BYTES

    def add(self, stream: str) -> None:
        """Pack a run. Raises IntegrityError when it is not intact, or not to be archived yet."""
        heads = self._store.heads([stream, inbox_of(stream)])
        events = {name: list(self._hot(name, head)) for name, head in heads.items()}
        for name, head in heads.items():
            check_chain(name, head, events[name])
            if events[name][-1].position > self._seen:
                raise IntegrityError("not all projections have taken in what came to it")
        every = [event for name in sorted(events) for event in events[name]]
        hashes = references(event.record for event in every) - self._payloads
        large = self._large(hashes)
        span = Span("", *self._writer.add(pack_run(stream, heads, every)))
        places = [
            Placed(name, *span, found[0].position, found[-1].position, heads[name].version, heads[name].hash or "")
            for name, found in events.items()
        ]
        payloads = {digest: Span("", *self._writer.add_payload(digest, data)) for digest, data in large.items()}
        self._payloads |= hashes
        self.entries.append(Entry(stream, heads, places, payloads))

    def _hot(self, stream: str, head: Head) -> Iterator[Notification]:
        version = 0
        while page := self._store.index.records(stream, version, head.version, EVENTS):
            yield from page
            version = page[-1].record.version

    def _large(self, hashes: Iterable[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for digest in sorted(hashes):
            data = self._store.large([digest]).get(digest)
            if data is None:
                raise IntegrityError(f"its payload {digest} is missing")
            payload_line(digest, data)  # Raises for altered ones, before anything of the run is written.
            found[digest] = data
        return found

    def prove(self) -> None:
        """Read everything back from the disk. Raises IntegrityError when it is not what the heads say."""
        for entry in self.entries:
            try:
                run = unpack_run(self._writer.read(entry.places[0].span))
            except (ValueError, TypeError, KeyError) as error:
                raise IntegrityError(f"{entry.stream} does not read back from its archive: {error}") from None
            for name, head in entry.heads.items():
                check_chain(name, head, run.events[name])

    def placed(self, archive: str) -> list[Entry]:
        """The entries, now that the archive has a name."""
        return [
            entry._replace(
                places=[place._replace(file=archive) for place in entry.places],
                payloads={digest: span._replace(file=archive) for digest, span in entry.payloads.items()},
            )
            for entry in self.entries
        ]
