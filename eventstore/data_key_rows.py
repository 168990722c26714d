"""The table of data keys: one wrapped key for each run that holds sensitive data. See `data_keys.py`."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import Any, NamedTuple, Protocol

from .dispatch import Dialect, Query


class DataKeyRow(NamedTuple):
    """The data key of the run `stream`. `parent` is the run that it descends from (a fork, a child, a continuation) and
    `subject` stands for whom its data are about. `wrapped` is None when it was destroyed. `made_at` is in microseconds
    since the epoch."""

    stream: str
    parent: str | None
    subject: str | None
    key_id: str
    wrapped: bytes | None
    made_at: int


class DataKeyTable(Protocol):
    """The rows, as every store holds them. Calls block and are thread-safe."""

    def get(self, stream: str) -> DataKeyRow | None:
        """The row of a run."""
        ...

    def add(self, row: DataKeyRow) -> None:
        """Add a row, unless the run has one."""
        ...

    def rewrap(self, stream: str, key_id: str, wrapped: bytes) -> None:
        """Replace a key's wrapping, unless the key was destroyed."""
        ...

    def destroy(self, stream: str) -> bool:
        """Destroy a run's key; whether there was one."""
        ...

    def rows(self, after: str, limit: int) -> list[DataKeyRow]:
        """Rows in the order of their streams, after that of `after`."""
        ...

    def of_subject(self, subject: str) -> list[str]:
        """The runs of a subject, sorted."""
        ...

    def children(self, parent: str) -> list[str]:
        """The runs that descend from `parent`, sorted."""
        ...


class MemoryDataKeys:
    """Rows in a dict, under the store's lock."""

    def __init__(self, lock: RLock):
        self._lock = lock
        self._rows: dict[str, DataKeyRow] = {}

    def get(self, stream: str) -> DataKeyRow | None:
        """See `DataKeyTable.get`."""
        with self._lock:
            return self._rows.get(stream)

    def add(self, row: DataKeyRow) -> None:
        """See `DataKeyTable.add`."""
        with self._lock:
            self._rows.setdefault(row.stream, row)

    def rewrap(self, stream: str, key_id: str, wrapped: bytes) -> None:
        """See `DataKeyTable.rewrap`."""
        with self._lock:
            row = self._rows[stream]
            if row.wrapped is not None:
                self._rows[stream] = row._replace(key_id=key_id, wrapped=wrapped)

    def destroy(self, stream: str) -> bool:
        """See `DataKeyTable.destroy`."""
        with self._lock:
            row = self._rows.get(stream)
            if row is None or row.wrapped is None:
                return False
            self._rows[stream] = row._replace(wrapped=None)
            return True

    def rows(self, after: str, limit: int) -> list[DataKeyRow]:
        """See `DataKeyTable.rows`."""
        with self._lock:
            return [self._rows[stream] for stream in sorted(self._rows) if stream > after][:limit]

    def of_subject(self, subject: str) -> list[str]:
        """See `DataKeyTable.of_subject`."""
        with self._lock:
            return sorted(stream for stream, row in self._rows.items() if row.subject == subject)

    def children(self, parent: str) -> list[str]:
        """See `DataKeyTable.children`."""
        with self._lock:
            return sorted(stream for stream, row in self._rows.items() if row.parent == parent)


class SQLDataKeys:
    """The table `data_keys` of a SQL database. `write` runs a statement in its own transaction."""

    def __init__(self, read: Query, write: Query, dialect: Dialect):
        self._read = read
        self._write = write
        self._mark = dialect.mark

    def _sql(self, text: str) -> str:
        return text.replace("?", self._mark)

    def get(self, stream: str) -> DataKeyRow | None:
        """See `DataKeyTable.get`."""
        rows = self._read(self._sql(f"SELECT {_COLUMNS} FROM data_keys WHERE stream = ?"), (stream,))
        return _row(rows[0]) if rows else None

    def add(self, row: DataKeyRow) -> None:
        """See `DataKeyTable.add`."""
        sql = f"INSERT INTO data_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1"
        self._write(self._sql(sql), tuple(row))

    def rewrap(self, stream: str, key_id: str, wrapped: bytes) -> None:
        """See `DataKeyTable.rewrap`."""
        sql = "UPDATE data_keys SET key_id = ?, wrapped = ? WHERE stream = ? AND wrapped IS NOT NULL RETURNING 1"
        self._write(self._sql(sql), (key_id, wrapped, stream))

    def destroy(self, stream: str) -> bool:
        """See `DataKeyTable.destroy`."""
        sql = "UPDATE data_keys SET wrapped = NULL WHERE stream = ? AND wrapped IS NOT NULL RETURNING 1"
        return bool(self._write(self._sql(sql), (stream,)))

    def rows(self, after: str, limit: int) -> list[DataKeyRow]:
        """See `DataKeyTable.rows`."""
        sql = f"SELECT {_COLUMNS} FROM data_keys WHERE stream > ? ORDER BY stream LIMIT ?"
        return [_row(row) for row in self._read(self._sql(sql), (after, limit))]

    def of_subject(self, subject: str) -> list[str]:
        """See `DataKeyTable.of_subject`."""
        sql = "SELECT stream FROM data_keys WHERE subject = ? ORDER BY stream"
        return [row[0] for row in self._read(self._sql(sql), (subject,))]

    def children(self, parent: str) -> list[str]:
        """See `DataKeyTable.children`."""
        sql = "SELECT stream FROM data_keys WHERE parent = ? ORDER BY stream"
        return [row[0] for row in self._read(self._sql(sql), (parent,))]


_COLUMNS = ", ".join(DataKeyRow._fields)


def _row(values: Sequence[Any]) -> DataKeyRow:
    stream, parent, subject, key_id, wrapped, made_at = values
    return DataKeyRow(stream, parent, subject, key_id, None if wrapped is None else bytes(wrapped), made_at)
