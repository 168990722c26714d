"""Emergency stops that no store is needed for: by the environment for this process, by a file for this host."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG

from ..emergency import Scope, Stop
from .clock import SystemClock

VARIABLE = "WORKFLOW_EMERGENCY_STOP"
"""Set to 1, true, yes, or to anything but 0, false, no, off and nothing: the process is stopped as long as it lives."""

FILE_VARIABLE = "REFOLD_STOP_FILE"
"""Names a file: while it exists, this host is stopped. What it says is the reason."""

_OFF = {"", "0", "false", "no", "off"}

_REASON_CHARACTERS = 2_000


class LocalStops:
    """The stops of this process and host; the environment is read once, now."""

    def __init__(self) -> None:
        named = os.environ.get(FILE_VARIABLE)
        self._file = Path(named) if named else None
        self._by_file: Stop | None = None
        self._by_environment: Stop | None = None
        said = os.environ.get(VARIABLE, "").strip()
        if said.lower() not in _OFF:
            self._by_environment = Stop(
                Scope(), "finish", f"{VARIABLE}={said[:60]}", "", SystemClock().now(), "environment"
            )

    @property
    def has_file(self) -> bool:
        """Whether there is a file to look for."""
        return self._file is not None

    def look(self) -> tuple[Stop, ...]:
        """Those in force now. A file that cannot be looked for keeps its last state."""
        if self._file is not None:
            try:
                self._by_file = _said_by(self._file)
            except (FileNotFoundError, NotADirectoryError):
                self._by_file = None
            except OSError:
                pass
        return tuple(stop for stop in (self._by_environment, self._by_file) if stop is not None)


def _said_by(file: Path) -> Stop:
    """The stop that the file stands for. Raises OSError when it cannot be found."""
    found = file.stat()
    reason = ""
    if S_ISREG(found.st_mode):  # Opening a pipe would wait for a writer.
        try:
            with file.open(encoding="utf-8", errors="replace") as text:
                reason = text.read(_REASON_CHARACTERS).strip()
        except OSError:
            reason = "the stop file cannot be read"
    return Stop(Scope(), "finish", reason, "", found.st_mtime_ns // 1000, "file")
