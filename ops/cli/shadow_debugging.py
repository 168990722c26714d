"""`refold shadow debug`: the views of a simulation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...core.checks import Check
from ...core.errors import CallError, GoldenStoreError, InvalidError, Problem
from ...core.ids import check_run_id, check_tenant
from ...projections.golden_files import GoldenFolder
from ...projections.golden_keys import GoldenKeys
from ...projections.golden_recorder import GoldenRecorder
from ...replay.shadow_look import ShadowSeen
from ...replay.shadow_sanity import STALE_SECONDS
from ...replay.shadow_summary import COUNTED
from ...replay.shadow_workload import MODULE
from ..processes import family, told
from .checks_told import tell_checks
from .faults import BROKEN, OK
from .fleet_options import FleetOptions
from .output import console, duration, plain, write_json
from .progress import watched
from .replaying import replay_one
from .shadow_looking import checked, seen_in, tell_status
from .streams import note

Row = dict[str, Any]
"""A line of a view."""


def show(folder: str, views: Sequence[str], lines: int, json: bool) -> int:
    """Write the views; returns the exit code."""
    seen = seen_in(folder)
    several, code = len(views) > 1, OK
    if several and not json:
        tell_status(seen)
    for view in views:
        if view == "checks":
            _checks(checked(seen.folder, STALE_SECONDS), json)
            continue
        rows = list(_VIEWS[view](seen, lines))
        if view == "golden" and any(row.get("broken") for row in rows):
            code = BROKEN
        if json:
            for row in rows:
                write_json({"view": view, **row} if several else row)
            continue
        if several:
            console().print(Text(f"\n{view}", "bold"))
        _TOLD[view](rows)
    if seen.faults and not json:
        for fault in seen.faults:
            note(f"note: {plain(fault)}")
    return code


def _checks(checks: Sequence[Check], json: bool) -> None:
    if json:
        for each in checks:
            write_json({"view": "checks", **each.to_json()})
    else:
        tell_checks(checks, False)


def _tail(seen: ShadowSeen, lines: int) -> Iterator[Row]:
    yield from islice(seen.records, max(len(seen.records) - lines, 0), None)


def _tell_tail(rows: Sequence[Row]) -> None:
    for row in rows:
        names = ("cycle", "stretch", "seconds", *COUNTED, "workers", "sent", "tries", "error")
        parts = [f"{name.replace('_', ' ')} {row[name]}" for name in names if row.get(name) not in (None, "")]
        if row["type"] == "cycle":
            parts.append(f"mismatches {len(row['mismatches'])}")
        console().print(plain(f"{row['at']}  {row['type']:<8} {', '.join(parts)}"), soft_wrap=True)


def _cycles(seen: ShadowSeen, lines: int) -> Iterator[Row]:
    for each in islice(seen.last_cycles, max(len(seen.last_cycles) - lines, 0), None):
        yield {"cycle": each.number, "at": each.at, "tenant": each.tenant, "seconds": each.seconds, **each.counted,
               "mismatches": len(each.mismatches), "faults": each.faults, "revived": each.revived}  # fmt: skip


def _tell_cycles(rows: Sequence[Row]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("cycle", "ended (UTC)", "took", *(name.replace("_", " ") for name in COUNTED), "mismatches"):
        table.add_column(name, justify="left" if "ended" in name else "right")
    for name in ("faults", "ended by themselves"):
        table.add_column(name, overflow="fold")
    for row in rows:
        bad = Text(str(row["mismatches"]), "bold red" if row["mismatches"] else "green")
        faults = ", ".join(f"{name} {count}" for name, count in row["faults"].items())
        table.add_row(
            str(row["cycle"]), plain(row["at"][:19].replace("T", " ")), duration(int(row["seconds"] * 1_000_000)),
            *(str(row[name]) for name in COUNTED), bad, plain(faults), plain("; ".join(row["revived"])),
        )  # fmt: skip
    console().print(table if rows else "no cycles")


def _mismatches(seen: ShadowSeen, lines: int) -> Iterator[Row]:
    yield from islice(seen.found, max(len(seen.found) - lines, 0), None)


def _tell_mismatches(rows: Sequence[Row]) -> None:
    for row in rows:
        head = Text(f"cycle {row['cycle']}", "bold").append(plain(f"  {row['tenant']}/{row['run_id']}"), "not bold")
        console().print(head.append(plain(f"  {row['check']}"), "bold red"), soft_wrap=True)
        console().print(f"  {plain(row['message'])}", soft_wrap=True)
        if row["run_id"]:
            again = f"refold shadow debug replay {row['tenant']}/{row['run_id']}"
            console().print(Text("  ").append(plain(again), "dim"), soft_wrap=True)
    if not rows:
        console().print(Text("no mismatches", "green"))


def _goldens(seen: ShadowSeen, _lines: int) -> Iterator[Row]:
    goldens, keys = GoldenFolder(seen.folder / "goldens"), seen.folder / "keys.json"
    tenants = goldens.tenants()
    if not tenants:
        return
    try:
        recorder = GoldenRecorder(goldens, GoldenKeys.load(keys))
    except InvalidError as error:
        yield {"tenant": "", "goldens": 0, "broken": 1, "faults": [str(error)]}
        return
    with watched("verifying") as tell:
        for number, tenant in enumerate(tenants, 1):
            tell(number, len(tenants))
            faults: list[str] = []
            count = 0
            try:
                for name, run_id in recorder.runs(tenant):
                    count += 1
                    bad = ["it does not name its run"] if run_id is None else _faults(recorder, run_id, tenant)
                    faults += [f"{run_id or name}: {fault}" for fault in bad]
            except GoldenStoreError as error:
                faults.append(str(error))
            yield {"tenant": tenant, "goldens": count, "broken": len(faults), "faults": faults}


def _faults(recorder: GoldenRecorder, run_id: str, tenant: str) -> list[str]:
    return [str(fault) for fault in recorder.verify_golden(run_id, tenant).faults]


def _tell_goldens(rows: Sequence[Row]) -> None:
    count, bad = sum(row["goldens"] for row in rows), sum(row["broken"] for row in rows)
    head = Text("broken", "bold red") if bad else Text("intact", "bold green")
    told = f"  {count} goldens of {len(rows)} cycles; not intact: {bad}"
    console().print(head.append(told, "not bold default") if rows else "no goldens", soft_wrap=True)
    for row in rows:
        for fault in row["faults"]:
            console().print(Text(f"  {plain(row['tenant'])}: ").append(plain(fault), "red"), soft_wrap=True)


def _processes(seen: ShadowSeen, _lines: int) -> Iterator[Row]:
    holder = seen.holder
    if holder is None or not holder.pid:
        return
    if not (holder.lives and holder.is_here):
        yield {"pid": holder.pid, "host": holder.host, "state": "not on this host" if holder.lives else "gone"}
        return
    for pid in family(holder.pid):
        if (process := told(pid)) is not None:
            yield {"host": holder.host, **process}


def _tell_processes(rows: Sequence[Row]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("pid", "what", "state", "memory", "up", "threads", "open files", "locks"):
        table.add_column(name, justify="left" if name in ("what", "state", "locks") else "right", overflow="fold")
    for row in rows:
        if "role" not in row:
            console().print(plain(f"process {row['pid']} of {row['host']}: {row['state']}"), soft_wrap=True)
            return
        memory, up = row["memory_bytes"], row["uptime_seconds"]
        table.add_row(
            str(row["pid"]), plain(row["role"]), row["state"],
            "–" if memory is None else f"{memory / 1024 / 1024:.0f} MiB",
            "–" if up is None else duration(int(up * 1_000_000)),
            str(row["threads"]), "–" if row["open_files"] is None else str(row["open_files"]),
            plain(", ".join(row["locks"])),
        )  # fmt: skip
    console().print(table if rows else "no process was ever here")


_VIEWS: dict[str, Callable[[ShadowSeen, int], Iterator[Row]]] = {
    "tail": _tail,
    "cycles": _cycles,
    "mismatches": _mismatches,
    "golden": _goldens,
    "process": _processes,
}
_TOLD: dict[str, Callable[[Sequence[Row]], None]] = {
    "tail": _tell_tail,
    "cycles": _tell_cycles,
    "mismatches": _tell_mismatches,
    "golden": _tell_goldens,
    "process": _tell_processes,
}


def replay_again(folder: str, named: str, modules: Sequence[str], database: str | None, json: bool) -> int:
    """Prove a run of the simulation again; returns the exit code."""
    seen = seen_in(folder)
    tenant, run_id = _run(seen, named)
    goldens, keys = seen.folder / "goldens", seen.folder / "keys.json"
    kept = goldens.is_dir() and keys.is_file()
    given = FleetOptions(
        [MODULE, *modules], None, None, None, None, 0, "chain,fold,decisions,execution", None, None, None, None, None,
        "diverged,broken", False, None, None, None, str(goldens) if kept else None, str(keys) if kept else None,
        tenant, database or _own_database(seen.folder), json,
    )  # fmt: skip
    if not json:
        console().print(Text(plain(f"{tenant}/{run_id}"), "dim"), soft_wrap=True)
    return replay_one(run_id, given)


def _own_database(folder: Path) -> str:
    path = folder / "shadow.db"
    if not path.exists():
        fix = "a simulation with --database needs it here too"
        raise CallError(Problem("", f"there is no database {path}", fix))
    return f"sqlite:///{path}"


def _run(seen: ShadowSeen, named: str) -> tuple[str, str]:
    """Tenant and id of the run that is meant. Raises CallError."""
    where, slash, run_id = named.partition("/")
    if slash:
        tenant = f"cycle-{int(where):06}" if re.fullmatch(r"[0-9]{1,9}", where) else where
        return check_tenant(tenant), check_run_id(run_id)
    check_run_id(named)
    found = next((each["tenant"] for each in reversed(seen.found) if each["run_id"] == named), None)
    if found is None and seen.last_cycles:
        found = seen.last_cycles[-1].tenant
    if found is None:
        reason = "there are no cycles yet in which such a run could be"
        raise CallError(Problem("", reason, "see: refold shadow debug cycles"))
    return check_tenant(found), named
