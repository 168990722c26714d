"""The workers there are, and whether any of them serves a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from ..core.needs import Offer
from ..core.run_state import RunState
from ..eventstore.dispatch import WorkerRow
from ..eventstore.owner import is_dead
from ..eventstore.store import Store

LOST_SECONDS = 10
"""A worker that has said nothing for longer than this is lost; it reports every second."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker last said of itself, how many seconds ago, and whether it is lost: silent, or known to be dead.

    `stops_seen` is how many events of the control stream of emergency stops it goes by; `stopped_here` says that its
    environment or a file on its host stops it, and `up_seconds` for how long it had been up then."""

    host: str
    pid: int
    version: str
    queues: list[str]
    skills: list[str]
    workflows: list[str]
    pins: dict[str, list[str]]
    concurrency: int
    running: int
    draining: bool
    stops_seen: int
    stopped_here: bool
    beat_seconds_ago: float
    lost: bool
    up_seconds: float = 0.0


def reports(store: Store) -> list[WorkerReport]:
    """The workers that have not left, by host and pid; a report that cannot be read is left out."""
    read = [report for row in store.dispatch.workers() if (report := _report(row)) is not None]
    return sorted(read, key=lambda report: (report.host, report.pid))


def _report(row: WorkerRow) -> WorkerReport | None:
    lost = row.seconds_ago > LOST_SECONDS or is_dead(row.owner)
    try:
        said: dict[str, Any] = orjson.loads(row.report)
        return WorkerReport(
            host=str(said["host"]),
            pid=int(said["pid"]),
            version=str(said["version"]),
            queues=[str(queue) for queue in said["queues"]],
            skills=[str(skill) for skill in said["skills"]],
            workflows=[str(name) for name in said["workflows"]],
            pins={str(name): [str(each) for each in versions] for name, versions in said["pins"].items()},
            concurrency=int(said["concurrency"]),
            running=int(said["running"]),
            draining=bool(said["draining"]),
            stops_seen=int(said.get("stops_seen", 0)),
            stopped_here=bool(said.get("stopped_here", False)),
            beat_seconds_ago=round(row.seconds_ago, 3),
            lost=lost,
            up_seconds=float(said.get("up_seconds", 0.0)),
        )
    except (ValueError, KeyError, TypeError):
        return None


class WorkerCount(NamedTuple):
    """How many workers are `alive`, and how many `lost`: silent for over 10 s without having said goodbye, and nobody
    has started since who does at least the same."""

    alive: int
    lost: int


def count_workers(workers: Iterable[WorkerReport]) -> WorkerCount:
    """How many of the workers there are still, and how many nobody has replaced."""
    alive: list[WorkerReport] = []
    silent: list[WorkerReport] = []
    for each in workers:
        (silent if each.beat_seconds_ago > LOST_SECONDS else alive).append(each)
    return WorkerCount(len(alive), sum(not any(_replaces(new, old) for new in alive) for old in silent))


def _replaces(new: WorkerReport, old: WorkerReport) -> bool:
    """Whether `new` has started after `old` was heard for the last time, and serves all that it served."""
    began = new.beat_seconds_ago + new.up_seconds
    serves = set(new.queues) >= set(old.queues) and set(new.skills) >= set(old.skills)
    return began < old.beat_seconds_ago and serves and set(new.workflows) >= set(old.workflows)


def live_offers(workers: Iterable[WorkerReport]) -> list[Offer]:
    """What those of the workers offer that are not lost."""
    return [
        Offer(
            frozenset(worker.skills),
            frozenset(worker.workflows),
            {name: frozenset(versions) for name, versions in worker.pins.items()},
        )
        for worker in workers
        if not worker.lost
    ]


def unserved(workers: Collection[WorkerReport], state: RunState) -> str | None:
    """Why no live worker serves the run; None when one does."""
    queue = state.started.queue
    missing = lacking([worker for worker in workers if queue in worker.queues and not worker.draining], state.needs)
    return None if missing is None else told(queue, missing)


def lacking(workers: Iterable[WorkerReport], needs: str) -> list[str] | None:
    """What that worker lacks which lacks the least of `needs`, of those that are not lost; None when one serves them,
    and nothing where there is no worker."""
    found = [offer.lacking(needs) for offer in live_offers(workers)]
    if not found:
        return []
    return min(found, key=len) or None


def told(queue: str, missing: Collection[str]) -> str:
    """Why nobody serves runs of the queue, in words; `missing` is what `lacking` says."""
    if not missing:
        return f"no worker on queue {queue}"
    return f"no worker serves it: {', '.join(map(_said, missing))} {'is' if len(missing) == 1 else 'are'} missing"


def _said(need: str) -> str:
    """A need as a person says it: skills are named, a workflow with its version."""
    kind, space, workflow = need.partition(" ")
    if not space:
        return f"skill {need}"
    workflow_type, _, version = workflow.partition(" ")
    return f"{kind} {workflow_type}" + (f" in version {version}" if version else "")
