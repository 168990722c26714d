"""What `/metrics` tells of the server itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .admission import Admission
from .metrics_text import Source
from .rates import Rates
from .traffic import BOUNDS, Traffic

if TYPE_CHECKING:
    from prometheus_client import Metric


def http_metrics(traffic: Traffic, admission: Admission, rates: Rates) -> Source:
    """The source of what the server itself does."""

    def collect() -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        answered = CounterMetricFamily(
            "refold_http_requests",
            "Answers, by method, route and class of status.",
            labels=["method", "route", "status"],
        )
        for labels, count in list(traffic.answered.items()):
            answered.add_metric(labels, count)
        yield answered
        took = HistogramMetricFamily(
            "refold_http_request_seconds", "From the request to the beginning of its answer.", labels=["route"]
        )
        for route, counts in list(traffic.seconds.items()):
            took.add_metric([route], _cumulative(counts), traffic.seconds_sum[route])
        yield took
        refused = CounterMetricFamily(
            "refold_http_refused", "Requests refused because there were too many.", labels=["reason"]
        )
        refused.add_metric(["busy"], admission.refused)
        refused.add_metric(["rate"], rates.refused)
        yield refused
        for name, meaning, value in (
            ("requests_under_way", "Requests under way, those that wait among them.", traffic.under_way),
            ("places_taken", "Requests that have a place.", admission.taken),
            ("places_waited_for", "Requests that wait for a place.", admission.waiting),
            ("store_calls", "Calls to the store under way or waiting for a thread.", admission.asking),
            ("listeners", "Streams of live events that are open.", traffic.listeners),
        ):
            yield GaugeMetricFamily(f"refold_http_{name}", meaning, value=value)

    return collect


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
