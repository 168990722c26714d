"""`refold timeline`: when everything in a run was."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...core.ids import check_run_id, check_tenant
from ...projections.timeline import Span
from ...projections.timelines import span_json, timeline_of
from .faults import OK
from .output import STATUS_STYLES, console, duration, plain, write_json
from .reading import existing_store
from .streams import note

_WIDE = 100
_LEFT = {"run": "", "step": "  ", "signal": "  ", "pause": "  ", "parked": "  "}
_LINES = {"run": "█", "step": "━", "pause": "▒", "parked": "▒"}
_STYLES = {
    "ready": "bold blue",
    "received": "cyan",
    "ended": "yellow",
    "open": "bold yellow",
    "retrying": "bold yellow",
}


def show_timeline(run_id: str, limit: int, tenant: str, database: str | None, json: bool) -> int:
    """Draw the run's spans, or write them as JSON; returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)
    with existing_store(database) as store:
        spans = timeline_of(store, run_id, tenant)
    if json:
        for span in spans[:limit]:
            write_json(span_json(span))
    else:
        screen = console()
        screen.print(_table(spans, limit, screen.width))
    if len(spans) > limit:
        note(f"… and {len(spans) - limit} more spans: --limit {len(spans)}")
    return OK


def _table(spans: Sequence[Span], limit: int, width: int) -> Table:
    """The spans as bars, from the first time there is to the last; a narrow screen leaves the status out."""
    wide = width >= _WIDE
    times = [at for span in spans for at in (span.started_at, span.ended_at) if at is not None]
    first, last = min(times), max(times)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    table.add_column("span", overflow="fold", max_width=40)
    for name in ("status", "after", "took") if wide else ("took",):
        table.add_column(name, no_wrap=True, justify="left" if name == "status" else "right")
    table.add_column("when", ratio=1, no_wrap=True)
    length = max(width - (80 if wide else 55), 16)
    for span in spans[:limit]:
        style = _STYLES.get(span.status) or STATUS_STYLES.get(span.status, "dim")
        took = "" if span.took is None else duration(span.took)
        after = "" if span.started_at is None else duration(span.started_at - first)
        code = f" {span.error_code}" if span.error_code else ""
        table.add_row(
            Text(_LEFT.get(span.kind, "    ") + plain(_name(span))),
            *([Text(plain(span.status + code), style), after] if wide else []),
            took,
            Text(_bar(span, first, last, length), style),
        )
    return table


def _name(span: Span) -> str:
    if span.kind == "step":
        return span.step_id or ""
    return f"{span.kind} {span.name}" if span.name else span.kind


def _bar(span: Span, first: int, last: int, length: int) -> str:
    """The span on a line of `length` characters from `first` to `last`; one without an end goes on."""
    if span.started_at is None:
        return ""
    whole = max(last - first, 1)
    left = min((span.started_at - first) * length // whole, length - 1)
    if span.kind == "signal":
        return " " * left + "▲"
    end = last if span.ended_at is None else span.ended_at
    right = min(max(-((first - end) * length // whole), left + 1), length)
    return " " * left + _LINES.get(span.kind, "┄") * (right - left) + ("…" if span.ended_at is None else "")
