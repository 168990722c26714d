"""Failures counted for pictures: what failed for good beside what was tried again, by one thing, and over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..eventstore.store import Store
from ..eventstore.tables import Generation
from .analytics import Wanted, failure_counts
from .run_counts import DAY, HOUR
from .times import iso

MOST_BARS = 370
"""A picture over time has no more bars: the last ones."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much failed that has `value` in common: steps, runs and parked runs for good, attempts that another followed.

    `series` is the number that failed for good over time, as far as it was asked for.
    """

    value: Any
    steps: int
    runs: int
    parked: int
    again: int
    series: tuple[int, ...] = ()

    @property
    def final(self) -> int:
        """What failed for good: a run that fails by a step counts as the step too."""
        return self.steps + self.runs + self.parked

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        told: dict[str, Any] = {"value": self.value, "final": self.final, "again": self.again}
        return {**told, "steps": self.steps, "runs": self.runs, "parked": self.parked, "series": list(self.series)}


def tallies(
    store: Store, of: Generation, wanted: Wanted, by: str, times: Sequence[int] = (), unit: str = "day"
) -> list[Tally]:
    """How much failed by `by` (of `FAILURE_GROUPS`), most first; with `times`, their series. Raises CallError."""
    kinds: dict[Any, Counter[str]] = {}
    for value, kind, number in failure_counts(store, of, wanted, [by, "kind"]):
        kinds.setdefault(value, Counter())[kind] += number
    series: dict[Any, Counter[int]] = {}
    if times:
        for value, at, kind, number in failure_counts(store, of, wanted, [by, unit, "kind"]):
            series.setdefault(value, Counter())[at] += number if kind != "attempt" else 0
    found = [_tally(value, counts, series.get(value, Counter()), times) for value, counts in kinds.items()]
    return sorted(found, key=lambda each: (-each.final, -each.again, str(each.value)))


def over_time(store: Store, of: Generation, wanted: Wanted, unit: str, now: int) -> list[Tally]:
    """How much failed in each `unit` (hour, day) from the first to the last, or from `wanted.since` to `now` (µs since
    the epoch); the values are the begins of the units in µs."""
    kinds: dict[int, Counter[str]] = {}
    for at, kind, number in failure_counts(store, of, wanted, [unit, "kind"]):
        kinds.setdefault(at, Counter())[kind] += number
    width = HOUR if unit == "hour" else DAY
    first = min(kinds, default=now) if wanted.since is None else wanted.since
    last = max([now, *kinds]) if wanted.until is None else max(wanted.until - 1, first)
    end = last // width * width
    start = max(first // width * width, end - (MOST_BARS - 1) * width)
    return [_tally(at, kinds.get(at, Counter()), Counter(), ()) for at in range(start, end + 1, width)]


def timed(tally: Tally) -> dict[str, Any]:
    """A tally of a moment as a JSON object, with the time as text."""
    return {**tally.to_json(), "value": iso(tally.value)}


def _tally(value: Any, kinds: Counter[str], series: Counter[int], times: Sequence[int]) -> Tally:
    counts = (kinds["step"], kinds["run"], kinds["parked"], kinds["attempt"])
    return Tally(value, *counts, tuple(series[at] for at in times))
