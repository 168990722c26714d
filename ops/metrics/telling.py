"""Which metrics a process tells: put together for `refold serve`, `dev`, `worker` and `projector` alike."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from ...api.metrics_text import Metrics, Source
from ...compose import BUILD
from ...core.histogram import Histogram
from ...eventstore.owner import this_process
from ...eventstore.store import Store
from ...projections.golden_patrol import GoldenPatrol
from ...projections.metrics import CheckpointWatch, LogCounts
from .gauges import Disks, StoreGauges
from .process import append_metrics, golden_metrics, log_metrics, process_metrics


class Counting(NamedTuple):
    """What a process counts that carries projections on."""

    counts: LogCounts
    watch: CheckpointWatch

    @classmethod
    def begun(cls) -> Counting:
        """Nothing is counted yet."""
        counts = LogCounts()
        return cls(counts, CheckpointWatch(counts))


@contextmanager
def telling(
    metrics: Metrics,
    store: Store,
    folders: Mapping[str, Path],
    *,
    appends: Histogram | None = None,
    counting: Counting | None = None,
    patrol: GoldenPatrol | None = None,
) -> Generator[None]:
    """Within, `metrics` tell of this process, of how the store stands, and of what it appends, counts and verifies."""
    gauges = StoreGauges(store, this_process(uuid4().hex))
    sources: list[Source] = [process_metrics(BUILD), gauges, Disks(folders)]
    if appends is not None:
        sources.append(append_metrics(appends))
    if counting is not None:
        sources.append(log_metrics(counting.counts, counting.watch))
    if patrol is not None:
        sources.append(golden_metrics(lambda: patrol.mismatched))
    metrics.sources += sources
    try:
        yield
    finally:
        for source in sources:
            metrics.sources.remove(source)
        gauges.close()
