"""`refold list`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...core.errors import CallError, Problem
from ...core.ids import check_run_id, check_tenant
from ...projections.indexed import indexed_page
from ...projections.run_counts import RUN_GROUPS, group_names, run_counts
from ...projections.run_filter import RunFilter, check_status
from ...projections.run_list import page_of
from ...projections.run_row import RunRow
from ...projections.runner import Lag
from .counting import counted_json, counted_table
from .faults import OK
from .output import STATUS_STYLES, clock, console, duration, plain, write_json
from .reading import existing_store
from .streams import note
from .times_given import read_time

_WIDE = 100


_BOUNDS = ("--started-since", "--started-until", "--ended-since", "--ended-until")
"""The options that bound times, in the order of the filter's fields."""


class Query(NamedTuple):
    """Which runs the options name; `times` holds bounds by option."""

    statuses: Sequence[str]
    workflow_type: str | None
    workflow_version: str | None
    agent_id: str | None
    queue: str | None
    error_code: str | None
    times: Mapping[str, str | None]
    attributes: Sequence[str]
    parent: str | None
    forked_from: str | None
    prefix: str | None
    tenant: str

    def wanted(self) -> RunFilter:
        """The filter. Raises CallError for what is no tenant, status, time or attribute."""
        check_tenant(self.tenant)
        attributes = dict(map(_attribute, self.attributes))
        named = (self.workflow_type, self.workflow_version, self.agent_id, self.queue, self.error_code)
        since, until, ended_since, ended_until = (read_time(name, self.times.get(name)) for name in _BOUNDS)
        return RunFilter(
            None,
            *named,
            since,
            until,
            ended_since,
            ended_until,
            attributes,
            any_status=tuple(dict.fromkeys(map(check_status, self.statuses))),
            parent=None if self.parent is None else check_run_id(self.parent),
            prefix=None if self.prefix is None else check_run_id(self.prefix),
            forked_from=None if self.forked_from is None else check_run_id(self.forked_from),
        )


def list_runs(query: Query, limit: int, before: int | None, database: str | None, json: bool) -> int:
    """Write a page of runs; returns the exit code."""
    wanted = query.wanted()
    with existing_store(database) as store:
        indexed = indexed_page(store, query.tenant, before, limit, wanted)
        page = page_of(store, query.tenant, before, limit, wanted) if indexed is None else indexed.page
    aside = frozenset[str]() if indexed is None else indexed.left_aside
    if indexed is not None:
        tell_lag("the index of runs", indexed.lag)
    _tell(len(aside), page.unknown)
    if json:
        for row in page.rows:
            write_json({**row.to_json(), "left_aside": row.run_id in aside})
    elif page.rows:
        screen = console()
        screen.print(_table(page.rows, screen.width))
    else:
        note("no runs")
    if page.next_cursor is not None:
        note(f"more: refold list --before {page.next_cursor}")
    return OK


def count_runs(query: Query, by: Sequence[str], database: str | None, json: bool) -> int:
    """Write how many runs there are, by what `by` names; returns the exit code."""
    wanted = query.wanted()
    group_names(by, RUN_GROUPS)
    with existing_store(database) as store:
        counts = run_counts(store, query.tenant, wanted, by)
    if counts.lag is not None:
        tell_lag("the index of runs", counts.lag)
    _tell(sum(counts.left_aside.values()), counts.unknown)
    if json:
        for row in counts.rows:
            aside = counts.left_aside.get(row[:-1], 0)
            told = {**counted_json(row, by, ["runs"]), "left_aside": aside}
            write_json(told if by else {**told, "unknown": counts.unknown})
    elif by:
        console().print(counted_table(counts.rows, by, ["runs"]))
    else:
        console().print(str(counts.rows[0][0]))
    return OK


def tell_lag(what: str, lag: Lag) -> None:
    """Say on stderr how far something is behind the log, if it is."""
    if lag.events:
        late = duration(int(lag.seconds * 1_000_000))
        note(f"{what} is {lag.events} events, {late}, behind the log")


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CallError(Problem("", f"--attribute {text[:60]!a} says no value", "give NAME=VALUE"))
    return name, value


def _tell(aside: int, unknown: int) -> None:
    """What the list may lack."""
    if aside:
        note(f"{aside} runs are parked by the index and read from the log; see: refold projections parked runs")
    if unknown:
        note(f"{unknown} runs cannot be read, so they may be missing; see: refold list --status unreadable")


def _table(rows: list[RunRow], width: int) -> Table:
    """The runs; a narrow screen shows their times to the minute, and not how long they took."""
    wide = width >= _WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2 if wide else 0, 0, 0))
    # A run id is there to be copied.
    table.add_column("run", overflow="fold", min_width=min(max(len(row.run_id) for row in rows), 36))
    table.add_column("type", overflow="fold")
    for name in ("status", "started (UTC)" if wide else "started", *(["took"] if wide else []), "events"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("took", "events") else "left")
    for row in rows:
        started = "?" if row.started_at is None else clock(row.started_at)
        took = "" if row.ended_at is None or row.started_at is None else duration(row.ended_at - row.started_at)
        table.add_row(
            row.run_id,
            plain(row.workflow_type or "?"),
            Text(row.status, STATUS_STYLES.get(row.status, "dim")),
            started if wide else started[5:16],
            *([took] if wide else []),
            str(row.events),
        )
    return table
