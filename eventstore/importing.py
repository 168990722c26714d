"""A store filled from the lines of an export (`refold.eventstore.exporting`), all of it or nothing.

Everything goes into one transaction: every event is put after its predecessor, whose hash it must carry, and what comes
of it is compared with the heads, counts and hash in the file. Rows of unfinished runs are made in it, too, so that
whoever serves the new store goes on with them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import IO, Any, NamedTuple

import orjson

from ..core.errors import CallError, IntegrityError, Problem, RefoldError, StoreError, StoreRefusedError
from ..core.events import END_TOPICS, RunStarted
from ..core.ids import inbox_of
from ..core.job_log import CLOSING, OPENING
from ..core.ports import EMPTY, Head, Record
from .chain import event_hash
from .codec import decode, open_envelope, references
from .exporting import FORMAT
from .lines import event_of, payload_of
from .outbox_sql import QUIET
from .rebuild import row_from
from .store import Notification
from .tables_sql import Transaction
from .tiered import TieredStore

LONGEST_LINE = 256 * 2**20
"""In bytes."""

_BATCH = 500
_KINDS = (b'{"position":', b'{"head":', b'{"payload":', b'{"events":')
_EVENT, _HEAD, _PAYLOAD, _END = range(4)

Batch = Sequence[tuple[int, bytes]]
"""Lines of one kind, with their numbers."""


class Imported(NamedTuple):
    """What an import brought: how many events, streams and payloads, how many runs go on, and which of them cannot be
    read, and why."""

    events: int
    heads: int
    payloads: int
    open_runs: int
    unreadable: dict[str, str]


def unzipped(file: IO[bytes]) -> Iterator[bytes]:
    """The lines in a compressed file. Raises CallError for another kind of file, IntegrityError where it breaks off."""
    number = 0
    with gzip.GzipFile(fileobj=file) as zipped:
        while True:
            try:
                line = zipped.readline(LONGEST_LINE)
            except (OSError, EOFError, zlib.error) as error:
                if not number and isinstance(error, gzip.BadGzipFile):
                    raise _foreign("it is not compressed by gzip") from None
                raise IntegrityError(f"line {number + 1}: the file is cut off or altered: {error}") from None
            if not line:
                return
            number += 1
            if not line.endswith(b"\n"):
                raise IntegrityError(f"line {number}: it is cut off, or longer than {LONGEST_LINE} bytes")
            yield line


class Importing:
    """Fills the empty `store`. `told` is given the number of every 500th line that was taken in."""

    def __init__(self, store: TieredStore, told: Callable[[int], None]):
        self._access = store.hot.access
        self._told = told
        self._counts = {"events": 0, "heads": 0, "payloads": 0}
        self._open: set[str] = set()
        self._line = 0
        self._position = 0
        self._last = ""

    def run(self, lines: Iterable[bytes]) -> Imported:
        """Take in a whole export, or nothing.

        Raises IntegrityError, naming the line, for what is cut off or altered, CallError for what is no export, and
        StoreRefusedError when the store is not empty.
        """
        with self._access.at_length() as change:
            for table in ("stored_events", "stream_heads", "archived", "dispatch"):
                if change.ask(f"SELECT 1 FROM {table} LIMIT 1", ()):
                    raise StoreRefusedError("the store is not empty: an export goes into a new database only")
            self._take(change, lines)
            self._check_whole(change)
            unreadable = self._schedule(change)
            change.ask(self._access.renumber, ())
            change.run(self._access.sql(QUIET), ())
        return Imported(**self._counts, open_runs=len(self._open), unreadable=unreadable)

    def _take(self, change: Transaction, lines: Iterable[bytes]) -> None:
        digest = sha256()
        phase = _EVENT
        batch: list[tuple[int, bytes]] = []
        for number, line in enumerate(lines, 1):
            self._line = number
            if number == 1:
                _check_first(line)
                digest.update(line)
                continue
            kind = next((kind for kind, start in enumerate(_KINDS) if line.startswith(start)), -1)
            if kind < phase or phase == _END:
                raise self._fault("it is no line of an export, or not in its place")
            if kind != phase or len(batch) == _BATCH:
                self._put(change, phase, batch)
                batch, self._line = [], number
                self._last = self._last if kind == phase else ""
            phase = kind
            if kind == _END:
                self._check_end(line, digest.hexdigest())
            else:
                digest.update(line)
                batch.append((number, line))
        if phase != _END:
            self._line += 1
            raise self._fault("the file ends before its last line")

    def _put(self, change: Transaction, kind: int, batch: Batch) -> None:
        takers = (self._put_events, self._check_heads, self._put_payloads)
        try:
            takers[kind](change, batch)
        except StoreError:
            raise
        except (ValueError, TypeError, KeyError, RefoldError) as error:
            raise self._fault(str(error)) from None
        self._told(self._line)

    def _fault(self, cause: str) -> IntegrityError:
        return IntegrityError(f"line {self._line}: {cause}")

    def _put_events(self, change: Transaction, batch: Batch) -> None:
        heads: dict[str, Head] = {}
        events: list[Notification] = []
        pointers: set[tuple[str, str]] = set()
        opened = [(number, event_of(line)) for number, line in self._counted(batch)]
        known = self._heads_of(change, {event.record.stream for _, event in opened})
        for self._line, (position, record) in opened:
            stream = record.stream
            head = heads.get(stream) or known.get(stream, EMPTY)
            if position <= self._position:
                raise ValueError(f"position {position} does not follow {self._position}")
            if (record.version - 1, open_envelope(record).prev) != head:
                raise ValueError(f"event {record.version} of {stream} does not follow from the one before it")
            heads[stream] = Head(record.version, event_hash(*record))
            self._position = position
            pointers.update((digest, stream) for digest in references([record]))
            self._note(record)
            events.append(Notification(position, record))
        sql = (
            "INSERT INTO stored_events ({position}, originator_id, originator_version, topic, state) "
            "VALUES (?, ?, ?, ?, ?)"
        )
        self._each(change, sql, [(event.position, *event.record) for event in events])
        sql = (
            "INSERT INTO stream_heads (stream, version, hash) VALUES (?, ?, ?) "
            "ON CONFLICT (stream) DO UPDATE SET version = excluded.version, hash = excluded.hash"
        )
        self._each(change, sql, [(stream, *head) for stream, head in heads.items()])
        sql = "INSERT INTO large_references (hash, stream) VALUES (?, ?) ON CONFLICT DO NOTHING"
        self._each(change, sql, sorted(pointers))
        self._counts["events"] += len(events)

    def _counted(self, batch: Batch) -> Iterator[tuple[int, bytes]]:
        for self._line, line in batch:
            yield self._line, line

    def _heads_of(self, change: Transaction, streams: Iterable[str]) -> dict[str, Head]:
        sql = self._access.sql("SELECT stream, version, hash FROM stream_heads WHERE stream {among}")
        rows = change.ask(sql, (self._access.dialect.listed(sorted(streams)),))
        return {row[0]: Head(*row[1:]) for row in rows}

    def _each(self, change: Transaction, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            change.each(self._access.sql(sql), rows)

    def _note(self, record: Record) -> None:
        if record.topic == RunStarted.topic or record.topic in OPENING:
            self._open.add(record.stream)
        elif record.topic in END_TOPICS or record.topic in CLOSING:
            self._open.discard(record.stream)

    def _check_heads(self, change: Transaction, batch: Batch) -> None:
        told = [(number, orjson.loads(line)) for number, line in self._counted(batch)]
        known = self._heads_of(change, [each["head"] for _, each in told])
        for self._line, each in told:
            self._ascend(each["head"])
            if known.get(each["head"]) != Head(each["version"], each["hash"]):
                raise ValueError(f"the head of {each['head']} is not what its events come to")
        self._counts["heads"] += len(told)

    def _put_payloads(self, change: Transaction, batch: Batch) -> None:
        for _, line in self._counted(batch):
            digest, data = payload_of(line)
            self._ascend(digest)
            self._each(change, "INSERT INTO large_payloads (hash, data) VALUES (?, ?)", [(digest, data)])
        self._counts["payloads"] += len(batch)

    def _ascend(self, name: str) -> None:
        if name <= self._last:
            raise ValueError(f"{name} does not come after {self._last}")
        self._last = name

    def _check_end(self, line: bytes, digest: str) -> None:
        try:
            told: dict[str, Any] = orjson.loads(line)
        except ValueError as error:
            raise self._fault(str(error)) from None
        if told != {**self._counts, "sha256": digest}:
            raise self._fault("counts or hash are not those of the lines before it: the file was altered")

    def _check_whole(self, change: Transaction) -> None:
        ((heads,),) = change.ask("SELECT count(*) FROM stream_heads", ())
        if heads != self._counts["heads"]:
            raise self._fault(f"there are {heads} streams, but {self._counts['heads']} heads")
        sql = (
            "SELECT hash, stream FROM large_references WHERE NOT EXISTS "
            "(SELECT 1 FROM large_payloads WHERE large_payloads.hash = large_references.hash) LIMIT 1"
        )
        for digest, stream in change.ask(sql, ()):
            raise self._fault(f"the payload {digest} of {stream} is missing")

    def _schedule(self, change: Transaction) -> dict[str, str]:
        """Make the dispatch rows of unfinished runs; tells which cannot be read, and why."""
        unreadable: dict[str, str] = {}
        for stream in sorted(self._open):
            inbox = self._heads_of(change, [inbox_of(stream)]).get(inbox_of(stream), EMPTY)
            try:
                events = [decode(record, self._large(change, record)) for record in self._records(change, stream)]
                row = row_from(events, stream, inbox.version)
            except RefoldError as error:
                unreadable[stream] = str(error)
                continue
            sql = (
                "INSERT INTO dispatch (stream, queue, priority, needs, due_at, owner, lease_until) "
                "VALUES (?, ?, ?, ?, ?, NULL, 0)"
            )
            self._each(change, sql, [] if row is None else [row])
        return unreadable

    def _records(self, change: Transaction, stream: str) -> list[Record]:
        sql = self._access.sql(
            "SELECT originator_id, originator_version, topic, state FROM stored_events "
            "WHERE originator_id = ? ORDER BY originator_version"
        )
        return [Record(*row) for row in change.ask(sql, (stream,))]

    def _large(self, change: Transaction, record: Record) -> dict[str, bytes]:
        if not (hashes := references([record])):
            return {}
        sql = self._access.sql("SELECT hash, data FROM large_payloads WHERE hash {among}")
        return dict(change.ask(sql, (self._access.dialect.listed(sorted(hashes)),)))


def _check_first(line: bytes) -> None:
    try:
        told: object = orjson.loads(line)
    except ValueError:
        told = None
    if told != {"refold_store": FORMAT}:
        raise _foreign(f'its first line is not {{"refold_store":{FORMAT}}}')


def _foreign(cause: str) -> CallError:
    return CallError(Problem("", f"line 1: this is no export of a store: {cause}", "make one by: refold store export"))
