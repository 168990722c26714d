"""`refold failures` and `refold costs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...core.errors import CallError, Problem
from ...core.failures import Category
from ...core.ids import check_tenant
from ...projections.analytics import (
    COST_GROUPS,
    FAILURE_GROUPS,
    Source,
    Wanted,
    cost_sums,
    failure_counts,
    failures,
    source,
)
from ...projections.failures import KINDS
from ...projections.run_counts import group_names
from ...projections.times import iso
from .counting import counted_json, counted_table
from .faults import OK
from .listing import tell_lag
from .output import clock, console, plain, write_json
from .plotting import bars, date, days_between, hours
from .reading import existing_store
from .streams import note
from .times_given import read_time


def chosen(since: str | None, until: str | None, **values: str | None) -> Wanted:
    """What the options ask for. Raises CallError for what is no tenant, time, kind or category."""
    given = {name: value for name, value in values.items() if value is not None}
    if "tenant" in given:
        check_tenant(given["tenant"])
    for name, known in (("kind", KINDS), ("category", tuple(each.value for each in Category))):
        if given.get(name, known[0]) not in known:
            raise CallError(Problem("", f"no {name} is called {given[name][:40]!a}", f"use one of {', '.join(known)}"))
    return Wanted(given, read_time("--since", since), read_time("--until", until))


def list_failures(wanted: Wanted, limit: int, before: str | None, database: str | None, json: bool) -> int:
    """Write a page of failures; returns the exit code."""
    with existing_store(database) as store:
        read = source(store, "failures")
        page = failures(store, read.of, wanted, limit, before)
    tell_source(read)
    if json:
        for row in page.rows:
            write_json({**row, "at": iso(row["at"])})
    elif page.rows:
        console().print(_table(page.rows))
    else:
        note("no failures")
    if page.next_cursor is not None:
        note(f"more: refold failures list --before {page.next_cursor}")
    return OK


def count_failures(wanted: Wanted, by: Sequence[str], database: str | None, json: bool) -> int:
    """Write how many failures there are, by what `by` names; returns the exit code."""
    group_names(by, FAILURE_GROUPS)
    with existing_store(database) as store:
        read = source(store, "failures")
        rows = failure_counts(store, read.of, wanted, by)
    tell_source(read)
    return _write(rows, by, ["failures"], json)


def plot_failures(wanted: Wanted, by: str, limit: int, database: str | None, json: bool) -> int:
    """Draw how many failures there are by `by`, the most frequent first, or in time; returns the exit code.

    What counts is what failed for good, steps and runs, unless `wanted` names a kind.
    """
    group_names([by], _PLOTTED)
    with existing_store(database) as store:
        read = source(store, "failures")
        rows = failure_counts(store, read.of, wanted, [by, "kind"])
    tell_source(read)
    kinds: dict[Any, Counter[str]] = {}
    for value, kind, number in rows:
        kinds.setdefault(value, Counter())[kind] += number
    timed = by in ("hour", "day")
    totals = {value: _weight(kinds[value], wanted) for value in kinds}
    ordered = sorted(kinds) if timed else sorted(kinds, key=lambda each: (-totals[each], str(each)))
    if json:
        for value in ordered:
            numbers = [kinds[value][kind] for kind in KINDS]
            write_json(counted_json((value, *numbers), [by], _COUNTED))
        return OK
    screen = console()
    if not kinds:
        note("no failures")
    elif by == "hour":
        hours(screen, totals)
    elif by == "day":
        days = days_between(min(totals), max(totals))
        bars(screen, [(date(day), totals.get(day, 0), _remark(kinds.get(day, Counter()))) for day in days])
    else:
        shown = ordered[:limit]
        names = ["own code" if by == "category" and each is None else str(each or "–") for each in shown]
        bars(screen, [(n, totals[v], _remark(kinds[v])) for n, v in zip(names, shown, strict=True)])
        if len(ordered) > limit:
            note(f"{len(ordered) - limit} more: --limit {len(ordered)}")
    return OK


_PLOTTED = [name for name in FAILURE_GROUPS if name != "kind"]
_COUNTED = ("attempts", "steps", "runs", "parked")


def _weight(kinds: Counter[str], wanted: Wanted) -> int:
    return kinds.total() if "kind" in wanted.values else kinds.total() - kinds["attempt"]


def _remark(kinds: Counter[str]) -> str:
    told = [(kinds[kind], name) for kind, name in zip(KINDS[1:], _COUNTED[1:], strict=True) if kinds[kind]]
    words = [f"{number} {name if number > 1 else name.removesuffix('s')}" for number, name in told]
    if kinds["attempt"]:
        words.append(f"{kinds['attempt']} tried again")
    return ", ".join(words)


def add_up(wanted: Wanted, by: Sequence[str], database: str | None, json: bool) -> int:
    """Write what was spent, by what `by` names; returns the exit code."""
    group_names(by, COST_GROUPS)
    with existing_store(database) as store:
        read = source(store, "costs")
        rows = cost_sums(store, read.of, wanted, by)
    tell_source(read)
    return _write(rows, by, ["attempts", "cost_cents"], json)


def _write(rows: Sequence[Any], by: Sequence[str], numbers: Sequence[str], json: bool) -> int:
    if json:
        for row in rows:
            write_json(counted_json(row, by, numbers))
    elif rows:
        console().print(counted_table(rows, by, numbers))
    else:
        note("there are none")
    return OK


def tell_source(read: Source) -> None:
    """Say on stderr what the tables may lack."""
    name = read.of.name
    tell_lag(name, read.lag)
    if read.of.error is not None:
        note(f"{name} stands still: {plain(read.of.error)}")
    if read.parked:
        note(f"{read.parked} runs are left aside, with what they did before; see: refold projections parked {name}")


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("at (UTC)", "run", "kind", "code", "category", "step", "try", "message"):
        table.add_column(name, overflow="fold", justify="right" if name == "try" else "left")
    for row in rows:
        cells = (row["run_id"], row["kind"], row["code"], row["category"] or "–", row["step_id"] or "–")
        attempt = "" if row["attempt"] is None else str(row["attempt"])
        table.add_row(clock(row["at"]), *map(plain, cells), attempt, plain(row["message"]))
    return table
