"""What every engine and worker knows of emergency stops: looked at four times a second, on threads of its own.

An event loop that is kept busy, or threads that all wait for the store, must not delay a stop. Whoever asks is answered
from memory. While the store is away the last that was seen counts.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from ..emergency import NO_STOPS, Stop, Stops
from ..errors import EmergencyStopError, IntegrityError, RefoldError
from ..events import RunStarted
from ..ids import EMERGENCY
from ..ports import EMPTY, Head, RunLog
from .local_stops import LocalStops

LOOK_SECONDS = 0.25
"""How often the store and the stop file are looked at."""

_IDLE_SECONDS = 1.0
"""For how long it goes on looking when nothing lives here any more: soon the next run may begin."""

_CLOSE_SECONDS = 6.0
_TRIES = 100

_log = logging.getLogger(__name__)


def read_stops(log: RunLog) -> tuple[Stops, Head]:
    """The recorded stops and the head of their stream, taken at the same point; blocks. Raises IntegrityError."""
    for _ in range(_TRIES):
        head = log.head(EMERGENCY)
        events = log.events(EMERGENCY) if head != EMPTY else []
        if len(events) == head.version:
            return Stops.of(events), head
    raise IntegrityError(f"the events of {EMERGENCY} do not fit its head: run refold verify --all")


class EmergencyWatch:
    """The stops in force, as last seen. Thread-safe; its threads live while somebody keeps it, and a little longer.

    The file has a thread of its own: a store that stands still must not keep anybody from seeing it.
    """

    def __init__(self, log: RunLog):
        self._log = log
        self.local = LocalStops()
        self._stops = NO_STOPS.beside(self.local.look())
        self._head: Head | None = None
        self._looked = float("-inf")
        self._changed: dict[object, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._publishing = threading.Lock()
        self._stirred = threading.Event()
        self._looks = [(self._look_at_store, self._stirred)]
        if self.local.has_file:
            self._looks.append((self._look_here, threading.Event()))
        self._threads: list[threading.Thread] = []
        self._kept = 0.0
        self._closed = False

    @property
    def stops(self) -> Stops:
        """The stops in force, as last seen."""
        return self._stops

    def covering(self, started: RunStarted) -> Stop | None:
        """The stop under which the run stands that began so."""
        stops = self._stops
        return stops.covers(started.tenant, started.workflow_type, started.queue) if stops.any else None

    async def check(self, started: RunStarted) -> None:
        """Raises EmergencyStopError when the run must not go on, by a look at the store that is a moment old at most.

        Raises StoreUnreachableError, IntegrityError when it cannot be looked at.
        """
        old = self._looked + LOOK_SECONDS < time.monotonic()
        if old or self.covering(started) is not None:
            await asyncio.to_thread(self.look)  # Nobody is refused for what has just been released.
        stop = self.covering(started)
        if stop is not None:
            raise refusal(started, stop)

    @property
    def ready(self) -> bool:
        """Whether the store has been looked at, ever."""
        return self._head is not None

    def keep(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Look from now on, and call `changed` after every change, from another thread; returns what ends that."""
        key = object()
        with self._lock:
            self._changed[key] = changed
            if not self._threads and not self._closed:
                self._threads = [
                    threading.Thread(target=self._run, args=look, name="refold-emergency", daemon=True)
                    for look in self._looks
                ]
                for thread in self._threads:
                    thread.start()

        def end() -> None:
            with self._lock:
                self._changed.pop(key, None)
                self._kept = time.monotonic()

        return end

    def close(self) -> None:
        """End the threads; blocks until they have ended, but not for ever."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        for _, stirred in self._looks:
            stirred.set()
        for thread in threads:
            thread.join(_CLOSE_SECONDS)

    def look(self) -> None:
        """Look now; blocks. Raises StoreUnreachableError, IntegrityError."""
        self._look_here()
        self._look_at_store()

    def _look_here(self) -> None:
        local = self.local.look()
        with self._publishing:
            if local != self._stops.local:
                self._publish(self._stops.beside(local))

    def _look_at_store(self) -> None:
        with self._looking:  # Of two looks the older one must not come last.
            head = self._log.head(EMERGENCY)
            if head != self._head:
                stops, head = (NO_STOPS, head) if head == EMPTY else read_stops(self._log)
                with self._publishing:
                    self._publish(stops.beside(self._stops.local), head)
            self._looked = time.monotonic()

    def _publish(self, stops: Stops, head: Head | None = None) -> None:
        before, self._stops = self._stops, stops
        # Who has asked before anything was known claims nothing, and must be told that it is known now.
        first = self._head is None and head is not None
        self._head = head or self._head
        if stops == before and not first:
            return
        with self._lock:
            listeners = list(self._changed.values())
        for changed in listeners:
            changed()

    def _run(self, look: Callable[[], None], stirred: threading.Event) -> None:
        failed = False
        while True:
            stirred.clear()
            try:
                look()
                failed = False
            except Exception as error:  # The thread must outlive whatever the store does.
                if not failed and not self._closed:
                    unforeseen = None if isinstance(error, RefoldError) else error
                    _log.warning("emergency stops: %s; the last known ones count", error, exc_info=unforeseen)
                failed = True
            with self._lock:
                idle = not self._changed and time.monotonic() - self._kept > _IDLE_SECONDS
                mine = threading.current_thread() in self._threads
                if self._closed or idle or not mine:
                    if mine:
                        self._threads = []  # Its twin ends likewise.
                    return
            stirred.wait(LOOK_SECONDS)


@contextmanager
def heeding(watch: EmergencyWatch | None, heed: Callable[[], None]) -> Generator[None]:
    """Within, look out for emergency stops, and have `heed` called on this event loop at once and after each change."""
    if watch is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def changed() -> None:
        with suppress(RuntimeError):  # The loop was closed.
            loop.call_soon_threadsafe(heed)

    end = watch.keep(changed)
    heed()  # What changed before anybody was there to be told.
    try:
        yield
    finally:
        end()


def refusal(started: RunStarted, stop: Stop) -> EmergencyStopError:
    """Why the run does not go on."""
    return EmergencyStopError(f"run {started.run_id} does not go on: {stop}")
