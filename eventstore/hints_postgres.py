"""Hints through PostgreSQL: LISTEN on a connection of its own, NOTIFY after a commit and at most so often.

NOTIFY takes a lock of the whole server while its transaction commits; hence it is throttled, kept out of the appends'
transactions, and does not wait for the disk. The channel carries nothing: every listener looks for itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg

from .hints import Ear

_log = logging.getLogger(__name__)

CHANNEL = "refold_work"
"""What is listened to, in the database of the store."""

NOTIFY_SECONDS = 0.02
"""A process says no more than one thing in this time: who has heard one looks often for a while."""

NOTIFY = (
    "SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '100ms', true), "
    f"pg_notify('{CHANNEL}', '')"
).encode()
"""The settings are this one transaction's: a hint need not be durable, nor is it worth waiting for others' commits."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to connect again."""


class PostgresHints:
    """`send` executes `NOTIFY`; `connect` opens a connection that listens to the channel."""

    def __init__(self, send: Callable[[], None], connect: Callable[[], psycopg.Connection[Any]]):
        self._send = send
        self._connect = connect
        self._next = 0.0

    def give(self) -> None:
        """Tell every process that listens, unless this one has just done so."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + NOTIFY_SECONDS
            self._send()

    def listen(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called from a thread that survives restarts of the server; returns what ends it."""
        return Ear(lambda ear: self._listen(ear, hear)).stop

    def _listen(self, ear: Ear, hear: Callable[[], None]) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            try:
                with self._connect() as connection:
                    pause = _SHORTEST_PAUSE
                    hear()  # What was said while nobody listened is not said again.
                    while not ear.stopped(None, connection.fileno()):
                        if _heard(connection):
                            hear()
                    return
            except psycopg.Error as error:
                # Without its text: a connection string may hold a password.
                _log.debug("listening for work ended: %s", type(error).__name__)
            if ear.stopped(pause):
                return
            pause = min(pause * 2, _LONGEST_PAUSE)


def _heard(connection: psycopg.Connection[Any]) -> bool:
    """Whether there was a notification in what has come in. Raises psycopg.OperationalError when the server is gone."""
    connection.pgconn.consume_input()
    found = False
    while connection.pgconn.notifies() is not None:
        found = True
    return found
