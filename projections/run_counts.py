"""How many runs there are, by what they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

from ..core.errors import CallError, Problem
from ..eventstore.store import Store
from ..eventstore.tables import Generation, Per, Row
from .indexed import index_of, indexed_rows, rows_left_aside, runs_left_aside
from .run_filter import RunFilter
from .run_list import ALL, is_unknown, log_rows, takes
from .run_row import RunRow
from .runner import Lag, lag_of
from .runs import RUNS
from .standing import QUEUED

HOUR, DAY = 3_600_000_000, 86_400_000_000
"""Lengths of time in µs."""

RUN_GROUPS: dict[str, str | Per] = {
    "status": "status",
    "type": "workflow_type",
    "version": "workflow_version",
    "agent": "agent_id",
    "queue": "queue",
    "error-code": "error_code",
    "hour": Per("started_at", HOUR),
    "day": Per("started_at", DAY),
}
"""What runs are counted by; hour and day are those of the start, in UTC."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Numbers of runs by the values asked for, in the order of these, None first; without any, a single number.

    `left_aside` says how many of each the index has left aside, so that they were read from the log. `unknown` counts
    the unreadable runs that the filter may miss. `lag` is that of the index, and `position` where it stands,
    None where the log was read.
    """

    rows: list[Row]
    left_aside: dict[Row, int]
    unknown: int
    lag: Lag | None
    position: int | None = None


class StatusCounts(NamedTuple):
    """How many runs there are of each status; `complete` says whether these are all."""

    by_status: Mapping[str, int]
    complete: bool


def status_counts(store: Store, tenant: str, wanted: RunFilter, most: int) -> StatusCounts:
    """How many of the tenant's runs are wanted, from the index; without one of the latest `most` runs."""
    if index_of(store, wanted) is not None:
        rows = run_counts(store, tenant, wanted, ["status"]).rows
        return StatusCounts({str(status): number for status, number in rows}, True)
    latest = list(islice(log_rows(store, tenant), most + 1))
    counted = Counter(row.status for row in latest[:most] if takes(store, tenant, row, wanted))
    return StatusCounts(counted, len(latest) <= most)


def group_names(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """`names` if all of them are `known` and none occurs twice, else CallError."""
    chosen, every = list(names), list(known)
    for number, name in enumerate(chosen):
        if name not in every:
            raise CallError(Problem("", f"nothing is counted by {name[:40]!a}", f"use one of {', '.join(every)}"))
        if name in chosen[:number]:
            raise CallError(Problem("", f"{name} is given twice", "give it once"))
    return chosen


def run_counts(store: Store, tenant: str, wanted: RunFilter = ALL, by: Sequence[str] = ()) -> RunCounts:
    """How many of the tenant's runs are wanted, by the names of `RUN_GROUPS`; from the index while it is kept."""
    columns = [RUN_GROUPS[name] for name in group_names(by, RUN_GROUPS)]
    of = index_of(store, wanted)
    counted = Counter[Row]()
    aside = Counter[Row]()
    unknown = 0
    if of is None:
        others: Iterable[RunRow] = log_rows(store, tenant)
    else:
        left = runs_left_aside(store, of, tenant)
        for one in wanted.each():
            counted += _indexed(store, of, tenant, one, columns, left)
        others = rows_left_aside(store, tenant, left)
    for row in others:
        if takes(store, tenant, row, wanted):
            counted[_group(row, columns)] += 1
            aside[_group(row, columns)] += of is not None
        else:
            unknown += is_unknown(row, wanted)
    groups = sorted((g for g in counted if counted[g] > 0), key=lambda g: [(v is not None, v) for v in g])
    rows: list[Row] = [(*group, counted[group]) for group in groups] if by else [(counted[()],)]
    return RunCounts(
        rows, dict(aside), unknown, None if of is None else lag_of(store, of), None if of is None else of.position
    )


def _indexed(
    store: Store, of: Generation, tenant: str, wanted: RunFilter, columns: Sequence[str | Per], aside: set[str]
) -> Counter[Row]:
    """The counts of the index, but for runs left aside."""
    if wanted.attributes or wanted.status == QUEUED:
        return Counter(_group(row, columns) for row in indexed_rows(store, of, tenant, wanted, aside))
    where, between = {"tenant": tenant, **wanted.where()}, wanted.between()
    counts = store.tables.counts(of, RUNS.name, where, columns, between)
    found = Counter({row[:-1]: row[-1] for row in counts})
    for run_id in aside:
        for row in store.tables.counts(of, RUNS.name, {**where, "run_id": run_id}, columns, between):
            found[row[:-1]] -= row[-1]
    if "status" in columns or wanted.status == "running":
        _tell_queued(store, of, tenant, wanted, columns, aside, found)
    return found


def _tell_queued(
    store: Store,
    of: Generation,
    tenant: str,
    wanted: RunFilter,
    columns: Sequence[str | Per],
    aside: set[str],
    found: Counter[Row],
) -> None:
    """Take the queued runs out of those that the index calls running: they are looked at one by one."""
    if wanted.status not in (None, "running"):
        return
    for row in indexed_rows(store, of, tenant, replace(wanted, status=QUEUED), aside):
        queued = _group(row, columns)
        running = tuple("running" if name == "status" else value for name, value in zip(columns, queued, strict=True))
        found[running] -= 1
        found[queued] += wanted.status is None


def _group(row: RunRow, columns: Sequence[str | Per]) -> Row:
    return tuple(_value(row, each) for each in columns)


def _value(row: RunRow, column: str | Per) -> Any:
    if isinstance(column, str):
        return getattr(row, column)
    at = getattr(row, column.column)
    return None if at is None else at // column.width * column.width
