"""`refold dispatch`: the table of open runs, and how it is made anew from the log."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.progress import Progress
from rich.table import Table

from ...core.errors import StoreRefusedError, StoreUnreachableError
from ...core.ports import NEVER
from ...eventstore.dispatch import DispatchRow, LeaseRow, seconds_of
from ...eventstore.rebuild import Differences, Rebuild, is_held
from ...eventstore.store import Store
from ...projections.times import iso
from .faults import BROKEN, FAILED, OK
from .output import clock, console, plain, write_json
from .reading import existing_store, missing_file
from .streams import note

_ROUNDS = 10
_NEVER_SECONDS = seconds_of(NEVER)


def list_rows(limit: int, database: str | None, json: bool) -> int:
    """Write the first rows of the dispatch table; returns the exit code."""
    with existing_store(database) as store:
        leases = {lease.stream: lease for lease in store.dispatch.leases()}
        found = store.dispatch.rows()
    rows = [(row, leases.get(row.stream)) for row in found[:limit]]
    if json:
        for row, lease in rows:
            due = None if row.due_at >= _NEVER_SECONDS else iso(int(row.due_at * 1_000_000))
            holder = lease.owner if lease is not None and is_held(lease) else None
            write_json({**row._asdict(), "due_at": due, "held_by": holder})
    elif rows:
        console().print(_table(rows))
    else:
        note("no open runs")
    if len(found) > limit:
        note(f"more: {len(found)} rows in all; see refold dispatch list --limit")
    return OK


def _table(rows: list[tuple[DispatchRow, LeaseRow | None]]) -> Table:
    table = Table("run", "queue", "priority", "due (UTC)", "held", "needs", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].overflow = "fold"
    for row, lease in rows:
        never = row.due_at >= _NEVER_SECONDS
        due = "on a message" if never else clock(int(row.due_at * 1_000_000)) if row.due_at > 0 else "now"
        held = "yes" if is_held(lease) else "no"
        table.add_row(plain(row.stream), plain(row.queue), str(row.priority), due, held, plain(row.needs))
    return table


def rebuild_rows(dry_run: bool, check: bool, database: str | None, json: bool) -> int:
    """Compare the dispatch table with the log and, where they differ, put in what the log says; returns the exit code.

    `check` asks for the verdict only, as `dry_run` does, and has differences count as a failure.
    """
    if (missing := missing_file(database)) is not None:
        # Whoever checks the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")
    with existing_store(database) as store:
        rebuild = _computed(store)
        seen = rebuild.differences()
        repairs = any(seen) and not (dry_run or check)
        if repairs:
            _replace(rebuild)
    _tell(rebuild, seen, repairs, json)
    if rebuild.unreadable:
        return BROKEN
    return FAILED if check and any(seen) else OK


def _computed(store: Store) -> Rebuild:
    rebuild = Rebuild(store)
    screen = console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("reading the log", total=None)
        rebuild.catch_up(lambda done, of: bar.update(task, completed=done, total=of))
    return rebuild


def _replace(rebuild: Rebuild) -> None:
    """Replace the table until it is right: runs that start or end meanwhile may fall between two rows of it."""
    for _ in range(_ROUNDS):
        rebuild.replace()
        if not any(rebuild.differences()):
            return
    raise StoreRefusedError("runs start and end too fast for their table to be replaced; stop the workers meanwhile")


def _tell(rebuild: Rebuild, seen: Differences, repaired: bool, json: bool) -> None:
    counts = {name: len(streams) for name, streams in seen._asdict().items()}
    for stream, reason in rebuild.unreadable.items():
        note(f"{plain(stream)} cannot be read, its row stays as it is: {plain(reason)}")
    if json:
        told = {"open_runs": len(rebuild.rows), "equal": not any(seen), **counts, "repaired": repaired}
        write_json({**told, "unreadable": sorted(rebuild.unreadable)})
    elif not any(seen):
        console().print(f"equal: the rows of {len(rebuild.rows)} open runs are as the log says", soft_wrap=True)
    else:
        verb = "repaired" if repaired else "not as the log says"
        numbers = ", ".join(f"{number} {name}" for name, number in counts.items())
        console().print(f"{verb}: {numbers}; {len(rebuild.rows)} open runs", soft_wrap=True)
