"""`refold shadow status` and `sanity`."""

from __future__ import annotations

import time
from pathlib import Path

from rich.text import Text

from ...core.checks import Check, overall
from ...core.errors import CallError, Problem
from ...replay.shadow_look import ShadowSeen, look
from ...replay.shadow_sanity import health_of, sanity
from ...replay.shadow_summary import COUNTED
from ..monitor_place import metrics_fault
from .checks_told import tell_checks
from .faults import FAILED, OK
from .output import console, duration, plain, write_json

_STYLES = {"running": "bold green", "ended": "bold green", "stopped": "bold yellow", "dead": "bold red"}


def seen_in(folder: str) -> ShadowSeen:
    """What the folder holds. Raises CallError if there is none."""
    seen = look(Path(folder).absolute())
    if seen.state == "missing":
        reason = f"there is no folder {seen.folder}"
        raise CallError(Problem("", reason, "name that of a simulation by --folder"))
    return seen


def checked(folder: Path, stale: float) -> list[Check]:
    """The five checks on a folder, now."""
    return sanity(look(folder), time.time(), stale, metrics=metrics_fault(folder))


def status(folder: str, json: bool) -> int:
    """Write what the folder holds; returns the exit code."""
    seen = seen_in(folder)
    if json:
        write_json(seen.to_json(time.time()))
    else:
        tell_status(seen)
    return OK


def tell_status(seen: ShadowSeen) -> None:
    """The same for people."""
    screen, (age, future) = console(), seen.age(time.time())
    head = Text(seen.state, _STYLES.get(seen.state, "bold"))
    screen.print(head.append(f"  {plain(str(seen.folder))}", "not bold default"), soft_wrap=True)
    holder = seen.holder
    if holder is not None and holder.pid:
        lives = "lives" if holder.lives else "is gone"
        screen.print(plain(f"  process    {holder.pid} on {holder.host} {lives}"), soft_wrap=True)
    counts = ", ".join(f"{seen.counted[name]} {name.replace('_', ' ')}" for name in COUNTED)
    screen.print(f"  cycles     {seen.cycles} in {seen.sessions} sessions: {counts}", soft_wrap=True)
    found = Text("  mismatches ").append(str(seen.mismatches), "bold red" if seen.mismatches else "green")
    screen.print(found, soft_wrap=True)
    if age is not None:
        told = "in the future, by this host's clock" if future else f"{duration(int(age * 1_000_000))} ago"
        screen.print(plain(f"  latest     {seen.updated_at}, {told}"), soft_wrap=True)
    if seen.half:
        screen.print(f"  half a record ({seen.half} bytes) stands at the end; the next run drops it", soft_wrap=True)
    for fault in seen.faults:
        screen.print(Text("  fault      ").append(plain(fault), "red"), soft_wrap=True)


def sane(folder: str, stale: float, json: bool) -> int:
    """Write the five checks; returns the exit code."""
    path = Path(folder).absolute()
    checks = checked(path, stale)
    tell_checks(checks, json, {"folder": str(path), "state": health_of(checks)})
    return FAILED if overall(checks) == "failed" else OK
