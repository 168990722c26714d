"""What a process tells of itself, and of the log where it counts that."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from ...core.histogram import Histogram
from ...projections.metrics import COUNTERS, LATEST, CheckpointWatch, LogCounts


def process_metrics(build: str) -> Callable[[], Iterator[Metric]]:
    """The source of what holds for every process: its version, memory, processor time and files."""
    collector = ProcessCollector(registry=None)

    def collect() -> Iterator[Metric]:
        version = GaugeMetricFamily("refold_build_info", "The version of Refold that runs here.", labels=["version"])
        version.add_metric([build], 1)
        yield version
        yield from collector.collect()

    return collect


def append_metrics(appends: Histogram) -> Callable[[], Iterator[Metric]]:
    """The source of how long appends of this process took."""

    def collect() -> Iterator[Metric]:
        counted = appends.counted()
        yield HistogramMetricFamily(
            "refold_store_append_seconds",
            "How long transactions took that append events.",
            counted.buckets,
            counted.sum,
        )

    return collect


def log_metrics(counts: LogCounts, watch: CheckpointWatch) -> Callable[[], Iterator[Metric]]:
    """The source of what the log says, as far as this process has counted it, and of how long checkpoints took."""

    def collect() -> Iterator[Metric]:
        for name, values in counts.counters().items():
            family = COUNTERS[name]
            counter = CounterMetricFamily(f"refold_{name}", family.meaning, labels=family.labels)
            for labels, value in values.items():
                counter.add_metric(labels, value)
            yield counter
        runs, steps = counts.durations()
        yield HistogramMetricFamily(
            "refold_workflow_duration_seconds", "From the start of a run to its end.", runs.buckets, runs.sum
        )
        took = HistogramMetricFamily(
            "refold_workflow_step_duration_seconds",
            "From the end of what a step depends on to its own.",
            labels=["skill_id"],
        )
        for skill, counted in steps.items():
            took.add_metric([skill], counted.buckets, counted.sum)
        yield took
        costs = GaugeMetricFamily(
            "refold_workflow_step_cost_cents", f"The mean cost of the latest {LATEST} attempts.", labels=["skill_id"]
        )
        for skill, cents in counts.step_costs().items():
            costs.add_metric([skill], cents)
        yield costs
        saves = watch.saves.counted()
        yield HistogramMetricFamily(
            "refold_workflow_checkpoint_save_seconds",
            "How long transactions took that save checkpoints.",
            saves.buckets,
            saves.sum,
        )

    return collect


def golden_metrics(mismatched: Callable[[], int | None]) -> Callable[[], Iterator[Metric]]:
    """The source of how many goldens do not verify now; nothing while another process has the patrol (None)."""

    def collect() -> Iterator[Metric]:
        count = mismatched()
        if count is not None:
            yield GaugeMetricFamily("refold_goldens_mismatched", "Goldens that do not verify now.", count)

    return collect
