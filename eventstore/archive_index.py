"""What the database knows of archives: which streams lie where, beside those that are hot, that is, in its tables.

Each answer comes from one statement, and so from one moment: streams may go into archives and come back meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.events import END_TOPICS
from ..core.ports import Record
from .access import Access
from .store import Notification, StreamRow

COLUMNS = "stream, file, start, length, first_position, last_position, version, hash"
"""Those of `Placed`."""

_IS_RUN = "length({0}) - length(replace({0}, '/', '')) = 1"
_ENDS = ", ".join(f"'{topic}'" for topic in sorted(END_TOPICS))


class Span(NamedTuple):
    """Bytes of an archive."""

    file: str
    start: int
    length: int


class Placed(NamedTuple):
    """Events 1 to `version` of a stream, the last of which has the chain hash `hash`, and the archive they lie in.

    `first` and `last` are their positions.
    """

    stream: str
    file: str
    start: int
    length: int
    first: int
    last: int
    version: int
    hash: str

    @property
    def span(self) -> Span:
        """The bytes, which other streams may share."""
        return Span(self.file, self.start, self.length)


class InUse(NamedTuple):
    """An archive to which streams in the database lead, and how many runs those are."""

    file: str
    runs: int


class ArchiveIndex:
    """Reads the tables `archived`, `archived_payloads` and `archive_moves`, together with the hot ones."""

    def __init__(self, access: Access):
        self._access = access

    def _ask(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        return self._access.ask(self._access.sql(sql), given)

    def _listed(self, items: Sequence[str]) -> Any:
        return self._access.dialect.listed(items)

    def moves(self) -> int:
        """A number that grows whenever streams go into archives or come back; 0 while none ever did."""
        return self._ask("SELECT coalesce(max(moves), 0) FROM archive_moves")[0][0]

    def place(self, stream: str, after: int) -> tuple[Placed | None, int | None]:
        """Where the stream lies in an archive, and the version of its first hot event after version `after`."""
        sql = (
            "SELECT (SELECT min(originator_version) FROM stored_events "
            f"WHERE originator_id = ? AND originator_version > ?), {COLUMNS} "
            "FROM (SELECT 1 AS one) AS one LEFT JOIN archived ON stream = ?"
        )
        ((first, *found),) = self._ask(sql, stream, after, stream)
        return None if found[0] is None else Placed(*found), first

    def spanning(self, position: int) -> list[Placed]:
        """The archived streams that have begun at `position` and go on after it."""
        sql = f"SELECT {COLUMNS} FROM archived WHERE first_position <= ? AND last_position > ?"
        return [Placed(*row) for row in self._ask(sql, position, position)]

    def starting(self, after: int, limit: int) -> list[Placed]:
        """Archived streams that begin after a position, in order of their beginnings."""
        sql = f"SELECT {COLUMNS} FROM archived WHERE first_position > ? ORDER BY first_position LIMIT ?"
        return [Placed(*row) for row in self._ask(sql, after, limit)]

    def payloads(self, hashes: Sequence[str]) -> dict[str, Span]:
        """Where large payloads lie; those that no archive holds are left out."""
        sql = "SELECT hash, file, start, length FROM archived_payloads WHERE hash {among}"
        return {row[0]: Span(*row[1:]) for row in self._ask(sql, self._listed(hashes))}

    def starts(self, streams: Sequence[str]) -> dict[str, int]:
        """As `Store.starts`, of hot and archived streams."""
        sql = (
            "SELECT stream, first_position FROM archived WHERE stream {among} UNION "
            "SELECT originator_id, {position} FROM stored_events WHERE originator_version = 1 AND originator_id {among}"
        )
        return dict(self._ask(sql, *[self._listed(streams)] * 2))

    def runs(self, tenant: str, before: int | None, limit: int) -> list[StreamRow]:
        """As `Store.runs`, of hot and archived runs."""
        hot = (
            "SELECT e.originator_id AS stream, h.version AS version, e.{position} AS position FROM stored_events e "
            "{by_start} JOIN stream_heads h ON h.stream = e.originator_id WHERE e.topic = 'run.started' "
            "AND e.originator_id >= ? AND e.originator_id < ? AND e.{position} < ? ORDER BY e.{position} DESC LIMIT ?"
        )
        cold = (
            "SELECT a.stream, h.version, a.first_position FROM archived a JOIN stream_heads h ON h.stream = a.stream "
            f"WHERE a.stream >= ? AND a.stream < ? AND a.first_position < ? AND {_IS_RUN.format('a.stream')} "
            "ORDER BY a.first_position DESC LIMIT ?"
        )
        sql = (
            f"SELECT * FROM (SELECT * FROM ({hot}) AS hot UNION SELECT * FROM ({cold}) AS cold) AS every "
            "ORDER BY position DESC LIMIT ?"
        )
        bounds = (f"{tenant}/", f"{tenant}0", 2**62 if before is None else before, limit)
        return [StreamRow(*row) for row in self._ask(sql, *bounds, *bounds, limit)]

    def in_use(self) -> list[InUse]:
        """The archives to which streams lead, by name."""
        sql = f"SELECT file, sum(CASE WHEN {_IS_RUN.format('stream')} THEN 1 ELSE 0 END) FROM archived GROUP BY file"
        return sorted(InUse(file, int(runs)) for file, runs in self._ask(sql))

    def held(self, file: str, after: str, limit: int) -> list[Placed]:
        """The streams that lie in an archive, after the stream `after`, by name."""
        sql = f"SELECT {COLUMNS} FROM archived WHERE file = ? AND stream > ? ORDER BY stream LIMIT ?"
        return [Placed(*row) for row in self._ask(sql, file, after, limit)]

    def placed(self, streams: Sequence[str]) -> list[Placed]:
        """Those of `streams` that are archived."""
        sql = f"SELECT {COLUMNS} FROM archived WHERE stream {{among}} ORDER BY stream"
        return [Placed(*row) for row in self._ask(sql, self._listed(streams))]

    def unsettled(self, limit: int) -> list[Placed]:
        """Streams whose move into an archive, or back, was cut off."""
        sql = f"SELECT {COLUMNS} FROM archived WHERE NOT settled ORDER BY stream LIMIT ?"
        return [Placed(*row) for row in self._ask(sql, limit)]

    def step(self, after: int, events: int) -> int | None:
        """The position of the hot event that is the `events`th after a position; None when there are fewer."""
        sql = "SELECT {position} FROM stored_events WHERE {position} > ? ORDER BY {position} LIMIT 1 OFFSET ?"
        found = self._ask(sql, after, events - 1)
        return found[0][0] if found else None

    def ended(self, after: int, until: int) -> list[Notification]:
        """The ends of hot runs after the position `after` and up to `until`."""
        sql = (
            "SELECT {position}, originator_id, originator_version, topic, state FROM stored_events "
            f"WHERE {{position}} > ? AND {{position}} <= ? AND topic IN ({_ENDS}) ORDER BY {{position}}"
        )
        return [_numbered(row) for row in self._ask(sql, after, until)]

    def records(self, stream: str, after: int, until: int, limit: int) -> list[Notification]:
        """Hot events of a stream after version `after` and up to `until`, with their positions."""
        sql = (
            "SELECT {position}, originator_id, originator_version, topic, state FROM stored_events WHERE "
            "originator_id = ? AND originator_version > ? AND originator_version <= ? "
            "ORDER BY originator_version LIMIT ?"
        )
        return [_numbered(row) for row in self._ask(sql, stream, after, until, limit)]

    def awaited(self, streams: Sequence[str]) -> set[str]:
        """Those of `streams` that have a dispatch row."""
        return {row[0] for row in self._ask("SELECT stream FROM dispatch WHERE stream {among}", self._listed(streams))}


def _numbered(row: tuple[Any, ...]) -> Notification:
    position, stream, version, topic, state = row
    return Notification(position, Record(stream, version, topic, state.encode() if type(state) is str else state))
