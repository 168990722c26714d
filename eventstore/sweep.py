"""Going through the whole log run by run, a page at a time: what a job needs that looks at every run there is.

Nothing here grows with the log but the number of pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..core.ports import Record
from .dispatch import Dialect, Query


class Notification(NamedTuple):
    """A record with its place in the whole log. Positions grow in commit order; they may have gaps."""

    position: int
    record: Record


class SweepStore(Protocol):
    """What every store must do for sweeps. All calls block and are thread-safe; they raise StoreError."""

    def begun(self, tenant: str, after: int, until: int, limit: int) -> list[Notification]:
        """First events of runs of the tenant, at positions after `after` up to `until`, in order, at most `limit`.

        Of a stream whose event 1 is missing, or starts no run, nothing is said; see `names`.
        """
        ...

    def names(self, tenant: str, after: str, limit: int) -> list[str]:
        """Streams of the tenant of which there is an event or a head row, after the name `after`, in byte order.

        What is no UTF-8 is told by surrogates (PEP 383).
        """
        ...

    def begun_among(self, streams: Sequence[str]) -> dict[str, int]:
        """The positions of the first events of those of `streams` that `begun` would name."""
        ...

    def read_all(self, streams: Sequence[str]) -> list[Notification]:
        """Every record of `streams`, by stream and version."""
        ...


class Columns(NamedTuple):
    """How a database's rows of the log are read: the position, a record, a stream's name, and a name that is given."""

    position: str
    record: str
    stream: str
    given: str


POSTGRES_COLUMNS = Columns("notification_id", "originator_id, originator_version, topic, state", "{}", "?")
"""PostgreSQL's."""

# Columns of SQLite hold what was put there, of any type and in any bytes.
SQLITE_COLUMNS = Columns(
    "rowid",
    "CAST(originator_id AS BLOB), CAST(originator_version AS INTEGER), CAST(topic AS BLOB), CAST(state AS BLOB)",
    "CAST({} AS BLOB)",
    "CAST(? AS TEXT)",
)
"""SQLite's."""

_START = "topic = 'run.started' AND originator_version = 1"


class SQLSweep:
    """Fulfils `SweepStore` in a SQL database."""

    def __init__(self, read: Query, dialect: Dialect, columns: Columns):
        self._read = read
        self._dialect = dialect
        self._columns = columns

    def begun(self, tenant: str, after: int, until: int, limit: int) -> list[Notification]:
        """See `SweepStore.begun`."""
        at = self._columns.position
        sql = (
            f"SELECT {at}, {self._columns.record} FROM stored_events WHERE {_START} "
            f"AND originator_id >= ? AND originator_id < ? AND {at} > ? AND {at} <= ? ORDER BY {at} LIMIT ?"
        )
        return self._notifications(sql, (f"{tenant}/", f"{tenant}0", after, until, limit))

    def names(self, tenant: str, after: str, limit: int) -> list[str]:
        """See `SweepStore.names`."""
        lower: object = max(after, f"{tenant}/")
        if self._dialect.mark == "?":
            lower = str(lower).encode("utf-8", "surrogateescape")
        found: set[str] = set()
        for table, column in (("stream_heads", "stream"), ("stored_events", "originator_id")):
            name = self._columns.stream.format("name")
            sql = (
                f"SELECT {name} FROM (SELECT DISTINCT {column} AS name FROM {table} "
                f"WHERE {column} > {self._columns.given} AND {column} < ? ORDER BY {column} LIMIT ?) AS page"
            )
            rows = self._read(sql.replace("?", self._dialect.mark), (lower, f"{tenant}0", limit))
            found.update(_text(row[0]) for row in rows)
        return sorted(found, key=lambda name: name.encode("utf-8", "surrogateescape"))[:limit]

    def begun_among(self, streams: Sequence[str]) -> dict[str, int]:
        """See `SweepStore.begun_among`."""
        name = self._columns.stream.format("originator_id")
        sql = (
            f"SELECT {name}, {self._columns.position} FROM stored_events WHERE {_START} "
            f"AND originator_id {self._dialect.among}"
        )
        rows = self._read(sql.replace("?", self._dialect.mark), (self._dialect.listed(sound(streams)),))
        return {_text(row[0]): row[1] for row in rows}

    def read_all(self, streams: Sequence[str]) -> list[Notification]:
        """See `SweepStore.read_all`."""
        sql = (
            f"SELECT {self._columns.position}, {self._columns.record} FROM stored_events "
            f"WHERE originator_id {self._dialect.among} ORDER BY originator_id, originator_version"
        )
        return self._notifications(sql, (self._dialect.listed(sound(streams)),))

    def _notifications(self, sql: str, parameters: Sequence[object]) -> list[Notification]:
        rows = self._read(sql.replace("?", self._dialect.mark), parameters)
        # The same few names come again and again.
        names = {name: _name(name) for row in rows for name in (row[1], row[3])}
        return [Notification(at, Record(names[stream], n, names[topic], state)) for at, stream, n, topic, state in rows]


def sound(streams: Sequence[str]) -> list[str]:
    """Those that may be runs': names of these are ASCII, and databases are not asked for what is no text."""
    return [name for name in streams if name.isascii()]


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


def _name(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "replace")
