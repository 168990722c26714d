"""Closing what other threads may still be using."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from ..core.errors import StoreRefusedError


class Gate:
    """Lets calls through until it is closed, and closes only when the last of them has come back.

    A SQLite connection that is closed while another thread is within a call takes the process down with it; and a call
    made on a thread goes on after whoever awaited it has given up.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def passed(self) -> Generator[None]:
        """Be counted as inside. Raises StoreRefusedError once the gate is closed."""
        with self._changed:
            if self._closed:
                raise StoreRefusedError("the store is closed")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> bool:
        """Let nobody in any more and wait until all are out. False if it was closed before."""
        with self._changed:
            first, self._closed = not self._closed, True
            self._changed.wait_for(lambda: not self._inside)
        return first
