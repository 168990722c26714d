"""A file that says which process holds a folder, and that is locked as long as that process lives.

The lock (flock(2)) goes with the process, however that ends, so nobody has to believe a number that a dead process has
left, or that another process has by now.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import RunOwnedError
from ..eventstore.owner import is_dead, this_process
from ..projections.times import iso

_TRIES, _PAUSE_SECONDS = 5, 0.02
"""Who looks whether a file is locked holds it for a moment himself: whoever wants it tries again."""

_LONGEST = 1000
"""Bytes that are read of such a file."""


class Holder(NamedTuple):
    """Who holds a file, or held it last; `lives` is whether it is held now."""

    lives: bool
    host: str
    pid: int
    at: str
    told: Mapping[str, Any]
    """All that the file says; nothing of it where it cannot be read."""

    @property
    def is_here(self) -> bool:
        """Whether `pid` is a process of this machine (and PID namespace) that lives, and no other of that number."""
        mine: dict[str, Any] = json.loads(this_process(""))
        name = {"host": self.told.get("owner"), "pid": self.pid, "start": self.told.get("start")}
        return name["host"] == mine["host"] and self.pid > 0 and not is_dead(json.dumps(name))


class PidFile:
    """The file at `path`, held by this process until `close`. Raises RunOwnedError when another one holds it (`what`
    says what that is), OSError when it cannot be used."""

    def __init__(self, path: Path, what: str, more: Mapping[str, Any] | None = None):
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            self._take(path, what)
            me = json.loads(this_process(""))
            # The host and start time of leases, and of the host the part that people know.
            told = {"host": os.uname().nodename, "pid": me["pid"], "start": me["start"], "owner": me["host"],
                    "at": iso(time.time_ns() // 1000), **(more or {})}  # fmt: skip
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, json.dumps(told).encode() + b"\n", 0)
            os.fsync(self.descriptor)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it; the file stays."""
        os.close(self.descriptor)

    def _take(self, path: Path, what: str) -> None:
        for number in range(_TRIES):
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if number + 1 < _TRIES:
                    time.sleep(_PAUSE_SECONDS)
        told = os.pread(self.descriptor, _LONGEST, 0).decode(errors="replace").strip()
        raise RunOwnedError(f"another {what} holds {path.parent}: {told}")


def holder_of(path: Path) -> Holder | None:
    """Who holds the file at `path`, or did; None if there is none. Raises OSError for what is no file that can be
    read, and never waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is no file")
        return _holder(_is_held(descriptor), os.pread(descriptor, _LONGEST, 0))
    finally:
        os.close(descriptor)


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _holder(lives: bool, data: bytes) -> Holder:
    try:
        told: Any = json.loads(data)
        pid = told["pid"]
        return Holder(lives, str(told["host"])[:200], pid if type(pid) is int else 0, str(told["at"])[:40], told)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Holder(lives, "", 0, "", {})
