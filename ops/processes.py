"""What Linux tells of processes (proc(5)): for people who look after them; nothing elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_STATES = {"R": "running", "S": "sleeping", "D": "waits for a disk", "Z": "zombie", "T": "stopped", "t": "traced"}


def family(pid: int) -> list[int]:
    """The process, and all that descend from it, by their numbers."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))) is not None:
            parents[int(entry.name)] = int(fields[1])
    found = {pid} if pid in parents else set[int]()
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def told(pid: int) -> dict[str, Any] | None:
    """What there is to say of a process; None if it is gone. What may not be looked at is None."""
    fields = _stat(pid)
    if fields is None:
        return None
    inodes = dict(_inodes(pid))
    return {
        "pid": pid,
        "role": _role(pid),
        "state": _STATES.get(fields[0], fields[0]),
        "memory_bytes": _memory(pid),
        "uptime_seconds": _uptime(int(fields[19])),
        "threads": int(fields[17]),
        "open_files": _open_files(pid),
        "locks": sorted(_locks(pid, inodes)),
    }


def _stat(pid: int) -> list[str] | None:
    """The fields of stat from the third on: state, parent, ..."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _role(pid: int) -> str:
    """The command's words up to its first option: options may hold what is secret."""
    with suppress(OSError):
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        if "shadow" in words:
            known = words[words.index("shadow") :]
            return " ".join(known[: next((at for at, word in enumerate(known) if word.startswith("-")), 3)][:3]).strip()
        return os.path.basename(words[0])
    return ""


def _memory(pid: int) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def _uptime(start_ticks: int) -> float | None:
    with suppress(OSError, ValueError, IndexError):
        since_boot = float((_PROC / "uptime").read_text().split()[0])
        return round(since_boot - start_ticks / os.sysconf("SC_CLK_TCK"), 1)
    return None


def _open_files(pid: int) -> int | None:
    try:
        return len(os.listdir(_PROC / str(pid) / "fd"))
    except OSError:
        return None


def _inodes(pid: int) -> Iterator[tuple[int, str]]:
    with suppress(OSError):
        for link in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                yield link.stat().st_ino, os.path.basename(os.readlink(link))


def _locks(pid: int, names: dict[int, str]) -> Iterator[str]:
    with suppress(OSError):
        for line in (_PROC / "locks").read_text().splitlines():
            fields = line.split()
            if "->" not in fields and len(fields) >= 6 and fields[4] == str(pid):
                inode = fields[5].rpartition(":")[2]
                if inode.isdecimal() and int(inode) in names:
                    yield f"{names[int(inode)]} ({fields[3].lower()})"
