"""The chain proof: the stored bytes are those that were appended, all of them, in order, and nothing else.

Each event carries its predecessor's hash, and the head row the last one's. So an event is intact when its hash is the
one its successor (for the last: the head) carries. Where that fails, the culprit is named by trying what the usual
tamperings would have left behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from ..core.errors import IntegrityError
from ..core.hashing import sha256_hex
from ..core.ports import EMPTY, Head, Record
from ..eventstore.chain import event_hash
from ..eventstore.codec import Envelope, open_envelope, references
from .findings import Finding

_NEAR = 32
"""How far, in events, a moved event is looked for."""


def prove_chain(stream: str, records: Sequence[Record], head: Head, large: Mapping[str, bytes]) -> list[Finding]:
    """Every fault of `records`, which are all that the store holds of `stream`, in order of version.

    `head` is the stream's head row (`EMPTY` if there is none); `large` the content-addressed rows the events point to.
    """
    findings = _numbering(stream, records, head)
    if findings:
        return findings
    hashes = [event_hash(stream, record.version, record.topic, record.state) for record in records]
    envelopes: list[Envelope | None] = []
    for record in records:
        try:
            envelopes.append(open_envelope(record))
        except IntegrityError as error:
            envelopes.append(None)
            findings.append(Finding(stream, record.version, "unreadable", str(error)))
    carried = [envelope.prev if envelope else None for envelope in envelopes[1:]] + [head.hash]
    broken = [
        at
        for at, (found, wanted) in enumerate(zip(hashes, carried, strict=True))
        if found != wanted and (at + 1 == len(records) or envelopes[at + 1] is not None) and envelopes[at] is not None
    ]
    if records and envelopes[0] is not None and envelopes[0].prev is not None:
        findings.append(Finding(stream, 1, "changed", "the first event names a predecessor"))
    findings += _culprits(stream, records, hashes, carried, broken, envelopes)
    findings += _payloads(stream, records, large)
    return findings


def _numbering(stream: str, records: Sequence[Record], head: Head) -> list[Finding]:
    """Faults in the numbers alone: gaps, doubles, a cut tail, events beyond the head, a missing head row."""
    findings: list[Finding] = []
    expected = 1
    for record in records:
        if record.version < expected:
            findings.append(Finding(stream, record.version, "doubled", "a second event of this number"))
            continue
        for missing in range(expected, min(record.version, expected + 100)):
            findings.append(Finding(stream, missing, "missing", "the events after it are there"))
        expected = record.version + 1
    if head == EMPTY:
        findings.append(Finding(stream, 0, "head", "the head row is missing"))
    for missing in range(expected, min(head.version + 1, expected + 100)):
        findings.append(Finding(stream, missing, "missing", f"the head says there are {head.version} events"))
    for beyond in range(head.version + 1, min(expected, head.version + 101)):
        if head != EMPTY:
            findings.append(Finding(stream, beyond, "foreign", f"lies beyond the head, which is event {head.version}"))
    return findings


def _culprits(
    stream: str,
    records: Sequence[Record],
    hashes: Sequence[str],
    carried: Sequence[str | None],
    broken: Sequence[int],
    envelopes: Sequence[Envelope | None],
) -> list[Finding]:
    """Whom to blame for the `broken` links; link i joins event i to its successor, or the last one to the head."""
    findings: dict[int, Finding] = {}
    explained: set[int] = set()
    for at in broken:
        origin = _moved_from(stream, records, carried, at)
        if origin is not None:
            reason = f"what stands here was event {origin + 1}"
            findings[at] = Finding(stream, at + 1, "moved", reason)
            explained.update((at, at - 1))
        elif at + 1 < len(records) and _only_link_changed(
            stream, records[at + 1], hashes[at], carried[at + 1], envelopes[at + 1]
        ):
            reason = "its reference to the predecessor was altered"
            findings[at + 1] = Finding(stream, at + 2, "changed", reason)
            explained.update((at, at + 1))
    for at in broken:
        if at not in explained and at not in findings:
            by = "the head row carries" if at + 1 == len(records) else f"event {at + 2} carries"
            reason = f"its hash is {hashes[at][:16]}…, but {by} {str(carried[at])[:16]}…"
            findings[at] = Finding(stream, at + 1, "changed", reason)
    return [findings[at] for at in sorted(findings)]


def _moved_from(stream: str, records: Sequence[Record], carried: Sequence[str | None], at: int) -> int | None:
    """The place (from 0) where the event now at `at` stood before, if moving is what happened to it."""
    record = records[at]
    for origin in range(max(0, at - _NEAR), min(len(records), at + _NEAR + 1)):
        if origin != at and event_hash(stream, origin + 1, record.topic, record.state) == carried[origin]:
            return origin
    return None


def _only_link_changed(
    stream: str, record: Record, predecessor: str, wanted: str | None, envelope: Envelope | None
) -> bool:
    """Whether `record` is intact but for its `prev`: with the right one put back, its hash is what `wanted` says."""
    if envelope is None or envelope.prev is None:
        return False
    mended = record.state.replace(orjson.dumps(envelope.prev), orjson.dumps(predecessor))
    return event_hash(stream, record.version, record.topic, mended) == wanted


def _payloads(stream: str, records: Sequence[Record], large: Mapping[str, bytes]) -> list[Finding]:
    findings: list[Finding] = []
    for record in records:
        try:
            wanted = references([record])
        except IntegrityError:
            continue
        for digest in sorted(wanted):
            data = large.get(digest)
            if data is None:
                findings.append(Finding(stream, record.version, "payload", f"its payload {digest[:16]}… is missing"))
            elif sha256_hex(data) != digest:
                findings.append(Finding(stream, record.version, "payload", f"its payload {digest[:16]}… was changed"))
    return findings
