"""Streams on their way into archives and back: what is written to the database, in transactions that are soon over.

Nothing is ever in neither place. Into an archive: first the row in `archived`, then the hot events go, the oldest
first. Back: first the events come, the newest first, then the row goes. So what is hot of a stream is its end at any
moment, and what was cut off half-way is finished, or taken back, by removing what is hot of it again (`drain`).
Every step is made under the append lock, and looks again at what it relies on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..core.errors import StoreRefusedError
from ..core.ports import Head
from .access import Access
from .archive_index import COLUMNS, Placed, Span
from .store import Notification
from .tables_sql import Transaction

EVENTS = 500
"""Of one transaction."""

PAYLOADS = 20
"""Of one transaction; they may have megabytes each."""


class Entry(NamedTuple):
    """A run that lies in an archive: its streams' places and heads, and where the payloads are that it brought.

    `heads` has a stream only if it existed when the run was packed.
    """

    stream: str
    heads: dict[str, Head]
    places: list[Placed]
    payloads: dict[str, Span]


class ArchiveMoves:
    """Writes the tables `archived`, `archived_payloads` and `archive_moves`, together with the hot ones."""

    def __init__(self, access: Access):
        self._access = access

    def _run(self, change: Transaction, sql: str, *given: Any) -> int:
        return change.run(self._access.sql(sql), given)

    def _each(self, change: Transaction, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            change.each(self._access.sql(sql), rows)

    def _ask(self, change: Transaction, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        return change.ask(self._access.sql(sql), given)

    def _listed(self, items: Iterable[str]) -> Any:
        return self._access.dialect.listed(list(items))

    def admit(self, entries: Sequence[Entry]) -> list[Entry]:
        """Have those runs be archived that stand as they stood when they were packed; returns them."""
        with self._access.appending() as change:
            streams = self._listed(stream for entry in entries for stream in (entry.stream, f"{entry.stream}/inbox"))
            sql = "SELECT stream, version, hash FROM stream_heads WHERE stream {among}"
            heads = {row[0]: Head(*row[1:]) for row in self._ask(change, sql, streams)}
            held = {
                stream
                for table in ("dispatch", "archived")
                for (stream,) in self._ask(change, f"SELECT stream FROM {table} WHERE stream {{among}}", streams)
            }
            admitted = [entry for entry in entries if entry.stream not in held and _stands(entry, heads)]
            places = [(*place, False) for entry in admitted for place in entry.places]
            self._each(change, f"INSERT INTO archived ({COLUMNS}, settled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", places)
            payloads = [(digest, *span) for entry in entries for digest, span in entry.payloads.items()]
            sql = "INSERT INTO archived_payloads (hash, file, start, length) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
            self._each(change, sql, payloads)
            self._moved(change)
        return admitted

    def _moved(self, change: Transaction) -> None:
        sql = (
            "INSERT INTO archive_moves (id, moves) VALUES (1, 1) "
            "ON CONFLICT (id) DO UPDATE SET moves = archive_moves.moves + 1"
        )
        self._run(change, sql)

    def drain(self, pieces: Sequence[tuple[str, int]]) -> None:
        """Remove what is hot of archived streams, each up to a version; not of one that has come back meanwhile."""
        sql = (
            "DELETE FROM stored_events WHERE originator_id = ? AND originator_version <= ? "
            "AND EXISTS (SELECT 1 FROM archived WHERE stream = ? AND version >= ?)"
        )
        with self._access.appending() as change:
            self._each(change, sql, [(stream, version, stream, version) for stream, version in pieces])

    def forget_payloads(self, streams: Sequence[str]) -> bool:
        """Remove some of the large payloads to which only these streams pointed, as far as nothing of them is hot.

        False when there were none left.
        """
        with self._access.appending() as change:
            sql = (
                "SELECT hash, stream FROM large_references WHERE stream {among} AND NOT EXISTS "
                "(SELECT 1 FROM stored_events WHERE originator_id = large_references.stream) LIMIT ?"
            )
            found = self._ask(change, sql, self._listed(streams), PAYLOADS)
            self._each(change, "DELETE FROM large_references WHERE hash = ? AND stream = ?", found)
            # An append that comes upon such a payload leaves its reference in the same transaction.
            sql = (
                "DELETE FROM large_payloads WHERE hash {among} "
                "AND NOT EXISTS (SELECT 1 FROM large_references r WHERE r.hash = large_payloads.hash) "
                "AND EXISTS (SELECT 1 FROM archived_payloads a WHERE a.hash = large_payloads.hash)"
            )
            self._run(change, sql, self._listed({row[0] for row in found}))
        return bool(found)

    def settle(self, streams: Sequence[str]) -> None:
        """Note that the streams' moves into archives are over."""
        with self._access.appending() as change:
            self._run(change, "UPDATE archived SET settled = TRUE WHERE stream {among}", self._listed(streams))

    def unsettle(self, streams: Sequence[str]) -> None:
        """Note that streams are about to come back."""
        with self._access.appending() as change:
            self._run(change, "UPDATE archived SET settled = FALSE WHERE stream {among}", self._listed(streams))

    def put_payloads(self, payloads: Sequence[tuple[str, bytes]], pointers: Sequence[tuple[str, str]]) -> None:
        """Bring large payloads back; `pointers` are pairs of a hash and a stream that points to it."""
        with self._access.appending() as change:
            self._each(change, "INSERT INTO large_payloads (hash, data) VALUES (?, ?) ON CONFLICT DO NOTHING", payloads)
            sql = "INSERT INTO large_references (hash, stream) VALUES (?, ?) ON CONFLICT DO NOTHING"
            self._each(change, sql, pointers)

    def put(self, events: Sequence[Notification]) -> None:
        """Bring events of archived streams back."""
        sql = (
            "INSERT INTO stored_events ({position}, originator_id, originator_version, topic, state) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        with self._access.appending() as change:
            self._each(change, sql, [(event.position, *event.record) for event in events])

    def release(self, places: Sequence[Placed]) -> None:
        """Have streams be hot again, all of whose events have come back. Raises StoreRefusedError if they have not."""
        count = "SELECT count(*) FROM stored_events WHERE originator_id = ? AND originator_version <= ?"
        with self._access.appending() as change:
            for place in places:
                if self._ask(change, count, place.stream, place.version)[0][0] != place.version:
                    reason = f"somebody else moves {place.stream} just now; it is left in the archive"
                    raise StoreRefusedError(reason)
            self._run(
                change, "DELETE FROM archived WHERE stream {among}", self._listed(place.stream for place in places)
            )
            sql = (
                "DELETE FROM archived_payloads WHERE file {among} "
                "AND NOT EXISTS (SELECT 1 FROM archived WHERE archived.file = archived_payloads.file)"
            )
            self._run(change, sql, self._listed({place.file for place in places}))
            self._moved(change)


def _stands(entry: Entry, heads: dict[str, Head]) -> bool:
    """Whether the run's streams have the heads that they had, and no inbox has come to be."""
    return all(heads.get(name) == entry.heads.get(name) for name in (entry.stream, f"{entry.stream}/inbox"))
