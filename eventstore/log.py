"""Reading the log as events, and holding leases; fulfils `refold.core.ports.RunLog`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.events import Event
from ..core.ledger import Ledger
from ..core.ports import EMPTY, Claimed, Head, Lease, QueryStore, Record
from .codec import Cipher, decode, references
from .owner import is_dead
from .store import Store


class EventLog:
    """The engine's view of a store, on behalf of the process named `owner`."""

    def __init__(self, store: Store, owner: str, cipher: Cipher | None = None):
        """`cipher` is for what is sensitive, which without it cannot be read."""
        self.store = store
        self._cipher = cipher
        self._owner = owner

    @property
    def queries(self) -> QueryStore:
        """Questions to workers."""
        return self.store.queries

    @property
    def ledger(self) -> Ledger:
        """Budgets, rates and places."""
        return self.store.ledger

    def head(self, stream: str) -> Head:
        """The head of `stream`, `EMPTY` if it does not exist."""
        return self.store.heads([stream]).get(stream, EMPTY)

    def heads(self, streams: Sequence[str]) -> dict[str, Head]:
        """The heads of those of `streams` that exist."""
        return self.store.heads(streams)

    def events(self, stream: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """The events of `stream` after version `after`, decoded, in order, at most `limit`."""
        return self.decoded(self.store.read(stream, after, limit))

    def decoded(self, records: Sequence[Record]) -> list[Event]:
        """The events in `records`, with what lies in content-addressed rows."""
        hashes = references(records)
        large = self.store.large(sorted(hashes)) if hashes else {}
        return [decode(record, large, None, self._cipher) for record in records]

    def claim(self, stream: str, seconds: float) -> Lease | None:
        """Take the lease on a run; None when it is ours now, else the live lease in the way.

        A lease of a process of this host that has ended counts for nothing.
        """
        row = self.store.dispatch.lease(stream)
        dead = row.owner if row is not None and row.owner is not None and is_dead(row.owner) else None
        if self.store.dispatch.take(stream, self._owner, seconds, dead):
            return None
        row = self.store.dispatch.lease(stream)
        return Lease(row.owner or "?", row.seconds_left) if row is not None else Lease("?", 0.0)

    def renew(self, streams: Sequence[str], seconds: float) -> None:
        """Prolong this process's leases on `streams`."""
        self.store.dispatch.renew(streams, self._owner, seconds)

    def release(self, stream: str, due: int | None = None, taken: int | None = None) -> None:
        """Give up this process's lease on `stream`; see `refold.core.ports.RunLog.release`."""
        self.store.dispatch.release(stream, self._owner, due, taken)

    def claim_due(self, queues: Sequence[str], serves: Callable[[str], bool], limit: int, seconds: float) -> Claimed:
        """Lease runs that are due and whose needs `serves` says yes to."""
        dispatch = self.store.dispatch
        served = [needs for needs in dispatch.due_needs(queues) if serves(needs)]
        streams = dispatch.claim(self._owner, queues, served, limit, seconds) if served else []
        return Claimed(streams, dispatch.now() if streams else 0)

    def on_hint(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called when runs may have become due."""
        return self.store.on_hint(hear)

    def hint(self) -> None:
        """Tell those who listen."""
        self.store.hint()

    def free_held(self, before: int) -> int:
        """Make those runs due that are held back by less than `before` events."""
        return self.store.dispatch.free_held(before)

    def bury_the_dead(self) -> int:
        """Free the leases of ended processes of this host."""
        dispatch = self.store.dispatch
        return sum(dispatch.free(owner) for owner in dispatch.owners() if owner != self._owner and is_dead(owner))

    def beat(self, report: str) -> None:
        """Record that this process lives."""
        self.store.dispatch.beat(self._owner, report)

    def leave(self) -> None:
        """Record that this process has gone."""
        self.store.dispatch.leave(self._owner)
