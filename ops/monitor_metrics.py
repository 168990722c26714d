"""What a monitor of a shadow simulation tells on `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily


class MonitorMetrics:
    """The latest figures of a monitor, as a source of `Metrics`. `up` is 0 for a simulation that died or was stopped
    before its end; the age is None where nothing more is to come. Before the first look nothing is told."""

    def __init__(self) -> None:
        self.up: int | None = None
        self.age_seconds: float | None = None
        self.mismatches = 0
        self.free_ratio: float | None = None
        self.free_bytes: int | None = None

    def __call__(self) -> Iterator[Metric]:
        """The figures."""
        if self.up is None:
            return
        yield GaugeMetricFamily("refold_shadow_up", "1: the simulation runs, or came to its end.", value=self.up)
        yield GaugeMetricFamily("refold_shadow_mismatches", "Mismatches in all its records.", value=self.mismatches)
        if self.age_seconds is not None:
            meaning = "Seconds since its latest record; not told of one that has come to its end."
            yield GaugeMetricFamily("refold_shadow_log_age_seconds", meaning, value=self.age_seconds)
        for name, meaning, free in (
            ("refold_disk_free_ratio", "What is free of the disk, 0 to 1.", self.free_ratio),
            ("refold_disk_free_bytes", "Bytes free on the disk of a folder.", self.free_bytes),
        ):
            if free is not None:
                disk = GaugeMetricFamily(name, meaning, labels=["folder"])
                disk.add_metric(["shadow"], free)
                yield disk
