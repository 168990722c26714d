"""What the sandbox finds in the corpora, and the table of it in docs/sandbox.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from refold import PlannerSandbox, SandboxFinding, SandboxReport, SandboxRules
from refold.tests.support.sandbox_corpus import read


class Row(NamedTuple):
    """Lines of one category, how many of them were reported, and the first ones that count against us."""

    category: str
    lines: int
    hits: int
    examples: list[str]


def judged(value: Any, *, rules: SandboxRules | None = None, **step: Any) -> SandboxReport:
    """The report on a plan of one step whose input `value` is the given one."""
    made = {"step_id": "a", "skill_id": "echo", "inputs": {"value": value}, **step}
    return PlannerSandbox(rules).validate({"workflow_type": "test", "steps": [made]}, explain=True)


def findings(text: str) -> list[SandboxFinding]:
    """What is found in a text that stands in the metadata, where nothing is a reference."""
    plan = {"workflow_type": "t", "steps": [{"step_id": "a", "skill_id": "echo"}], "metadata": {"text": text}}
    report = PlannerSandbox().validate(plan, explain=True)
    return [*report.violations, *report.warnings]


def recall(names: Iterable[str]) -> list[Row]:
    """Attacks for which a rule of their own family was named."""
    return _rows(names, lambda category, text: any(each.family == category for each in findings(text)), missed=True)


def false_alarms(names: Iterable[str]) -> list[Row]:
    """Harmless lines of which anything was reported, be it a warning."""
    return _rows(names, lambda category, text: bool(findings(text)), missed=False)


def table(found: list[Row], alarmed: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| corpus | lines | reported | share |", "| --- | --- | --- | --- |"]
    for kind, rows in (("attacks", found), ("harmless", alarmed)):
        lines += [f"| {kind}: {r.category} | {r.lines} | {r.hits} | {100 * r.hits / r.lines:.1f} % |" for r in rows]
    return "\n".join(lines)


def _rows(names: Iterable[str], reported: Any, *, missed: bool) -> list[Row]:
    rows: dict[str, Row] = {}
    for category, text in (line for name in names for line in read(name)):
        row = rows.get(category, Row(category, 0, 0, []))
        hit = reported(category, text)
        examples = row.examples + [text] * (hit != missed and len(row.examples) < 20)
        rows[category] = Row(category, row.lines + 1, row.hits + hit, examples)
    return list(rows.values())
