"""What the records of a shadow simulation come to: the summary, the hours of its table, and how far a stretch is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

Record = dict[str, Any]
"""A line of `records.jsonl`."""

COUNTED = ("workflows", "replays", "restorations", "golden_validations")
"""The counters of a cycle's record that are added up."""

_MOST_SHOWN = 20


class Stretch(NamedTuple):
    """What one call set out to do, over all kills: its number, its cycles so far, the seconds that it has had."""

    number: int
    cycles: int
    seconds: float


def stretch_of(records: Sequence[Record], ended: bool) -> Stretch:
    """The stretch to go on with, or with `ended` (the last one came to its end) a new one."""
    cycles = [each for each in records if each["type"] == "cycle"]
    number = max((each["stretch"] for each in records if each["type"] == "session"), default=0)
    if ended or not number:
        return Stretch(number + 1, 0, 0.0)
    mine = [each for each in cycles if each["stretch"] == number]
    return Stretch(number, len(mine), max((each["stretch_seconds"] for each in mine), default=0.0))


def next_cycle(records: Iterable[Record]) -> int:
    """The number of the cycle that comes next, from 1."""
    return max((each["cycle"] for each in records if each["type"] == "cycle"), default=0) + 1


def summary_of(records: Sequence[Record], state: str) -> dict[str, Any]:
    """The summary of all `records`; `state` is `running`, `ended` or `stopped`."""
    cycles = [each for each in records if each["type"] == "cycle"]
    hooks = [each for each in records if each["type"] == "webhook"]
    seconds = [each["seconds"] for each in cycles]
    bad = [mismatch | {"cycle": each["cycle"]} for each in cycles for mismatch in each["mismatches"]]
    kinds: dict[str, Counter[str]] = {}
    faults: Counter[str] = Counter()
    for each in cycles:
        faults.update(each["faults"])
        for kind, counts in each["by_kind"].items():
            kinds.setdefault(kind, Counter()).update(counts)
    return {
        "state": state,
        "started_at": records[0]["at"] if records else None,
        "updated_at": records[-1]["at"] if records else None,
        "last_cycle_at": cycles[-1]["at"] if cycles else None,
        "sessions": sum(each["type"] == "session" for each in records),
        "cycles": len(cycles),
        **{name: sum(each[name] for each in cycles) for name in COUNTED},
        "mismatches": len(bad),
        "by_kind": {
            kind: {name: counts[name] for name in ("workflows", "mismatches")} for kind, counts in sorted(kinds.items())
        },
        "by_check": dict(sorted(Counter(each["check"] for each in bad).items())),
        "faults": dict(sorted(faults.items())),
        "webhooks": {"sent": sum(each["sent"] for each in hooks), "failed": sum(not each["sent"] for each in hooks)},
        "seconds": {
            "working": round(sum(seconds), 3),
            "mean_cycle": round(sum(seconds) / len(seconds), 3) if seconds else 0,
            "longest_cycle": max(seconds, default=0),
        },
        "first_mismatches": bad[:_MOST_SHOWN],
    }


class Hour(NamedTuple):
    """A row of the hourly table: which hour (UTC), how many cycles, and the sums of what they counted."""

    hour: str
    cycles: int
    counted: dict[str, int]
    mismatches: int
    faults: int


def hours_of(records: Iterable[Record]) -> list[Hour]:
    """The cycles by the hour in which they ended."""
    by_hour: dict[str, list[Record]] = {}
    for each in records:
        if each["type"] == "cycle":
            by_hour.setdefault(each["at"][:13].replace("T", " ") + ":00", []).append(each)
    return [
        Hour(
            hour,
            len(cycles),
            {name: sum(each[name] for each in cycles) for name in COUNTED},
            sum(len(each["mismatches"]) for each in cycles),
            sum(sum(each["faults"].values()) for each in cycles),
        )
        for hour, cycles in by_hour.items()
    ]
