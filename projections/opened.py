"""Events decoded once for all projections of a process, which read the same part of the log at about the same time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from ..core.events import Event
from ..core.ports import Record
from ..eventstore.codec import decode, open_envelope, points_away

KEPT, KEPT_BYTES = 10_000, 8 * 1024 * 1024
"""So many events are kept, the latest decoded, and no more than so many bytes of them, as they are stored: some pages,
for projections of one process are seldom farther apart."""


class Opened(NamedTuple):
    """An event, and the build that recorded it. Shared among threads: it is only read."""

    event: Event
    build: str


class OpenedEvents:
    """Opens records; those opened lately, by whatever projection, are at hand.

    Whoever works on a page holds `turn`: side by side all would decode the same events at the same time, and hinder one
    another.
    """

    def __init__(self, kept: int = KEPT, kept_bytes: int = KEPT_BYTES):
        self.turn = threading.Lock()
        self._kept = kept
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._known: OrderedDict[tuple[str, int], tuple[bytes, Opened]] = OrderedDict()

    def open(self, record: Record, large: Mapping[str, bytes]) -> Opened:
        """The event of a record; `large` holds the content-addressed rows it points to. Raises IntegrityError."""
        key = record.stream, record.version
        known = self._known.get(key)
        if known is not None and known[0] == record.state:
            return known[1]
        opened = opened_of(record, large)
        if points_away(record):  # What lies elsewhere because it is large is better read again.
            return opened
        if known is not None:
            self._bytes -= len(known[0])
        self._known[key] = record.state, opened
        self._bytes += len(record.state)
        while len(self._known) > self._kept or self._bytes > self._kept_bytes:
            _, (state, _) = self._known.popitem(last=False)
            self._bytes -= len(state)
        return opened


def opened_of(record: Record, large: Mapping[str, bytes]) -> Opened:
    """The event of a record, decoded now. Raises IntegrityError."""
    envelope = open_envelope(record)
    return Opened(decode(record, large, envelope), envelope.build)
