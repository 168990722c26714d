"""How the whole store stands, and this process's way to it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from ...core.emergency import Stops
from ...core.ids import EMERGENCY
from ...core.labels import Bounded
from ...eventstore.codec import open_envelope
from ...eventstore.log import EventLog
from ...eventstore.named_lease import NamedLease
from ...eventstore.store import Store
from ...projections.approvals import APPROVALS
from ...projections.queues import queue_reports
from ...projections.standings import standings
from ...projections.worker_reports import count_workers, reports
from .asking import Asking

FRESH_SECONDS = 3.0
"""For so long what was found is told again."""

OLD_SECONDS = 60.0
"""What was found longer ago is not told any more."""

AHEAD_SECONDS = 120.0
"""Who was not asked for so long lets the gauges of the store be told by another process."""

PROBE_PATIENCE, GAUGES_PATIENCE = 1.0, 0.7
"""Seconds that a scrape waits, at most: for whether the store answers, and for how it stands."""


class StoreGauges:
    """A source of metrics: of how the store stands, if no other process tells that, and whether it answers here."""

    def __init__(self, store: Store, owner: str):
        self._store = store
        self._lease = NamedLease(store, "gauges", owner)
        self._queues = Bounded()
        self._probe = Asking("refold-io-probe", self._probed, FRESH_SECONDS)
        self._gauges = Asking(
            "refold-io-gauges", self._looked, FRESH_SECONDS, ahead=AHEAD_SECONDS, left=self._lease.release
        )

    def __call__(self) -> Iterator[Metric]:
        """What is told now, in bounded time. Of a store that does not answer nothing is told but that."""
        probe = self._probe.get(PROBE_PATIENCE)
        skew = probe.value if probe is not None and time.monotonic() - probe.at < 2 * FRESH_SECONDS else None
        up = GaugeMetricFamily("refold_store_up", "Whether the store answers this process.", value=skew is not None)
        yield up
        if skew is None:
            return
        yield GaugeMetricFamily(
            "refold_clock_skew_seconds", "How far this host's clock is ahead of the database's.", skew
        )
        found = self._gauges.get(GAUGES_PATIENCE)
        if found is not None and found.value is not None and time.monotonic() - found.at < OLD_SECONDS:
            yield from found.value

    def close(self) -> None:
        """Ask no more, and let another process tell."""
        self._probe.close()
        self._gauges.close()

    def _probed(self) -> float:
        """How far this host's clock is ahead, in seconds: the database's is taken to have been read half way."""
        ours, began = time.time(), time.perf_counter()
        theirs = self._store.dispatch.now() / 1_000_000
        return ours + (time.perf_counter() - began) / 2 - theirs

    def _looked(self) -> list[Metric]:
        return list(store_gauges(self._store, self._queues)) if self._lease.hold() else []


def store_gauges(store: Store, queues: Bounded) -> Iterator[Metric]:
    """How the store stands at this moment. Raises StoreError, IntegrityError."""
    yield from _work(store, queues)
    yield from _projections(store)
    stops = Stops.of(EventLog(store, "").events(EMERGENCY))
    yield GaugeMetricFamily("refold_emergency_stops", "Emergency stops in force.", len(stops.recorded()))
    approvals = next((each for each in store.tables.generations(APPROVALS.name) if each.active), None)
    if approvals is not None:
        ((waiting,),) = store.tables.counts(approvals, APPROVALS.name, {"status": "open"}, ())
        yield GaugeMetricFamily("refold_approvals_waiting", "Approvals that nobody has decided.", waiting)
    deliveries = GaugeMetricFamily(
        "refold_webhook_deliveries",
        "Deliveries that wait, fail and are tried again, or are given up.",
        labels=["state"],
    )
    for state, count in store.outbox.totals()._asdict().items():
        deliveries.add_metric([state], count)
    yield deliveries


def _work(store: Store, labels: Bounded) -> Iterator[Metric]:
    workers = reports(store)
    depth = GaugeMetricFamily("refold_workflow_queue_depth", "Runs that nobody has taken up yet.", labels=["queue"])
    ready: dict[str, int] = {}
    for queue in queue_reports(store.dispatch.depths(), workers, store.dispatch.now() / 1_000_000):
        label = labels.of(queue.queue)
        ready[label] = ready.get(label, 0) + queue.ready
    for label, count in sorted(ready.items()):
        depth.add_metric([label], count)
    yield depth
    known = GaugeMetricFamily("refold_workers", "Workers that are alive, and that are lost.", labels=["state"])
    for state, count in count_workers(workers)._asdict().items():
        known.add_metric([state], count)
    yield known
    age = oldest_running_seconds(store)
    yield GaugeMetricFamily(
        "refold_workflow_oldest_running_age_seconds", "For how long the oldest run goes on that a worker holds.", age
    )


def oldest_running_seconds(store: Store) -> float:
    """For how long the oldest of those runs goes on that somebody works on now; 0 where there is none."""
    streams = [each.stream for each in store.dispatch.leases() if each.stream.count("/") == 1]
    starts = store.starts(streams) if streams else {}
    oldest = min(starts, key=lambda stream: starts[stream], default=None)
    first = [] if oldest is None else store.read(oldest, 0, 1)
    return max(store.dispatch.now() - open_envelope(first[0]).at, 0) / 1_000_000 if first else 0.0


def _projections(store: Store) -> Iterator[Metric]:
    families = (
        GaugeMetricFamily("refold_projection_lag_seconds", "For how long its next event waits.", labels=["projection"]),
        GaugeMetricFamily("refold_projection_lag_events", "Events that it has not taken in.", labels=["projection"]),
        GaugeMetricFamily(
            "refold_projection_stopped", "Whether it stands still at an event, or is paused.", labels=["projection"]
        ),
    )
    for each in standings(store):
        if each.of.active:
            stopped = each.of.paused or each.of.error is not None
            values = (each.lag.seconds, each.lag.events, float(stopped))
            for family, value in zip(families, values, strict=True):
                family.add_metric([each.of.name], value)
    yield from families


class _Free(NamedTuple):
    folder: str
    free: int
    ratio: float


class Disks:
    """A source of metrics: what is free on the disks of `folders`, by what these hold."""

    def __init__(self, folders: Mapping[str, Path]):
        self._folders = dict(folders)

    def __call__(self) -> Iterator[Metric]:
        """What is free now; of a folder that cannot be looked at nothing is told."""
        size = GaugeMetricFamily("refold_disk_free_bytes", "Bytes free on the disk of a folder.", labels=["folder"])
        ratio = GaugeMetricFamily("refold_disk_free_ratio", "Which part of the disk is free.", labels=["folder"])
        for each in self._found():
            size.add_metric([each.folder], each.free)
            ratio.add_metric([each.folder], each.ratio)
        if self._folders:
            yield size
            yield ratio

    def _found(self) -> Iterator[_Free]:
        for name, folder in self._folders.items():
            path = folder.absolute()
            there = next((each for each in (path, *path.parents) if each.exists()), path)
            try:
                disk = shutil.disk_usage(there)
            except OSError:
                continue
            yield _Free(name, disk.free, disk.free / max(disk.used + disk.free, 1))
