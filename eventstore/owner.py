"""Who holds a lease: a process, named so that another process of the same host can tell whether it still lives."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def this_process(instance: str) -> str:
    """The name of this process as an owner of leases: JSON of host, pid, start time and the `instance` within it."""
    pid = os.getpid()
    running = _status(pid)
    name = {"host": _host(), "instance": instance, "pid": pid, "start": running and running[1]}
    return json.dumps(name, sort_keys=True, separators=(",", ":"))


def is_dead(owner: str) -> bool:
    """Whether `owner` was a process of this host that has ended. False whenever that cannot be known."""
    try:
        name = json.loads(owner)
        host, pid, start = name["host"], name["pid"], name["start"]
    except (ValueError, KeyError, TypeError):
        return False
    if host != _host() or type(pid) is not int:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # It lives, and belongs to somebody else.
    running = _status(pid)
    # A zombie runs no code any more, and a process that began at another time only has the same number.
    return running is not None and (running[0] in "ZX" or (start is not None and running[1] != start))


def _host() -> str:
    """This machine since its last boot, and the PID namespace: only within both does a pid mean one process."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink(_PROC / "self/ns/pid"))
    return "/".join(parts)


def _status(pid: int) -> tuple[str, int] | None:
    """State and start time, in clock ticks since boot (proc(5), fields 3 and 22 of stat); None if not to be had."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])
