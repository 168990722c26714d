"""Sealing: from events to the exact bytes that will be stored, each chained to its predecessor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from ..core.ports import Append, Dispatch, Head, LedgerChange, Record, Unit
from .chain import event_hash
from .codec import Cipher, encode


class SealedAppend(NamedTuple):
    """Bytes for one stream: what its head must be, the rows, and what its head will be."""

    stream: str
    expected: Head
    records: Sequence[Record]
    head: Head


class SealedUnit(NamedTuple):
    """A unit of commit as a store takes it: all or nothing. `large` holds content-addressed rows by hash."""

    appends: Sequence[SealedAppend]
    large: dict[str, bytes]
    dispatch: Sequence[Dispatch]
    ledger: Sequence[LedgerChange] = ()


class Sealer:
    """Makes sealed units. Each instance is one writer: its nonces never occur again, so equal bytes mean one write."""

    def __init__(self, build: str, writer: str | None = None, cipher: Cipher | None = None):
        """`cipher` is for what is sensitive, which without it cannot be sealed."""
        self._build = build
        self._cipher = cipher
        self.writer = writer or os.urandom(8).hex()
        self._counter = count(1)

    def seal(self, unit: Unit) -> SealedUnit:
        """`unit` as the bytes that will be stored."""
        large: dict[str, bytes] = {}
        appends = [self._seal(append, large) for append in unit.appends]
        return SealedUnit(appends, large, unit.dispatch, unit.ledger)

    def _seal(self, append: Append, large: dict[str, bytes]) -> SealedAppend:
        stream = append.stream
        version, prev = append.expected
        records: list[Record] = []
        for event in append.events:
            version += 1
            topic = event.topic
            nonce = f"{self.writer}-{next(self._counter)}"
            state = encode(event, prev, nonce, self._build, large, (stream, version), self._cipher)
            records.append(Record(stream, version, topic, state))
            prev = event_hash(stream, version, topic, state)
        return SealedAppend(stream, append.expected, records, Head(version, prev))
