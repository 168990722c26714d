"""What may take its time to find out, asked on a thread of its own and kept for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from ...core.errors import RefoldError

T = TypeVar("T")

MOST_KEPT_SECONDS = 20.0
"""What took long to find out is kept for longer, but not for longer than that."""

_log = logging.getLogger(__name__)


class Found(NamedTuple, Generic[T]):
    """What was found, None if that failed, and when it was begun to look for, by the monotonic clock."""

    value: T | None
    at: float


class Asking(Generic[T]):
    """Finds something out for whoever asks, and keeps it for `fresh` seconds, or 20 times as long as it took.

    With `ahead` it goes on looking by itself for so many seconds after it was asked for the last time, and calls `left`
    when it stops.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], T],
        fresh: float,
        *,
        ahead: float = 0.0,
        left: Callable[[], object] = lambda: None,
    ):
        self._name = name
        self._look = look
        self._fresh = self._keeps = fresh
        self._ahead = ahead
        self._left = left
        self._changed = threading.Condition()
        self._asked = -1e9
        self._found: Found[T] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def get(self, patience: float) -> Found[T] | None:
        """What is fresh, after `patience` seconds at most; else what was found last, however long ago, if anything."""
        with self._changed:
            self._asked = time.monotonic()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            self._changed.wait_for(self._is_fresh, patience)
            return self._found

    def close(self) -> None:
        """Look no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(1.0)

    def _is_fresh(self) -> bool:
        return self._closed or (self._found is not None and time.monotonic() - self._found.at < self._keeps)

    def _run(self) -> None:
        ahead = False
        while (turn := self._next(ahead)) is not None:
            if turn:
                began = time.monotonic()
                value = self._tried()
                took = time.monotonic() - began
                with self._changed:
                    self._found = Found(value, began)
                    self._keeps = self._fresh if value is None else min(max(self._fresh, 20 * took), MOST_KEPT_SECONDS)
                    self._changed.notify_all()
            elif ahead:
                self._leave()
            ahead = turn and self._ahead > 0
        if ahead:
            self._leave()

    def _next(self, ahead: bool) -> bool | None:
        """Wait until it is time to look, or no more to be done `ahead` (False); None when it is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                last = -1e9 if self._found is None else self._found.at
                due = last + self._keeps
                wanted = self._asked > last or now - self._asked < self._ahead
                if wanted and now >= due:
                    return True
                if ahead and not wanted:
                    return False
                self._changed.wait(max(due - now, 0.01) if wanted else None)
            return None

    def _tried(self) -> T | None:
        try:
            return self._look()
        except RefoldError as error:
            _log.info("%s: %s", self._name, error)
        except Exception:
            _log.warning("%s failed", self._name, exc_info=True)
        return None

    def _leave(self) -> None:
        try:
            self._left()
        except RefoldError as error:
            _log.info("%s: %s", self._name, error)
