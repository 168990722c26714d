"""What every store must do; `tests/contract` holds each one to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from ..core.ledger import Ledger
from ..core.ports import Head, QueryStore, Record
from .data_key_rows import DataKeyTable
from .dispatch import DispatchStore
from .key_uses import KeyUseTable
from .outbox import OutboxStore
from .parts import PartStore
from .sealing import SealedUnit
from .sweep import Notification, SweepStore
from .tables import TableStore


class StreamRow(NamedTuple):
    """A run's stream as a list shows it: its head's version, first and last position."""

    stream: str
    version: int
    position: int


def run_streams(names: Iterable[str]) -> list[str]:
    """The runs' streams among `names` and their inboxes, each once, sorted."""
    return sorted({"/".join(name.split("/")[:2]) for name in names})


class Store(Protocol):
    """The log, its heads, its content-addressed rows and the dispatch rows. All calls block and are thread-safe.

    Every call raises StoreUnreachableError when the database does not answer.
    """

    @property
    def dispatch(self) -> DispatchStore:
        """Which runs are due, and who holds them."""
        ...

    @property
    def queries(self) -> QueryStore:
        """Questions to workers, and their answers."""
        ...

    @property
    def data_keys(self) -> DataKeyTable:
        """The keys of runs that hold sensitive data."""
        ...

    @property
    def key_uses(self) -> KeyUseTable:
        """When keys of the HTTP API were last used."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Budgets, rates and places."""
        ...

    @property
    def tables(self) -> TableStore:
        """What the projections derive from the log."""
        ...

    @property
    def parts(self) -> PartStore:
        """The parts of those that are filled by several processes at once."""
        ...

    @property
    def outbox(self) -> OutboxStore:
        """What is to be sent to webhooks, and what came of it."""
        ...

    @property
    def sweep(self) -> SweepStore:
        """The log gone through run by run."""
        ...

    def commit(self, units: Sequence[SealedUnit], owner: str) -> list[bool]:
        """Store those units whose every expected head is the stream's head, in one transaction, durably.

        The answer says for each unit whether it was stored. No stream occurs in two units of one call. A refused unit
        leaves no trace and does not touch its neighbours.
        """
        ...

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """The heads of those of `streams` that exist."""
        ...

    def read(self, stream: str, after: int = 0, limit: int | None = None) -> list[Record]:
        """Records of `stream` after version `after`, in order of version, at most `limit`."""
        ...

    def read_all(self, streams: Sequence[str]) -> dict[str, list[Record]]:
        """All records of several short streams, by stream, in order of version; of one that does not exist, none."""
        ...

    def follow(self, position: int, limit: int) -> list[Notification]:
        """What was committed after `position`, in order, at most `limit`. Misses nothing, ever."""
        ...

    def follow_share(self, position: int, until: int, share: int, of: int) -> list[Notification]:
        """What was committed after `position`, up to `until`, in streams of a share (`parts.share_of`), in order."""
        ...

    def last_position(self) -> int:
        """The position of the last record, 0 when there is none."""
        ...

    def starts(self, streams: Sequence[str]) -> dict[str, int]:
        """The positions of the first records of those of `streams` that exist."""
        ...

    def streams(self, tenant: str) -> list[str]:
        """Every run of the tenant of which there is anything at all, events, messages or a head row; sorted."""
        ...

    def large(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """Content-addressed rows by hash; those that do not exist are left out."""
        ...

    def runs(self, tenant: str, before: int | None, limit: int) -> list[StreamRow]:
        """Run streams of a tenant, latest started first; `before` is the position at which the page before ended."""
        ...

    def hint(self) -> None:
        """Tell those who listen, in any process, that runs have become due. Never raises; may say nothing."""
        ...

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called, from any thread, when runs may have become due; returns what ends that, which may block.

        Never raises, and goes on after the database was away.
        """
        ...

    def close(self) -> None:
        """Let go of every connection."""
        ...
