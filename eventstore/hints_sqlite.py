"""Hints beside a SQLite file: within a process directly, to other processes by touching a small file.

SQLite tells nobody of a commit. `PRAGMA data_version` changes with every commit of another connection, but nearly all
of those are events of runs that somebody works on, and each would cost every worker a look at the dispatch rows. The
time of an empty file says when work last became due; touching it and looking at it cost a few microseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from .hints import Ear, LocalHints

_log = logging.getLogger(__name__)

SUFFIX = "-hint"
"""What the file's name has more than the database's, as SQLite's own `-wal` and `-shm` have."""

LOOK_SECONDS = 0.01
"""How often the file's time is looked at."""


class SQLiteHints:
    """For the database at `path`. The file may be removed at any time; the next hint makes it anew."""

    def __init__(self, path: Path):
        # As SQLite does it, so that processes which know the database by different names meet.
        self._file = Path(f"{path.resolve()}{SUFFIX}")
        self._local = LocalHints()

    def give(self) -> None:
        """Tell those who listen, here and in other processes."""
        self._local.give()
        try:
            self._file.touch()
        except OSError as error:
            _log.debug("no hint for other processes: %s", error)

    def listen(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Have `hear` called after a hint, from one thread or another; returns what ends it."""
        unheard = self._local.listen(hear)
        seen = self._touched()  # Not on the thread: whoever looks for work after this call misses nothing between.
        ear = Ear(lambda ear: self._watch(ear, hear, seen))

        def stop() -> None:
            unheard()
            ear.stop()

        return stop

    def _watch(self, ear: Ear, hear: Callable[[], None], seen: int) -> None:
        while not ear.stopped(LOOK_SECONDS):
            if (touched := self._touched()) != seen:
                seen = touched
                hear()

    def _touched(self) -> int:
        """When the file was last touched; 0 while there is none."""
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return 0
