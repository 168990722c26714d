"""Whether a connection of the pool still leads to a server."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

from .watchdog import Watchdog

_TRUSTED_SECONDS = 1.0
"""A connection that has answered so recently is not asked again, unless the server has said something unasked."""


def check_of(watchdog: Watchdog) -> Callable[[psycopg.Connection[Any]], None]:
    """What fails for a connection that a restarted server has left behind, so that the pool replaces it.

    Asking costs as much as most queries do, so it is not done before each of them; that a server has gone can be read
    from the socket.
    """
    trusted: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()

    def check(connection: psycopg.Connection[Any]) -> None:
        now = time.monotonic()
        if now < trusted.get(connection, 0.0) and not _has_spoken(connection):
            return
        with watchdog.over(connection.fileno):
            connection.execute("")
        trusted[connection] = now + _TRUSTED_SECONDS

    return check


def _has_spoken(connection: psycopg.Connection[Any]) -> bool:
    """Whether there is something to read: that the server has gone, most likely."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
