"""A whole store as lines of JSON: the same lines for the same log, from whatever database they come.

    {"refold_store":1}
    {"position":1,"stream":"default/a","topic":"run.started","version":1,"state":{…}}      every event, by position
    {"head":"default/a","version":12,"hash":"…"}                                           every stream, by name
    {"payload":"…","data":…}                                                               every large payload, by hash
    {"events":12,"heads":1,"payloads":1,"sha256":"…"}                                      counts; hash of all before it

Not in it is what follows from the log (projections, dispatch rows), and what lasts a minute only (queries, workers).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import orjson

from ..core.errors import IntegrityError
from ..core.ports import Head
from .archiving import Progress
from .codec import open_envelope
from .lines import event_line, payload_line
from .tiered import TieredStore

FORMAT = 1
"""The version of the format."""

_PAGE = 1000


class Exporting:
    """The lines of a store as it stands now; it may go on growing meanwhile."""

    def __init__(self, store: TieredStore):
        self.counts = {"events": 0, "heads": 0, "payloads": 0}
        self._store = store
        self._access = store.hot.access
        self._until = store.last_position()

    def lines(self, progress: Progress) -> Iterator[bytes]:
        """The lines, with their ends. Raises IntegrityError for what is not as it was stored, and StoreError."""
        digest = sha256()
        for line in self._all(progress):
            digest.update(line)
            yield line
        yield orjson.dumps({**self.counts, "sha256": digest.hexdigest()}) + b"\n"

    def _all(self, progress: Progress) -> Iterator[bytes]:
        yield orjson.dumps({"refold_store": FORMAT}) + b"\n"
        for kind, lines in (
            ("events", self._events(progress)),
            ("heads", self._heads()),
            ("payloads", self._payloads()),
        ):
            for line in lines:
                self.counts[kind] += 1
                yield line

    def _events(self, progress: Progress) -> Iterator[bytes]:
        position = 0
        while position < self._until and (page := self._store.follow(position, _PAGE)):
            for each in page:
                if each.position <= self._until:
                    open_envelope(each.record)  # Raises for bytes that could not be imported.
                    yield event_line(*each)
            position = page[-1].position
            progress(min(position, self._until), self._until)

    def _heads(self) -> Iterator[bytes]:
        sql = "SELECT stream, version, hash FROM stream_heads WHERE stream > ? ORDER BY stream LIMIT ?"
        after, scanned = "", self._until
        before: dict[str, Head] = {}
        while page := self._access.ask(self._access.sql(sql), (after, _PAGE)):
            scanned = self._grown(scanned, before)
            for stream, version, digest in page:
                head = before.get(stream, Head(version, digest))
                if head.version:
                    yield orjson.dumps({"head": stream, "version": head.version, "hash": head.hash}) + b"\n"
            after = page[-1][0]

    def _grown(self, scanned: int, before: dict[str, Head]) -> int:
        """Note for streams that go on after what is exported the heads that they had; tells how far that is so."""
        while page := self._store.follow(scanned, _PAGE):
            for _, record in page:
                if record.stream not in before:
                    before[record.stream] = Head(record.version - 1, open_envelope(record).prev)
            scanned = page[-1].position
        return scanned

    def _payloads(self) -> Iterator[bytes]:
        sql = self._access.sql(
            "SELECT hash FROM large_payloads WHERE hash > ? UNION SELECT hash FROM archived_payloads WHERE hash > ? "
            "ORDER BY hash LIMIT ?"
        )
        after = ""
        while page := self._access.ask(sql, (after, after, _PAGE)):
            for (digest,) in page:
                data = self._store.large([digest]).get(digest)
                if data is None:
                    raise IntegrityError(f"the payload {digest} is missing")
                yield payload_line(digest, data)
            after = page[-1][0]
