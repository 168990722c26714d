"""When keys of the HTTP API were last used: rows beside the log, of interest to people alone."""

from __future__ import annotations

from threading import RLock
from typing import Protocol

from .dispatch import Dialect, Query


class KeyUseTable(Protocol):
    """The rows, as every store holds them. Calls block and are thread-safe."""

    def note(self, key_id: str, at: int) -> None:
        """The key was used at `at`, in microseconds since the epoch; an earlier time changes nothing."""
        ...

    def last(self) -> dict[str, int]:
        """When each key that ever was used was used last."""
        ...


class MemoryKeyUses:
    """Times in a dict, under the store's lock."""

    def __init__(self, lock: RLock):
        self._lock = lock
        self._last: dict[str, int] = {}

    def note(self, key_id: str, at: int) -> None:
        """See `KeyUseTable.note`."""
        with self._lock:
            self._last[key_id] = max(at, self._last.get(key_id, at))

    def last(self) -> dict[str, int]:
        """See `KeyUseTable.last`."""
        with self._lock:
            return dict(self._last)


class SQLKeyUses:
    """The table `key_uses` of a SQL database. `write` runs a statement in its own transaction."""

    def __init__(self, read: Query, write: Query, dialect: Dialect):
        self._read = read
        self._write = write
        self._mark = dialect.mark

    def note(self, key_id: str, at: int) -> None:
        """See `KeyUseTable.note`."""
        sql = (
            "INSERT INTO key_uses (key_id, used_at) VALUES (?, ?) ON CONFLICT (key_id) "
            "DO UPDATE SET used_at = excluded.used_at WHERE key_uses.used_at < excluded.used_at RETURNING 1"
        )
        self._write(sql.replace("?", self._mark), (key_id, at))

    def last(self) -> dict[str, int]:
        """See `KeyUseTable.last`."""
        return {str(key_id): int(at) for key_id, at in self._read("SELECT key_id, used_at FROM key_uses", ())}
