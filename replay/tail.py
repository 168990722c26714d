"""A cheap proof of the log's end: the latest events and the head rows agree, and so do those of some streams at random.

It takes a moment however long the log is, and so claims little: `refold verify --all` proves all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from ..core.errors import IntegrityError
from ..core.ports import EMPTY, Head, Record
from ..eventstore.chain import event_hash
from ..eventstore.codec import open_all
from ..eventstore.store import Store
from .findings import Finding

LATEST, SAMPLED = 100, 20
"""Events at the end of the log, and streams from anywhere."""

_LINKS = 3
"""So many events of each stream are looked at."""

_TRIES = 10
"""How often a stream that grows meanwhile is read again."""


class Tail(NamedTuple):
    """What was found wrong, and how many streams were looked at."""

    findings: list[Finding]
    streams: int


def prove_tail(store: Store, chance: Random, latest: int = LATEST, sampled: int = SAMPLED) -> Tail:
    """Look at the streams of the `latest` events and at `sampled` others. Raises StoreError."""
    last = store.last_position()
    recent = store.follow(max(0, last - latest), latest)
    picked = [at for _ in range(min(sampled, max(0, last - latest))) for at in store.follow(chance.randrange(last), 1)]
    streams = list(dict.fromkeys(each.record.stream for each in [*recent, *picked]))
    heads = store.heads(streams)
    findings = [found for stream in streams for found in _stream(store, stream, heads.get(stream, EMPTY))]
    return Tail(findings, len(streams))


def _stream(store: Store, stream: str, head: Head) -> Iterable[Finding]:
    """What is wrong with the end of a stream: it is read again while it moves."""
    records: list[Record] = []
    for _ in range(_TRIES):
        try:
            records = store.read(stream, max(0, head.version - _LINKS))
        except IntegrityError as error:
            return [Finding(stream, 0, "archive", str(error))]
        now = store.heads([stream]).get(stream, EMPTY)
        if now == head:
            return _faults(stream, records, head)
        head = now
    return _faults(stream, [record for record in records if record.version <= head.version], head)


def _faults(stream: str, records: list[Record], head: Head) -> list[Finding]:
    if head == EMPTY:
        return [Finding(stream, 0, "head", "the head row is missing")]
    if not records or records[-1].version < head.version:
        return [Finding(stream, head.version, "missing", f"the head row says there are {head.version} events")]
    if records[-1].version > head.version:
        beyond = f"it lies beyond the head, which is event {head.version}"
        return [Finding(stream, records[-1].version, "foreign", beyond)]
    found: list[Finding] = []
    carried = [*(each if isinstance(each, IntegrityError) else each.prev for each in open_all(records)[1:]), head.hash]
    for record, said in zip(records, carried, strict=True):
        own = event_hash(stream, record.version, record.topic, record.state)
        by = "the head row" if record.version == head.version else f"event {record.version + 1}"
        if isinstance(said, IntegrityError):
            found.append(Finding(stream, record.version + 1, "unreadable", str(said)))
        elif said != own:
            found.append(Finding(stream, record.version, "changed", f"its hash is not what {by} carries"))
    return found
