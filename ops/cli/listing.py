"""`refold list`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...core.errors import CallError, Problem
from ...core.ids import check_tenant
from ...projections.indexed import IndexedPage, indexed_page
from ...projections.run_list import RunRow, check_status, page_of
from .faults import OK
from .output import STATUS_STYLES, clock, console, duration, plain, write_json
from .reading import existing_store
from .streams import note

_WIDE = 100


def list_runs(
    limit: int,
    status: str | None,
    attributes: Sequence[str],
    before: int | None,
    tenant: str,
    database: str | None,
    json: bool,
) -> int:
    """Write a page of runs; returns the exit code."""
    check_tenant(tenant)
    wanted = dict(map(_attribute, attributes))
    if status is not None:
        check_status(status)
    with existing_store(database) as store:
        indexed = indexed_page(store, tenant, before, limit, status, wanted)
        page = page_of(store, tenant, before, limit, status, None, wanted) if indexed is None else indexed.page
    if indexed is not None:
        _tell(indexed)
    if json:
        for row in page.rows:
            write_json(row.to_json())
    elif page.rows:
        screen = console()
        screen.print(_table(page.rows, screen.width))
    else:
        note("no runs")
    if page.next_cursor is not None:
        note(f"more: refold list --before {page.next_cursor}")
    return OK


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CallError(Problem("", f"--attribute {text[:60]!a} says no value", "give NAME=VALUE"))
    return name, value


def _tell(indexed: IndexedPage) -> None:
    """What the list may lack."""
    if indexed.lag.events:
        late = duration(int(indexed.lag.seconds * 1_000_000))
        note(f"the index of runs is {indexed.lag.events} events, {late}, behind the log")
    if indexed.parked:
        note(f"{indexed.parked} runs are parked and not listed as they are; see: refold projections parked runs")


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
