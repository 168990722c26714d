"""How counts and sums are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...eventstore.tables import Row
from ...projections.times import iso
from .output import clock, plain

_TIMES = ("hour", "day")


def counted_json(row: Row, by: Sequence[str], numbers: Sequence[str]) -> dict[str, Any]:
    """A row of values and numbers as a JSON object; hours and days by the time at which they begin."""
    names = [name.replace("-", "_") for name in by]
    values = [
        iso(value) if name in _TIMES and value is not None else value for name, value in zip(by, row, strict=False)
    ]
    return {**dict(zip(names, values, strict=True)), **dict(zip(numbers, row[len(by) :], strict=True))}


def counted_table(rows: Sequence[Row], by: Sequence[str], numbers: Sequence[str]) -> Table:
    """The rows as a table, "–" where there is no value."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in by:
        table.add_column(f"{name} (UTC)" if name in _TIMES else name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    for row in rows:
        cells = [_shown(name, value) for name, value in zip(by, row, strict=False)]
        table.add_row(
            *cells, *(f"{value:.15g}" if isinstance(value, float) else str(value) for value in row[len(by) :])
        )
    return table


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name in _TIMES:
        return clock(value)[: 10 if name == "day" else 16]
    return plain(str(value))
