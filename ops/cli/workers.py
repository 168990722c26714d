"""`refold workers`."""

from __future__ import annotations

from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ...projections.worker_reports import WorkerReport, reports
from .faults import OK
from .output import console, duration, plain, write_json
from .reading import existing_store
from .streams import note


def list_workers(database: str | None, json: bool) -> int:
    """Write the workers; returns the exit code."""
    with existing_store(database) as store:
        workers = reports(store)
    if json:
        for worker in workers:
            write_json(asdict(worker))
    elif workers:
        console().print(_table(workers))
    else:
        note("no workers")
    return OK


def _table(workers: list[WorkerReport]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("host", "pid", "version", "queues", "running", "skills", "last beat", ""):
        right = name in ("pid", "running", "skills", "last beat")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for worker in workers:
        state = "lost" if worker.lost else "draining" if worker.draining else "works"
        table.add_row(
            plain(worker.host),
            str(worker.pid),
            plain(worker.version),
            plain(", ".join(worker.queues)),
            f"{worker.running}/{worker.concurrency}",
            str(len(worker.skills)),
            f"{duration(int(worker.beat_seconds_ago * 1_000_000))} ago",
            Text(state, {"lost": "bold red", "draining": "yellow"}.get(state, "green")),
        )
    return table
