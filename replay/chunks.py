"""Many runs read with few queries, each as it stood at one position of the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import IntegrityError
from ..core.ids import inbox_of
from ..core.ports import EMPTY, Head, Record
from ..eventstore.chain import event_hash
from ..eventstore.codec import open_envelope
from ..eventstore.store import Notification, Store
from .reading import large_of, snapshot

_EVENTS = 4_000
"""About so many events are held in memory at a time; a run is never divided."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run's stream as it stood: its records, its inbox's, the heads of both, and the large payloads of all that was
    read with it. `cut` tells that it has gone on since."""

    stream: str
    records: Sequence[Record]
    messages: Sequence[Record]
    heads: Mapping[str, Head]
    large: Mapping[str, bytes]
    cut: bool


def stored_runs(store: Store, streams: Sequence[str], until: int) -> Iterator[StoredRun]:
    """The runs in `streams`, in that order, as they stood at the position `until`."""
    heads = store.heads([name for stream in streams for name in (stream, inbox_of(stream))])
    group: list[str] = []
    events = 0
    for stream in streams:
        group.append(stream)
        events += heads.get(stream, EMPTY).version
        if events >= _EVENTS:
            yield from _read(store, group, until)
            group, events = [], 0
    if group:
        yield from _read(store, group, until)


def _read(store: Store, streams: Sequence[str], until: int) -> list[StoredRun]:
    names = [name for stream in streams for name in (stream, inbox_of(stream))]
    before = store.heads(names)
    found: dict[str, list[Notification]] = {name: [] for name in names}
    for each in store.sweep.read_all(names):
        if each.record.stream in found:  # A name that is no UTF-8 may only look like one of these.
            found[each.record.stream].append(each)
    heads = store.heads(names)
    runs: list[StoredRun] = []
    large = large_of(store, [each.record for name in names for each in found[name]])
    for stream in streams:
        inbox = inbox_of(stream)
        if any(before.get(name) != heads.get(name) for name in (stream, inbox)):
            # It moves: what it was at `until` stands in what is read of it now, however far that goes.
            own, (records, messages) = snapshot(store, [stream, inbox])
            placed = {
                (each.record.stream, each.record.version): each.position
                for each in store.sweep.read_all([stream, inbox])
            }
            found[stream] = [Notification(placed.get((stream, r.version), until + 1), r) for r in records]
            found[inbox] = [Notification(placed.get((inbox, r.version), until + 1), r) for r in messages]
            large = {**large, **large_of(store, [*records, *messages])}
        else:
            own = {name: heads[name] for name in (stream, inbox) if name in heads}
        records, head = _until(stream, found[stream], own.get(stream), until)
        messages, inbox_head = _until(inbox, found[inbox], own.get(inbox), until)
        ends = {name: end for name, end in ((stream, head), (inbox, inbox_head)) if end is not None}
        cut = len(records) < len(found[stream]) or len(messages) < len(found[inbox])
        runs.append(StoredRun(stream, records, messages, ends, large, cut))
    return runs


def _until(
    stream: str, found: Sequence[Notification], head: Head | None, until: int
) -> tuple[list[Record], Head | None]:
    """The records up to a position, and the head that the stream had there: as the event after it tells."""
    kept = [each.record for each in found if each.position <= until]
    if len(kept) == len(found):
        return kept, head
    if not kept:
        return kept, None
    last = kept[-1]
    after = next(each.record for each in found if each.position > until)
    try:
        prev = open_envelope(after).prev
    except IntegrityError:
        prev = event_hash(*last)
    return kept, Head(last.version, prev)
