"""What an append hands to PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.ports import Dispatch, LedgerChange, Schedule, Settle, TopUp, Unschedule, Wake
from .arrays import Blobs, Float8s, Int8s, Texts
from .dispatch import seconds_of
from .sealing import SealedUnit


def columns(units: Sequence[SealedUnit], owner: str, *, alone: bool = False) -> tuple[Any, ...]:
    """The arguments of `refold_commit`: parallel arrays of appends, events, payloads, dispatch and ledger changes.

    With `alone`, or with ledger changes, it takes the ledger's lock.
    """
    appends = [(number, append) for number, unit in enumerate(units, 1) for append in unit.appends]
    records = [(place, record) for place, (_, append) in enumerate(appends, 1) for record in append.records]
    large = [(number, *row) for number, unit in enumerate(units, 1) for row in unit.large.items()]
    changes = [(number, change) for number, unit in enumerate(units, 1) for change in unit.dispatch]
    ledger = [(number, change) for number, unit in enumerate(units, 1) for change in unit.ledger]
    return (
        Int8s([number for number, _ in appends]),
        Texts([append.stream for _, append in appends]),
        Int8s([append.expected.version for _, append in appends]),
        Texts([append.expected.hash or "" for _, append in appends]),
        Int8s([append.head.version for _, append in appends]),
        Texts([append.head.hash or "" for _, append in appends]),
        Int8s([place for place, _ in records]),
        Int8s([record.version for _, record in records]),
        Texts([record.topic for _, record in records]),
        Blobs([record.state for _, record in records]),
        Int8s([number for number, _, _ in large]),
        Texts([digest for _, digest, _ in large]),
        Blobs([data for _, _, data in large]),
        *_dispatch_columns(changes),
        owner,
        *_ledger_columns(ledger),
        alone or bool(ledger),
    )


def _dispatch_columns(changes: Sequence[tuple[int, Dispatch]]) -> tuple[Any, ...]:
    """Each change as the schedule it is, or for the other kinds an idle one of the same stream."""
    kinds = {Unschedule: 0, Schedule: 1, Wake: 2}
    puts = [change if isinstance(change, Schedule) else Schedule(change.stream, 0) for _, change in changes]
    return (
        Int8s([number for number, _ in changes]),
        Int8s([kinds[type(change)] for _, change in changes]),
        Texts([put.stream for put in puts]),
        Float8s([put.lease_seconds for put in puts]),
        Float8s([seconds_of(put.due) for put in puts]),
        Int8s([-1 if put.taken is None else put.taken for put in puts]),
        Texts([put.queue for put in puts]),
        Int8s([put.priority for put in puts]),
        Texts([put.needs for put in puts]),
    )


def _ledger_columns(changes: Sequence[tuple[int, LedgerChange]]) -> tuple[Any, ...]:
    """Each change as the settlement it is, or a top-up as one of the account's."""
    if not changes:
        return _NO_CHANGES
    puts = [Settle(c.account, "", 0, c.amount) if isinstance(c, TopUp) else c for _, c in changes]
    return (
        Int8s([number for number, _ in changes]),
        Int8s([isinstance(change, TopUp) for _, change in changes]),
        Texts([put.stream for put in puts]),
        Texts([put.step for put in puts]),
        Int8s([put.attempt for put in puts]),
        Int8s([put.spent for put in puts]),
    )


_NO_CHANGES = (Int8s(), Int8s(), Texts(), Texts(), Int8s(), Int8s())
