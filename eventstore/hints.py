"""Hints that runs may have become due, so that workers need not wait for their next look.

A hint may be lost, late or needless: the dispatch rows alone say what there is to do, and workers look at them anyway.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Sequence

from ..core.ports import Schedule, Wake
from .sealing import SealedUnit

STOP_SECONDS = 6.0
"""How long to wait for a listening thread to end; one that is connecting just then ends a little later by itself."""


def makes_due(units: Sequence[SealedUnit], now: int) -> bool:
    """Whether one of `units` left a run that anybody may work on at `now` (microseconds since the epoch)."""
    return any(
        isinstance(change, Wake) or (isinstance(change, Schedule) and not change.lease_seconds and change.due <= now)
        for unit in units
        for change in unit.dispatch
    )


class LocalHints:
    """Hints within a process."""

    def __init__(self) -> None:
        self._hear: dict[object, Callable[[], None]] = {}

    def give(self) -> None:
        """Tell all who listen."""
        for hear in list(self._hear.values()):
            hear()

    def listen(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called by whoever gives a hint; returns what ends that."""
        key = object()
        self._hear[key] = hear
        return lambda: self._hear.pop(key, None) and None


class Ear:
    """A thread that listens for hints, in `listen`, until `stop` is called."""

    def __init__(self, listen: Callable[[Ear], None]):
        # The thread owns the end that is read and `stop` the other one, whose closing is the message.
        self._read, self._write = os.pipe()
        self._listen = listen
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="refold-ear", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; does nothing the second time."""
        if not self._stopped:
            self._stopped = True
            os.close(self._write)
            self._thread.join(STOP_SECONDS)

    def stopped(self, seconds: float | None, *descriptors: int) -> bool:
        """Wait until one of `descriptors` can be read, at most `seconds`; True when it is time to end."""
        # Not select(): it knows no descriptor above 1023.
        poll = select.poll()
        for descriptor in (self._read, *descriptors):
            poll.register(descriptor, select.POLLIN)
        found = poll.poll(None if seconds is None else seconds * 1000)
        return any(descriptor == self._read for descriptor, _ in found)

    def _run(self) -> None:
        try:
            self._listen(self)
        finally:
            os.close(self._read)
