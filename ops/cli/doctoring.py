"""`refold doctor`: the looks are had done and shown."""

from __future__ import annotations

import os
from typing import NamedTuple

from rich.text import Text

from ...compose import database_url
from ...core.checks import Check, State, overall
from ..doctor.examining import STORE, Examination, cure, examine
from ..doctor.looks import LOOKS, SCHEMA
from ..doctor.patient import Patient
from .faults import FAILED, OK, UNREACHABLE, Hidden
from .output import console, plain, write_json
from .signals import stragglers

_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warning": ("warning", "bold yellow"),
    "failed": ("FAILED", "bold red"),
}


class Wanted(NamedTuple):
    """The options of the command."""

    fix: bool
    strict: bool
    host: str
    port: int
    timeout: float
    database: str | None
    json: bool


def see(wanted: Wanted) -> int:
    """Look, cure if that is wanted, look again, and tell; returns the exit code."""
    url = database_url(wanted.database)
    hide = Hidden([url])
    given = wanted.database is not None
    named = given or "REFOLD_DATABASE_URL" in os.environ
    patient = Patient(url, given, named, wanted.host, wanted.port, wanted.timeout, hide)
    found = examine(patient, LOOKS)
    done: list[str] = []
    if wanted.fix and not found.hung and overall(found.checks) != "ok":
        done = cure(patient, LOOKS, found.checks)
        found = examine(patient, LOOKS) if done else found
    _tell(found.checks, done, wanted.json)
    # Who waits for a database that is silent would wait for ever.
    stragglers.extend(found.hung)
    if not found.hung:
        patient.close()
    return _code(found, wanted.strict)


def _code(found: Examination, strict: bool) -> int:
    if any(check.name == STORE and check.failed for check in found.checks):
        return UNREACHABLE
    state = overall(found.checks)
    return FAILED if state == "failed" or (strict and state == "warning") else OK


def _tell(checks: list[Check], done: list[str], json: bool) -> None:
    state = overall(checks)
    counts = {name: sum(check.state == name for check in checks) for name in ("ok", "warning", "failed")}
    if json:
        for check in checks:
            write_json(check.to_json())
        write_json({"state": state, **{f"checks_{name}": number for name, number in counts.items()}, "done": done})
        return
    screen = console()
    for did in done:
        screen.print(Text("done     ", "bold cyan").append(plain(did), "not bold default"), soft_wrap=True)
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark, style = _MARKS[check.state]
        line = Text(f"{mark:<9}", style).append(f"{plain(check.name):<{width}}  ", "not bold default")
        said = "" if check.state != "ok" else plain(check.detail)
        screen.print(line.append("  ".join(filter(None, (figure(check), said))), "not bold default"), soft_wrap=True)
        if check.state != "ok":
            screen.print(f"         {plain(check.detail)}", soft_wrap=True)
            screen.print(Text("         fix: ").append(plain(check.fix), "bold"), soft_wrap=True)
    what = f"{counts['ok']} ok, {counts['warning']} warnings, {counts['failed']} failed"
    if any(check.state != "ok" and check.name in (STORE, SCHEMA) for check in checks):
        what += "; what stands on that was not looked at"
    screen.print(Text(_MARKS[state][0], _MARKS[state][1]).append(f"  {what}", "not bold default"), soft_wrap=True)


def figure(check: Check) -> str:
    """The figure for people, in a unit that reads well; "" without one."""
    if check.value is None:
        return ""
    if check.unit == "bytes":
        return f"{check.value / 2**30:.1f} GiB free"
    if check.unit == "s":
        return f"{check.value * 1000:.0f} ms" if check.value < 1 else f"{check.value:.1f} s"
    number = f"{check.value:g}" if check.value < 1e6 else f"{check.value:.0f}"
    return f"{number} {check.unit}".rstrip()
