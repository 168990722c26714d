"""A bound on how long a database may keep a call waiting.

A server that stands still (a stopped process, a frozen machine behind a live kernel) acknowledges every packet and
never answers; neither the driver nor TCP gives up on it. The watchdog shuts the socket down from outside, and the call
ends with the error of a lost connection.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress


class Watchdog:
    """One thread, started when first needed, that ends calls which last longer than `seconds`."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._calls: dict[object, tuple[float, Callable[[], int]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, descriptor: Callable[[], int]) -> Generator[None]:
        """Watch what is done within; `descriptor` gives the number of the connection's socket."""
        call = object()
        with self._lock:
            self._calls[call] = (time.monotonic() + self._seconds, descriptor)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="refold-watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._calls.pop(call, None)

    def _watch(self) -> None:
        while True:
            time.sleep(self._seconds / 10)
            with self._lock:
                overdue = [call for call, (limit, _) in self._calls.items() if time.monotonic() > limit]
                for call in overdue:
                    _, descriptor = self._calls.pop(call)
                    _shut_down(descriptor)


def _shut_down(descriptor: Callable[[], int]) -> None:
    # A copy: closing the driver's own descriptor under its feet could hit whoever gets the number next.
    with suppress(Exception), socket.socket(fileno=os.dup(descriptor())) as copy:
        copy.shutdown(socket.SHUT_RDWR)
