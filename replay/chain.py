"""The chain proof: the stored bytes are those that were appended, all of them, in order, and nothing else.

Each event carries its predecessor's hash, and the head row the last one's. So there is a link before every event and
one after the last, and each of them either holds or is broken. Who is to blame for broken links is told by where the
chain holds again: one broken link means that the event before it was changed, two in a row the event between them; when
it holds again only under other numbers, events were taken out or put in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import EllipsisType
from typing import NamedTuple

from ..core.errors import IntegrityError
from ..core.hashing import sha256_hex
from ..core.ids import inbox_of
from ..core.ports import EMPTY, Head, Record
from ..eventstore.chain import event_hash
from ..eventstore.codec import Envelope, open_all, points_away, references
from .findings import Finding

_NEAR = 32
"""How far, in events, a moved event is looked for."""

_MANY = 100
"""Of one kind of fault, this many are named."""


class _Event(NamedTuple):
    """An event and the hash that it carries; an Ellipsis stands for "unknown"."""

    record: Record
    prev: str | EllipsisType | None

    @property
    def version(self) -> int:
        return self.record.version


Opened = Sequence[Envelope | IntegrityError]
"""The envelopes of records, in their order; see `open_all`."""


def prove_chain(
    stream: str, records: Sequence[Record], head: Head, large: Mapping[str, bytes], opened: Opened | None = None
) -> list[Finding]:
    """Every fault of `records`, which are all that the store holds of `stream`, by number.

    `head` is the stream's head row (`EMPTY` if there is none); `large` the content-addressed rows the events point to;
    `opened` the records' envelopes, where the caller has them.
    """
    opened = open_all(records) if opened is None else opened
    if _is_intact(stream, records, opened, head):
        return [Finding(stream, *fault) for fault in _payloads(records, large)]
    findings: dict[tuple[int, str], Finding] = {}
    blamed: set[int] = set()

    def add(number: int, kind: str, reason: str) -> None:
        if number == 0 or kind == "payload" or number not in blamed:
            findings.setdefault((number, reason), Finding(stream, number, kind, reason))
            blamed.add(number)

    events = [
        _Event(record, ... if isinstance(envelope, IntegrityError) else envelope.prev)
        for record, envelope in zip(records, opened, strict=True)
    ]
    for fault in [*_numbering(events), *_unreadable(events)]:
        add(*fault)
    chain = _Chain(stream, _once_each(events), head)
    for fault in [*chain.end_faults, *chain.breaks(), *_payloads(records, large)]:
        add(*fault)
    return [findings[key] for key in sorted(findings, key=lambda key: key[0])]


def prove_run_chains(
    stream: str,
    records: Sequence[Record],
    messages: Sequence[Record],
    heads: Mapping[str, Head],
    large: Mapping[str, bytes],
    opened: Opened | None = None,
) -> list[Finding]:
    """The same for a run's stream and for its inbox, if there is anything of one; `heads` are those of both."""
    inbox = inbox_of(stream)
    found = prove_chain(stream, records, heads.get(stream, EMPTY), large, opened)
    return found + prove_chain(inbox, messages, heads.get(inbox, EMPTY), large) if messages or inbox in heads else found


Fault = tuple[int, str, str]
"""A finding's number, kind and reason."""


def _is_intact(stream: str, records: Sequence[Record], opened: Opened, head: Head) -> bool:
    """Whether every link holds, as it nearly always does: what makes verification fast."""
    version, prev = 0, None
    for record, envelope in zip(records, opened, strict=True):
        version += 1
        if isinstance(envelope, IntegrityError) or record.version != version or envelope.prev != prev:
            return False
        prev = event_hash(stream, version, record.topic, record.state)
    return head == (version, prev) and version > 0


def _unreadable(events: Sequence[_Event]) -> Iterator[Fault]:
    for event in events:
        if event.prev is ...:
            yield event.version, "unreadable", "its stored state is no event's"


def _numbering(events: Sequence[_Event]) -> Iterator[Fault]:
    expected = 1
    for event in events:
        if event.version < 1:
            yield event.version, "foreign", "events are numbered from 1"
            continue
        if event.version < expected:
            yield event.version, "doubled", "a second event of this number"
            continue
        for missing in range(expected, min(event.version, expected + _MANY)):
            yield missing, "missing", "the events after it are there"
        expected = event.version + 1


def _once_each(events: Sequence[_Event]) -> list[_Event]:
    """The events without those that repeat a number."""
    kept: list[_Event] = []
    for event in events:
        if event.version > (kept[-1].version if kept else 0):
            kept.append(event)
    return kept


class _Chain:
    """The events and their links: link i stands before event i (from 0), the last one between the last and the head."""

    def __init__(self, stream: str, events: list[_Event], head: Head):
        self._stream = stream
        self._events = events
        self._ending: str | EllipsisType | None = ...
        self.end_faults = list(self._close(head))

    def _close(self, head: Head) -> Iterator[Fault]:
        """Compare the end with the head row, leave out what lies beyond it, and set the hash of the last link."""
        last = self._events[-1] if self._events else None
        if head == EMPTY:
            yield 0, "head", "the head row is missing"
            return
        if last is not None and (last.version == head.version or head.hash == self._hash(last, head.version)):
            self._ending = head.hash  # Under another number than its own: the broken links say what happened.
            return
        if last is not None and head.hash == self._hash(last, last.version):
            yield 0, "head", f"the head row says {head.version} events, but its hash is that of event {last.version}"
            self._ending = head.hash
            return
        for event in [event for event in self._events if event.version > head.version][:_MANY]:
            yield event.version, "foreign", f"it lies beyond the head, which is event {head.version}"
        self._events = [event for event in self._events if event.version <= head.version]
        end = self._events[-1].version if self._events else 0
        if end == head.version:
            self._ending = head.hash
        for missing in range(end + 1, min(head.version, end + _MANY) + 1):
            yield missing, "missing", f"the head says there are {head.version} events"

    def breaks(self) -> Iterator[Fault]:
        """What broken links say of the events beside them."""
        at = shift = 0
        while at <= len(self._events):
            if self._holds(at, shift) is not False:
                at += 1
                continue
            good, new = self._next_good(at, shift)
            yield from self._blame(at, good, shift, new)
            at, shift = good, new

    def _hash(self, event: _Event, version: int) -> str:
        return event_hash(self._stream, version, event.record.topic, event.record.state)

    def _carried(self, link: int) -> str | EllipsisType | None:
        return self._events[link].prev if link < len(self._events) else self._ending

    def _holds(self, link: int, shift: int) -> bool | None:
        """Whether the link holds if the event before it had a number higher by `shift`; None when it cannot be told."""
        before = self._events[link - 1].version if link else 0
        if self._carried(link) is ... or (link < len(self._events) and self._events[link].version != before + 1):
            return None
        return self._carried(link) == (self._hash(self._events[link - 1], before + shift) if link else None)

    def _next_good(self, broken: int, shift: int) -> tuple[int, int]:
        """The next link that holds, and under which shift; one past the last if none does."""
        shifts = [shift, *(shift + sign * step for step in range(1, _NEAR + 1) for sign in (1, -1))]
        for link in range(broken + 1, len(self._events) + 1):
            for candidate in shifts:
                if self._holds(link, candidate):
                    return link, candidate
        return len(self._events) + 1, shift

    def _blame(self, broken: int, good: int, shift: int, new: int) -> Iterator[Fault]:
        suspects = self._events[broken : good - 1]
        if new > shift:
            yield self._events[broken].version, "missing", f"{new - shift} events are gone from before what stands here"
        elif new < shift:
            extra = self._events[broken : max(good - 1, broken + shift - new)]
            for event in extra:
                again = sum(other.record.state == event.record.state for other in self._events) > 1
                yield (
                    event.version,
                    "doubled" if again else "foreign",
                    "it was put in; the events around it belong together",
                )
        elif not suspects:
            event = self._events[max(broken - 1, 0)]
            yield event.version, "changed", self._mismatch(broken, shift)
        if new >= shift:
            for event in suspects[:_MANY]:
                origin = self._origin(event)
                kind = "changed" if origin is None else "moved"
                reason = "it fits neither the event before it nor what follows"
                yield event.version, kind, reason if origin is None else f"what stands here was event {origin}"

    def _mismatch(self, link: int, shift: int) -> str:
        if not link:
            return "the first event names a predecessor"
        event = self._events[link - 1]
        by = "the head row" if link == len(self._events) else f"event {event.version + 1}"
        found = self._hash(event, event.version + shift)
        return f"its hash is {found[:16]}…, but {by} carries {str(self._carried(link))[:16]}…"

    def _origin(self, event: _Event) -> int | None:
        """The number under which the event is known to the others, if it is another than its own."""
        carried = {self._carried(link) for link in range(len(self._events) + 1)}
        for version in range(event.version - _NEAR, event.version + _NEAR + 1):
            if version != event.version and self._hash(event, version) in carried:
                return version
        return None


def _payloads(records: Sequence[Record], large: Mapping[str, bytes]) -> Iterator[Fault]:
    for record in filter(points_away, records):
        try:
            wanted = references([record])
        except IntegrityError:
            continue
        for digest in sorted(wanted):
            data = large.get(digest)
            if data is None:
                yield record.version, "payload", f"its payload {digest[:16]}… is missing"
            elif sha256_hex(data) != digest:
                yield record.version, "payload", f"its payload {digest[:16]}… was changed"
