"""`refold store archive`, `archives` and `bring-back`."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...compose import BUILD, open_store
from ...core.archive_log import ArchiveLog
from ...core.durations import seconds_of
from ...core.errors import CallError, Problem, StoreUnreachableError
from ...core.ids import ARCHIVES, check_tenant, stream_of
from ...core.runtime.admission import MAX_LABEL, MAX_REASON, check_text
from ...eventstore.archive_index import Placed
from ...eventstore.archiving import Archiving, Left
from ...eventstore.bringing_back import BringingBack, archived_runs, runs_in
from ...eventstore.log import EventLog
from ...eventstore.sealing import Sealer
from ...eventstore.tiered import TieredStore
from ...projections.times import iso
from .faults import BROKEN, OK
from .output import clock, console, plain, write_json
from .progress import watched
from .reading import missing_file
from .signals import stopping
from .specs import login
from .streams import note

_SHOWN = 20
"""Of the runs that were left, this many are named to people."""


@dataclass(frozen=True)
class Archives:
    """Where a command finds the store and its archives, and how it tells what it did."""

    folder: str | None
    database: str | None
    json: bool

    @contextmanager
    def opened(self) -> Generator[TieredStore]:
        """The store. Raises StoreUnreachableError where there is no such file, CallError for one in memory."""
        if (missing := missing_file(self.database)) is not None:
            raise StoreUnreachableError(f"there is no database {missing}")
        with closing(open_store(self.database, archives=Path(self.folder) if self.folder else None)) as store:
            if not isinstance(store, TieredStore):
                raise CallError(Problem("", "a store in memory has no archives", "name a database"))
            yield store


def archive_old(place: Archives, older: str, dry_run: bool, limit: int | None, by: str | None, reason: str) -> int:
    """Archive what ended longer ago than `older`; returns the exit code."""
    seconds, who, why = seconds_of(older), _who(by), check_text("--reason", reason, MAX_REASON)
    with place.opened() as store, stopping():
        work = Archiving(store, Sealer(BUILD), who, why or f"older than {older}")
        due = work.due(time.time_ns() // 1000 - round(seconds * 1_000_000), limit)
        if dry_run:
            _tell(place, {"runs": len(due), "events": sum(each.events for each in due)}, "would be archived: ")
        elif not due and not place.json:
            note(_why_nothing(work, store.last_position()))
        archives = runs = 0
        with watched("archiving") as told:
            if not dry_run:
                work.finish()
            for made in work.run([] if dry_run else due, told):
                archives, runs = archives + 1, runs + made.runs
                _tell(place, made._asdict(), "")
    _tell_left(place, work.left)
    if place.json:
        write_json({"archives": archives, "runs": runs, "left": len(work.left), "dry_run": dry_run})
    return OK if all(each.intact for each in work.left) else BROKEN


def _why_nothing(work: Archiving, last: int) -> str:
    slowest = work.slowest()
    if slowest is None or slowest.position >= last:
        return "no run is that old"
    where = f"the projection {slowest.name} has come to position {slowest.position} of {last}"
    return f"no run is that old, as far as all projections have followed the log: {where}; start: refold projector"


def _tell(place: Archives, told: dict[str, Any], prefix: str) -> None:
    if place.json:
        write_json(told)
        return
    file = f"{told['archive']}  " if "archive" in told else ""
    size = f", {told['bytes']} bytes" if "bytes" in told else ""
    console().print(f"{prefix}{file}{told['runs']} runs, {told['events']} events{size}", soft_wrap=True)


def _tell_left(place: Archives, left: Sequence[Left]) -> None:
    for each in left if place.json else ():
        write_json({"left": each.stream, "reason": each.reason})
    for each in left[:_SHOWN]:
        note(f"left where it is: {plain(each.stream)}: {plain(each.reason)}")
    if len(left) > _SHOWN:
        note(f"and {len(left) - _SHOWN} more")


def list_archives(place: Archives) -> int:
    """Write the archives ever made; returns the exit code."""
    with place.opened() as store:
        recorded = ArchiveLog(EventLog(store, "").events(ARCHIVES)).archives
        used = dict(store.index.in_use())
        sizes = {name: store.folder.size(name) for name in recorded.keys() | used.keys()} if store.folder.path else {}
    rows: list[dict[str, Any]] = [
        {
            "archive": name,
            "made_at": iso(event.at) if (event := recorded.get(name)) is not None else None,
            "runs": used.get(name, 0),
            "archived": event.runs if event is not None else None,
            "bytes": sizes.get(name),
            "sha256": event.sha256 if event is not None else None,
            "by": event.by if event is not None else None,
            "reason": event.reason if event is not None else None,
        }
        for name in [*recorded, *sorted(used.keys() - recorded.keys())]
    ]
    if place.json:
        for row in rows:
            write_json(row)
    elif rows:
        table = Table("archive", "made (UTC)", "runs in it", "bytes", "by", "reason", box=SIMPLE_HEAD, pad_edge=False)
        table.columns[0].overflow = "fold"
        for row in rows:
            made = clock(recorded[row["archive"]].at) if row["archive"] in recorded else "not recorded"
            size = "missing" if row["bytes"] is None else str(row["bytes"])
            cells = (f"{row['runs']} of {row['archived']}", size, plain(row["by"] or ""), plain(row["reason"] or ""))
            table.add_row(plain(row["archive"]), made, *cells)
        console().print(table)
    else:
        note("nothing was ever archived")
    lost = [row for row in rows if row["runs"] and (row["bytes"] is None or row["sha256"] is None)]
    for row in lost:
        fault = "its file is missing" if row["bytes"] is None else "nobody recorded that it was made"
        note(f"{plain(row['archive'])} holds runs, but {fault}")
    return BROKEN if lost else OK


def bring_runs_back(
    place: Archives, runs: list[str], archive: str | None, tenant: str, by: str | None, reason: str
) -> int:
    """Bring runs back, or all that lie in an archive; returns the exit code."""
    check_tenant(tenant)
    if bool(runs) == (archive is not None):
        raise CallError(Problem("", "runs are named and --archive is given, or neither", "give one of them"))
    who, why = _who(by), check_text("--reason", reason, MAX_REASON)
    with place.opened() as store, stopping():
        found = _of_archive(store, archive) if archive is not None else _named(store, tenant, runs)
        with watched("bringing back") as told:
            done = BringingBack(store, Sealer(BUILD), who, why).run(found, told)
    if place.json:
        write_json({"brought_back": done, "runs": [each.stream for each in found]})
    else:
        console().print(f"brought back: {done} runs", soft_wrap=True)
    return OK


def _of_archive(store: TieredStore, archive: str) -> list[Placed]:
    found = list(runs_in(store, archive)) if archive.isprintable() else []
    if not found:
        reason = f"no runs lie in an archive {ascii(archive)[:80]}"
        raise CallError(Problem("", reason, "see: refold store archives"))
    return found


def _named(store: TieredStore, tenant: str, runs: Iterable[str]) -> list[Placed]:
    streams = sorted({stream_of(tenant, run_id) for run_id in runs})
    found = archived_runs(store, streams)
    lacking = sorted(set(streams) - {each.stream for each in found})
    if lacking:
        names = ", ".join(stream.partition("/")[2] for stream in lacking[:_SHOWN])
        raise CallError(Problem("", f"in no archive: {names}", "see: refold show RUN_ID"))
    return found


def _who(by: str | None) -> str:
    return login() if by is None else check_text("--by", by, MAX_LABEL)
