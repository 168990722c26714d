"""Figures, how they are taken and how they are shown."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROUNDS = int(os.environ.get("REFOLD_BENCH_ROUNDS", "5"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: what several rounds gave, beside what it is compared with, if anything.

    `higher_is_better` tells how value and target compare. Without `values` it could not be taken; `note` says why.
    """

    name: str
    unit: str
    values: Sequence[float]
    limit: float | None = None
    target: float | None = None
    higher_is_better: bool = True
    note: str = ""

    @property
    def value(self) -> float | None:
        """The median."""
        return statistics.median(self.values) if self.values else None

    @property
    def of_limit(self) -> float | None:
        """How near the limit: 1 is at it; for times, how many times the other one."""
        return self.value / self.limit if self.value is not None and self.limit else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None or self.value is None:
            return None
        return self.value >= self.target if self.higher_is_better else self.value <= self.target

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "least": min(self.values, default=None),
            "most": max(self.values, default=None),
            "limit": self.limit,
            "target": self.target,
            "higher_is_better": self.higher_is_better,
            "of_limit": self.of_limit,
            "met": self.met,
            "note": self.note,
        }


def interleaved(
    measures: Mapping[str, Callable[[], float]], rounds: int, progress: Callable[[str], None]
) -> dict[str, list[float]]:
    """What each measure gave in so many rounds. Each round takes them all, so that a noisy minute hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            progress(name)
            taken[name].append(measure())
    return taken


@contextmanager
def progress_bar(total: int) -> Generator[Callable[[str], None]]:
    """A bar on stderr that a call with the name of what comes next moves on by one."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def step(what: str) -> None:
            bar.update(task, advance=1, description=what)

        yield step


def show(figures: Sequence[Figure], as_json: bool) -> None:
    """The table, or JSON."""
    if as_json:
        print(json.dumps([figure.as_json() for figure in figures], indent=2))
        return
    table = Table(title=f"Refold on {os.cpu_count()} cores, Python {platform.python_version()}")
    for column in ("figure", "value", "least to most", "limit", "of limit", "target", ""):
        table.add_column(column, justify="left" if column in ("figure", "") else "right")
    for f in figures:
        met = f.note if f.met is None else "met" if f.met else "missed"
        spread = f"{_short(min(f.values))} to {_short(max(f.values))}" if f.values else ""
        value = f"{_short(f.value)} {f.unit}" if f.values else ""
        ratio = "" if f.of_limit is None else f"{f.of_limit:.2f}"
        table.add_row(f.name, value, spread, _short(f.limit), ratio, _short(f.target), met)
    Console(width=None if Console().is_terminal else 150).print(table)


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
