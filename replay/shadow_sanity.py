"""Whether a shadow simulation is well: five checks on what was seen in its folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ..core.checks import Check, overall
from .shadow_look import ShadowSeen
from .shadow_summary import COUNTED

Health = Literal["HEALTHY", "WARNING", "CRITICAL"]
"""How a simulation stands."""

STALE_SECONDS = 600.0
"""After so long without a record something is wrong, though the process lives."""

DISK_PERCENT = 90.0
"""A disk that is fuller is a warning."""

FULL_BYTES = 16 * 1024 * 1024
"""A disk with less than this left, or less than 1 %, or without a free inode, is full."""


class Disk(NamedTuple):
    """What is used of a file system, of what we may use, in percent; and what we may still use, in bytes and inodes."""

    percent: float
    free: int
    inodes: int
    free_ratio: float = 0.0

    @property
    def is_full(self) -> bool:
        """Whether hardly anything can be written any more."""
        return self.free < FULL_BYTES or self.percent > 99 or self.inodes == 0


def disk_of(folder: Path) -> Disk:
    """The file system that `folder` lies on. Raises OSError."""
    told = os.statvfs(folder)
    free, used = told.f_bavail * told.f_frsize, (told.f_blocks - told.f_bfree) * told.f_frsize
    # Some file systems (btrfs) have no fixed number of inodes, and say 0 of 0.
    inodes = told.f_favail if told.f_files else 1
    whole = max(used + free, 1)
    return Disk(100 * used / whole, free, inodes, free / whole)


def health_of(checks: Sequence[Check]) -> Health:
    """What the checks come to: warnings are told soon, what failed at once."""
    words: dict[str, Health] = {"ok": "HEALTHY", "warning": "WARNING", "failed": "CRITICAL"}
    return words[overall(checks)]


def sanity(
    seen: ShadowSeen, now: float, stale: float = STALE_SECONDS, age: float | None = None, metrics: str = ""
) -> list[Check]:
    """The five checks at the time `now` (since the epoch): process, mismatches, disk, activity, metrics.

    `stale` is in seconds. `age` is how old the latest record is by a clock that does not jump, where the caller has
    one; `metrics` says why the monitor's metrics could not be had.
    """
    if seen.state == "missing":
        there = f"there is no folder {seen.folder}"
        names = ("mismatches", "disk", "activity", "metrics")
        return [Check("process", "failed", 0, 1, "processes", there, "name the folder of the simulation by --folder"),
                *(Check(name, "failed", detail=there) for name in names)]  # fmt: skip
    return [
        _process(seen),
        _mismatches(seen),
        _disk(seen),
        _activity(seen, now, stale, age),
        _metrics(seen, metrics),
    ]


def _again(seen: ShadowSeen) -> str:
    return shlex.join(["refold", "shadow", "run", "--folder", str(seen.folder), *seen.options])


def _process(seen: ShadowSeen) -> Check:
    holder, fix = seen.holder, _again(seen)
    who = f"pid {holder.pid} on {holder.host}" if holder is not None and holder.pid else "its process"
    if seen.state == "running":
        return Check("process", "ok", 1, 1, "processes", f"{who} holds the folder")
    if seen.state == "ended":
        return Check(
            "process", "ok", 0, None, "processes", "it has come to its end; nothing is simulated any more", fix
        )
    told = {
        "missing": "there is none",
        "stopped": f"{who} was stopped by a signal, and nobody has gone on",
        "dead": f"{who} has died in the middle",
        "empty": "nothing was ever simulated here",
    }[seen.state]
    return Check("process", "failed", 0, 1, "processes", told, f"{fix} goes on where it was; shadow.log may say why")


def _mismatches(seen: ShadowSeen) -> Check:
    fix = f"refold shadow debug mismatches --folder {seen.folder}, then refold incident collect"
    if seen.mismatches:
        last = seen.found[-1]
        told = f"the latest in {last['tenant']}/{last['run_id']} ({last['check']})"
        return Check("mismatches", "failed", seen.mismatches, 0, "mismatches", told, fix)
    if seen.unreadable:
        told = f"{seen.unreadable} lines are no records, so nobody knows: {seen.faults[-1]}"
        return Check("mismatches", "failed", 0, 0, "mismatches", told, "keep the folder, and look into records.jsonl")
    return Check("mismatches", "ok", 0, 0, "mismatches", f"in {seen.cycles} cycles")


def _disk(seen: ShadowSeen) -> Check:
    fix = "make room: refold golden archive, refold store archive, or a larger disk"
    try:
        disk = disk_of(seen.folder)
    except OSError as error:
        return Check("disk", "failed", None, DISK_PERCENT, "%", error.strerror or "it cannot be looked at", fix)
    percent, left = round(disk.percent, 1), f"{disk.free // (1024 * 1024)} MiB are left"
    if disk.is_full:
        told = left if disk.inodes else f"{left}, but no inode"
        return Check("disk", "failed", percent, DISK_PERCENT, "%", f"it is full: {told}", fix)
    if disk.percent > DISK_PERCENT:
        return Check("disk", "warning", percent, DISK_PERCENT, "%", left, fix)
    return Check("disk", "ok", percent, DISK_PERCENT, "%", left)


def _activity(seen: ShadowSeen, now: float, stale: float, age: float | None) -> Check:
    known, future = seen.age(now)
    figure = known if age is None else age
    if figure is None:
        told = "nothing was recorded yet"
        return Check("activity", "ok" if seen.state == "running" else "warning", None, stale, "s", told)
    seconds = round(figure, 1)
    if seen.state == "ended":
        return Check("activity", "ok", seconds, None, "s", "it has come to its end")
    if age is None and future:
        told = "the latest record is of the future: the clock of this host was set back"
        return Check(
            "activity", "warning", seconds, stale, "s", told, "look at the clock: timedatectl; is NTP at work?"
        )
    if figure > stale:
        fix = f"refold shadow debug process --folder {seen.folder}; shadow.log says what it did last"
        return Check("activity", "warning", seconds, stale, "s", "nothing was recorded since then", fix)
    return Check("activity", "ok", seconds, stale, "s", "since the latest record")


def _metrics(seen: ShadowSeen, metrics: str) -> Check:
    """What others are told (the summary, the monitor's metrics) must be what the records come to."""
    fix = f"count the records: refold shadow status --folder {seen.folder}"
    if metrics:
        return Check("metrics", "warning", None, None, "", metrics, "refold shadow monitor stop, then start")
    told, cycles = seen.summary, seen.cycles
    if told is None:
        # It is written after the first cycle.
        state = "ok" if cycles <= 1 and seen.state in ("running", "empty") else "failed"
        return Check("metrics", state, None, cycles, "cycles", "there is no summary", "" if state == "ok" else fix)
    said = told.get("cycles")
    if said in (cycles - 1, cycles - 2) or seen.unreadable:
        return Check("metrics", "ok", None, cycles, "cycles", "the summary is about to follow the records")
    names = (*COUNTED, "mismatches")
    mine = {**{name: seen.counted[name] for name in COUNTED}, "mismatches": seen.mismatches, "cycles": cycles}
    wrong = [name for name in ("cycles", *names) if told.get(name) != mine[name]]
    value = said if type(said) is int else None
    if wrong:
        why = f"summary.json says otherwise than the records: {', '.join(wrong)}"
        return Check("metrics", "failed", value, cycles, "cycles", why, fix)
    return Check("metrics", "ok", value, cycles, "cycles", "the summary is what the records come to")
