"""The report of a soak: `report.md` for people, `report.json` for programs."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from .journal import Fault
from .judging import Verdict

MEBIBYTE = 1 << 20


def write_report(folder: Path, verdict: Verdict) -> None:
    """Write both."""
    (folder / "report.md").write_text(as_markdown(verdict))
    (folder / "report.json").write_text(json.dumps(as_json(verdict), indent=1) + "\n")


def as_json(verdict: Verdict) -> dict[str, Any]:
    """All that is known."""
    growths = [{**growth._asdict(), "life": growth.life._asdict(), "share": growth.share} for growth in verdict.growths]
    return {**asdict(verdict), "fine": verdict.fine, "growths": growths}


def as_markdown(verdict: Verdict) -> str:
    """Tables."""
    lines = [f"# Soak of {verdict.seconds / 60:.0f} minutes, seed {verdict.seed}", ""]
    lines += ["All is as it must be." if verdict.fine else "**Not all is as it must be:**"]
    lines += [f"- {failure}" for failure in verdict.failures[:50]]
    lines += ["", "| fault | times | alert | fired after, median (max) | gone after the cure, median (max) |"]
    lines += ["| --- | --- | --- | --- | --- |", *_fault_rows(verdict)]
    if verdict.without:
        lines += ["", f"Left out, for this machine does not allow them: {', '.join(verdict.without)}."]
    if not verdict.alerts:
        lines += ["", "Alerts were not looked at."]
    ended = ", ".join(f"{count} {status}" for status, count in sorted(verdict.ended.items()))
    lines += ["", f"Runs started {verdict.started}; with children {sum(verdict.ended.values())}: {ended}."]
    lines += [f"Events {verdict.events}. Ended by themselves: {len(verdict.deaths)}.", ""]
    lines += [f"- {name}: {json.dumps(told)[:300]}" for name, told in verdict.proofs.items()]
    lines += [
        "",
        "| process | samples | MiB then | MiB now | second half | peak |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for growth in sorted(verdict.growths, key=lambda each: each.life):
        sizes = f"{growth.first / MEBIBYTE:.1f} | {growth.last / MEBIBYTE:.1f}"
        share = f"{growth.share:+.1%}{'' if growth.judged else ' (not judged)'}"
        life = f"{growth.life.name} ({growth.life.pid})"
        lines.append(f"| {life} | {growth.samples} | {sizes} | {share} | {growth.peak / MEBIBYTE:.1f} |")
    return "\n".join(lines) + "\n"


def _fault_rows(verdict: Verdict) -> list[str]:
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for fault in verdict.faults:
        kinds[fault.kind].append(fault)
    rows: list[str] = []
    for name, faults in sorted(kinds.items()):
        fired = [fault.fired - fault.begun for fault in faults if fault.fired is not None]
        gone = [
            fault.resolved - fault.cured for fault in faults if fault.resolved is not None and fault.cured is not None
        ]
        rows.append(f"| {name} | {len(faults)} | {faults[0].alert or '–'} | {_times(fired)} | {_times(gone)} |")
    return rows


def _times(seconds: list[float]) -> str:
    return f"{median(seconds):.1f} s ({max(seconds):.1f} s)" if seconds else "–"
