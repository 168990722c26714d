"""What is looked at: a store by its URL, the folders and settings around it, the port of a server."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

from ...compose import open_store
from ...core.checks import Check
from ...core.errors import StoreRefusedError
from ...eventstore.access import Access
from ...eventstore.store import Store
from ..settings import golden_folder, golden_key_file


def as_it_is(text: str) -> str:
    """Hides nothing."""
    return text


@dataclass
class Patient:
    """An installation, as the environment of this process describes it.

    `given` says that the URL is not the environment's: commands to be typed then name it; `named`, that anybody named
    it at all. `hide` takes the secrets out
    of a text. A look that has not come back after `seconds` has failed.
    """

    url: str
    given: bool = False
    named: bool = True
    host: str = "127.0.0.1"
    port: int = 8080
    seconds: float = 3.0
    hide: Callable[[str], str] = as_it_is
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    _store: Store | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def store(self) -> Store:
        """The store, opened when it is first needed, its schema left as it is. Raises StoreError, CallError."""
        with self._lock:
            if self._store is None:
                self._store = open_store(self.url, migrate=False)
            return self._store

    @property
    def access(self) -> Access:
        """The way to the database's own tables. Raises StoreRefusedError for a store without a database."""
        hot = getattr(self.store, "hot", None)
        if hot is None:
            raise StoreRefusedError("a store in memory has no database")
        return cast("Access", hot.access)

    def ask(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        """Runs one statement in the words of `Access.sql`. Raises StoreError."""
        access = self.access
        return access.ask(access.sql(sql), given)

    @property
    def is_postgres(self) -> bool:
        """Whether the URL is of PostgreSQL."""
        return self.url.startswith("postgres")

    @property
    def file(self) -> Path | None:
        """The file of a SQLite URL."""
        scheme, _, rest = self.url.partition(":")
        return Path(unquote(rest[3:])) if scheme == "sqlite" and rest.startswith("///") and len(rest) > 3 else None

    @property
    def goldens(self) -> Path:
        """The folder of goldens."""
        return golden_folder(None)

    @property
    def golden_keys(self) -> Path | None:
        """The file of their keys; None where goldens are not kept."""
        return golden_key_file(None)

    def command(self, words: str) -> str:
        """What to type: `refold` with these words, on this store."""
        return f"refold {words}" + (f" --database {shlex.quote(self.url)}" if self.given else "")

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()


class Look(NamedTuple):
    """Something to look at. `name` is that of its check, or the part before the colon of its checks' names.

    `find` may raise RefoldError and OSError, which fail the check. It is left out where the look `after` has failed,
    on which it stands. `cure` does what can be done at once, without touching the log, and says what it did, "" if
    nothing.
    """

    name: str
    find: Callable[[Patient], Check | list[Check]]
    after: str = ""
    cure: Callable[[Patient], str] | None = None
