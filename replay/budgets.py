"""Verification of the ledger: its accounts computed anew from the whole log, and compared with the guarded rows."""

from __future__ import annotations

from collections.abc import Callable

from ..core.ledger_recount import Difference, Recount, differences
from ..eventstore.codec import decode
from ..eventstore.ledger_books import correct, read_books
from ..eventstore.tiered import TieredStore
from .reading import large_of

PAGE = 5_000
"""Events read at once."""


def verify_ledger(
    store: TieredStore, *, rebuild: bool = False, told: Callable[[int, int], None] = lambda done, of: None
) -> list[Difference]:
    """Where the ledger is not what the log says; with `rebuild` it is then what the log says.

    The log is gone through beside whatever goes on. Only for what came in meanwhile, and for the comparison, are
    appends and asks kept waiting. `told` hears of positions. Raises IntegrityError for an event that cannot be read.
    """
    recount = Recount()
    until = store.last_position()
    position = _follow(store, recount, 0, told, until)
    access = store.hot.access
    with access.books() as change:
        _follow(store, recount, position, told, until)
        found = differences(recount, read_books(change))
        if rebuild and found:
            correct(access, change, found, recount)
    return found


def _follow(store: TieredStore, recount: Recount, position: int, told: Callable[[int, int], None], until: int) -> int:
    while page := store.follow(position, PAGE):
        for at, record in page:
            if recount.counts(record.stream, record.topic):
                recount.take(record.stream, decode(record, large_of(store, [record])))
            position = at
        told(min(position, until), until)
    return position
