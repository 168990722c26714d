"""How people see what was found out about a plan: findings, accounts, steps, and the time line as bars."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...core.sandbox.report import SandboxFinding
from ...core.simulation.findings import AccountOutlook, PlanEvaluation
from ...core.simulation.simulate import SimulatedStep, Simulation
from .output import cents, console, duration, plain
from .streams import note

MOST_SHOWN = 100
"""So many steps, and so many findings, are shown; with --json all are."""

_STYLES = {
    "allowed": "bold green",
    "refused": "bold red",
    "invalid": "bold red",
    "possible": "yellow",
    "delayed": "cyan",
}
_SOURCES = {"step": "", "skill": " (skill)", "pause": "", "timeout": " (time-out)", "unknown": ""}
_BARS = 24


def tell_evaluation(found: PlanEvaluation) -> None:
    """Write an evaluation for people: what speaks against the plan, and the verdict at the end."""
    screen = console()
    _tell_findings(screen, found)
    _tell_verdict(screen, found)


def tell_simulation(found: Simulation) -> None:
    """Write a simulation for people."""
    screen, evaluation = console(), found.evaluation
    if found.steps:
        screen.print(_steps(found, screen.width))
        if len(found.steps) > MOST_SHOWN:
            note(f"… and {len(found.steps) - MOST_SHOWN} more steps: --json")
        for name, told in _totals(found):
            screen.print(Text(f"{name:<14}", "dim").append(told, "not dim"), soft_wrap=True)
    _tell_findings(screen, evaluation)
    _tell_verdict(screen, evaluation)


def _steps(found: Simulation, width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("step", overflow="fold", max_width=30)
    table.add_column("skill", overflow="fold", max_width=24)
    for name in ("cost", "at worst", "takes"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("policies", no_wrap=True)
    table.add_column("when", no_wrap=True)
    whole, length = found.time.expected_seconds, max(min(width - 80, 60), _BARS)
    for step in found.steps[:MOST_SHOWN]:
        marked = "bold magenta" if step.critical else ""
        table.add_row(
            Text(plain(step.step_id), marked),
            plain(step.skill_id),
            cents(step.cost_cents),
            cents(step.worst_cents),
            _takes(step),
            Text(step.outlook or "", _STYLES.get(step.outlook or "", "")),
            Text(_bar(step, whole, length), marked or "blue"),
        )
    return table


def _takes(step: SimulatedStep) -> str:
    if step.duration_seconds is None:
        return "?"
    return duration(round(step.duration_seconds * 1_000_000)) + _SOURCES[step.time_source]


def _bar(step: SimulatedStep, whole: float, length: int) -> str:
    """The step on a line of `length` characters; the critical path is drawn thick, what is unknown as a point."""
    if whole <= 0:
        return " " * min(step.level, length - 1) + ("◆" if step.critical else "·")
    left = min(int(step.start_seconds / whole * length), length - 1)
    right = max(round(step.end_seconds / whole * length), left + 1)
    if step.duration_seconds is None:
        return " " * left + ("◆" if step.critical else "·")
    return " " * left + ("█" if step.critical else "━") * (right - left)


def _totals(found: Simulation) -> list[tuple[str, str]]:
    cost, time = found.cost, found.time
    unpriced = f"; no cost is declared for {_steps_of(cost.unpriced_steps)}" if cost.unpriced_steps else ""
    told = [("cost", f"{cents(cost.expected_cents)} expected, {cents(cost.worst_cents)} at worst{unpriced}")]
    least = "at least " if time.unknown_steps else ""
    took = f"{least}{_seconds(time.expected_seconds)} expected, {_seconds(time.slow_seconds)} if slow"
    if time.longest_seconds is not None:
        took += f", {_seconds(time.longest_seconds)} at the longest"
    if time.unknown_steps:
        took += f"; nobody knows how long {_steps_of(time.unknown_steps)} take"
    told.append(("time", took))
    told.append(("from", f"{found.recorded_runs} recorded runs" if found.recorded_runs else "no recorded runs"))
    held_up = time.expected_seconds - time.without_limits_seconds
    if held_up > 0.001:
        told.append(("limits", f"hold it up for {_seconds(held_up)}"))
    path = found.critical_path
    more = f" → … {len(path) - 10} more" if len(path) > 10 else ""
    told.append(("critical path", " → ".join(path[:10]) + more))
    told.append(("shape", f"{len(found.steps)} steps, {found.levels} one after the other, {found.widest} side by side"))
    return told


def _steps_of(number: int) -> str:
    return "1 step" if number == 1 else f"{number} steps"


def _seconds(seconds: float) -> str:
    return duration(round(seconds * 1_000_000))


def _tell_findings(screen: Console, found: PlanEvaluation) -> None:
    for problem in found.problems:
        screen.print(Text("invalid   ", "red").append(plain(str(problem)), "default"), soft_wrap=True)
    for each in found.findings[:MOST_SHOWN]:
        line = Text(f"{each.outlook:<8}  {each.code}", _STYLES.get(each.outlook, "red"))
        where = f"{each.pointer} ({each.step_id})" if each.step_id else "(several steps)"
        rule = f" [rule {each.rule}]" if each.rule else ""
        screen.print(line.append(f"  {plain(where)}: {plain(each.reason)}{plain(rule)}", "default"), soft_wrap=True)
    if len(found.findings) > MOST_SHOWN:
        note(f"… and {len(found.findings) - MOST_SHOWN} more findings: --json")
    if found.status != "invalid" or found.problems == ():
        _tell_sandbox(screen, found)
    for name in found.unknown_skills:
        screen.print(Text("unknown   ", "yellow").append(f"skill {plain(name)}: --skills names its module", "default"))
    for name in found.missing_inputs:
        screen.print(Text("missing   ", "yellow").append(f"input {plain(name)}: give it by --inputs", "default"))
    if found.accounts:
        screen.print(_accounts(found.accounts))


def _tell_sandbox(screen: Console, found: PlanEvaluation) -> None:
    def tell(word: str, style: str, each: SandboxFinding) -> None:
        line = Text(f"{word:<8}  {each.rule}", style)
        screen.print(line.append(f"  {plain(each.pointer) or '(whole)'}: {plain(each.why)}", "default"), soft_wrap=True)

    for each in found.sandbox.violations:
        tell(*(("refused", "bold red") if found.sandboxed else ("sandbox", "yellow")), each)
    for each in found.sandbox.warnings:
        tell("sandbox", "yellow", each)


def _accounts(accounts: Sequence[AccountOutlook]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("account", overflow="fold")
    for name in ("left", "needed", "at worst"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("")
    for each in accounts[:MOST_SHOWN]:
        amounts = [_amount(each, amount) for amount in (each.left, each.needed, each.worst)]
        slow = f"takes {_seconds(each.seconds)}" if each.seconds else ""
        table.add_row(plain(each.account), *amounts, slow or ("" if each.known else "not looked up"))
    return table


def _amount(account: AccountOutlook, amount: float) -> str:
    return f"{amount:g} ct" if account.kind == "budget" else f"{amount:g}"


def _tell_verdict(screen: Console, found: PlanEvaluation) -> None:
    said = Text(found.status, _STYLES[found.status])
    under = ", ".join(found.policies) or "no policy"
    asked = f"rules {found.sandbox.rules_version}" if found.sandboxed else "not asked"
    screen.print(said.append(f"  ({plain(under)}; sandbox: {plain(asked)})", "default"), soft_wrap=True)
