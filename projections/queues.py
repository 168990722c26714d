"""The queues: how many runs are in each, and which of them no live worker would take up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..core.ids import CONTROL
from ..eventstore.depths import Depth
from ..eventstore.store import Store
from .worker_reports import WorkerReport, lacking, reports, told


@dataclass(frozen=True, slots=True)
class Unserved:
    """So many runs of a queue nobody takes up, for this reason."""

    why: str
    runs: int


@dataclass(frozen=True, slots=True)
class QueueReport:
    """A queue: runs that are `ready` to be taken up, `leased` by a process, due `later` (or waiting for a message) and
    `held` back by an emergency stop. `oldest_seconds` is for how long the first ready one has been due, None where
    there is none or that is not known; `workers` how many live ones serve the queue."""

    queue: str
    ready: int
    leased: int
    later: int
    held: int
    oldest_seconds: float | None
    workers: int
    unserved: tuple[Unserved, ...]


def queues(store: Store) -> list[QueueReport]:
    """The queues that hold runs or that a live worker serves, by name. Raises StoreError."""
    return queue_reports(store.dispatch.depths(), reports(store), store.dispatch.now() / 1_000_000)


def queue_reports(depths: Iterable[Depth], workers: Iterable[WorkerReport], now: float) -> list[QueueReport]:
    """The same of what is given; `now` in seconds since the epoch."""
    live = [worker for worker in workers if not worker.lost]
    found: dict[str, list[Depth]] = {queue: [] for worker in live for queue in worker.queues}
    for depth in depths:
        if depth.queue.startswith(f"{CONTROL}/"):
            continue  # Those are jobs, of which no worker knows.
        found.setdefault(depth.queue, []).append(depth)
    return [_report(queue, rows, live, now) for queue, rows in sorted(found.items())]


def _report(queue: str, rows: list[Depth], live: list[WorkerReport], now: float) -> QueueReport:
    since = min((row.ready_since for row in rows if row.ready_since is not None), default=None)
    serving = [worker for worker in live if queue in worker.queues and not worker.draining]
    whys: dict[str, int] = {}
    for row in rows:
        missing = lacking(serving, row.needs)
        if missing is not None:
            why = told(queue, missing)
            whys[why] = whys.get(why, 0) + row.ready + row.leased + row.later + row.held
    unserved = tuple(Unserved(why, runs) for why, runs in sorted(whys.items()))
    return QueueReport(
        queue,
        sum(row.ready for row in rows),
        sum(row.leased for row in rows),
        sum(row.later for row in rows),
        sum(row.held for row in rows),
        None if since is None else max(round(now - since, 3), 0.0),
        len(serving),
        unserved,
    )
