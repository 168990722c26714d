"""`refold certify determinism`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...replay.determinism import SEEDS
from ..certify_faults import FAULTS, inject_faults
from ..certify_processes import WORKFLOWS, compare_seeds, record_runs, replay_under_stress
from .faults import DIVERGED, OK
from .output import console, write_json
from .signals import run_until_stopped
from .streams import note


def certify_determinism(quick: bool, json: bool) -> int:
    """Do all three parts and tell what they came to; returns the exit code, DIVERGED where anything differs."""
    note("seeds on several processes ...")
    seeds = compare_seeds(SEEDS // 10 if quick else SEEDS)
    with tempfile.TemporaryDirectory(prefix="refold-certify-") as name:
        folder = Path(name)
        note("replays under stress ...")
        database = folder / "runs.db"
        wanted = WORKFLOWS // 5 if quick else WORKFLOWS
        stress = replay_under_stress(database, run_until_stopped(lambda: record_runs(database, wanted)))
        stress["workflows"] = wanted
        note(f"{len(FAULTS)} faults ...")
        faults = run_until_stopped(lambda: inject_faults(folder))
    report: dict[str, Any] = {"iterations": seeds, "stress": stress, "faults": _of_faults(faults)}
    ok = not any(part["mismatches"] for part in report.values())
    if json:
        write_json({"ok": ok, **report})
    else:
        _show(report)
    return OK if ok else DIVERGED


def _of_faults(faults: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "injected": len(faults),
        "categories": sorted({each["category"] for each in faults}),
        "mismatches": sum(bool(each["wrong"]) for each in faults),
        "each": faults,
    }


def _show(report: dict[str, Any]) -> None:
    seeds, stress, faults = report["iterations"], report["stress"], report["faults"]
    screen = console()
    table = Table("part", "what", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("mismatches", "seconds"):
        table.add_column(name, justify="right")
    what = f"{seeds['iterations']:,} iterations: {seeds['seeds']:,} seeds on {seeds['workers']} processes"
    table.add_row("seeds", what, _count(seeds["mismatches"]), f"{seeds['seconds']:.2f}")
    what = (
        f"{stress['workflows']} workflows, {stress['replays']} replays by {stress['replay_workers']} processes "
        f"beside {stress['stress_processes']} that compute"
    )
    table.add_row("stress", what, _count(stress["mismatches"]), f"{stress['seconds']:.2f}")
    what = f"{faults['injected']} faults of {len(faults['categories'])} categories"
    table.add_row("faults", what, _count(faults["mismatches"]), "")
    screen.print(table)
    each = Table("fault", "category", "code", "", box=SIMPLE_HEAD, pad_edge=False)
    for fault in faults["each"]:
        wrong = Text("; ".join(fault["wrong"]), "bold red") if fault["wrong"] else Text("proved", "green")
        each.add_row(fault["fault"], fault["category"], fault["code"], wrong)
    screen.print(each)


def _count(mismatches: int) -> Text:
    return Text(str(mismatches), "bold red" if mismatches else "green")
