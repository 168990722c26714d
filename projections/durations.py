"""How long steps have taken: of the latest runs of a workflow, and of those of a tenant by skill."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.simulation.facts import Records, Sample
from ..eventstore.store import Store
from ..eventstore.tables import Generation
from .runs import RUNS
from .timeline import TIMELINE

MOST_RUNS = 100
"""So many of the latest completed runs are looked at, of the workflow and of the tenant."""

MOST_SPANS = 20_000
"""No more steps than this are looked at, of each."""


class _Spans(NamedTuple):
    """How long steps took in seconds, and how many attempts, by a name."""

    seconds: dict[str, list[float]]
    attempts: dict[str, list[int]]

    def add(self, name: str, row: Mapping[str, Any]) -> None:
        """Take in a span."""
        self.seconds.setdefault(name, []).append(row["took"] / 1_000_000)
        self.attempts.setdefault(name, []).append(row["attempts"] or 1)

    def samples(self) -> dict[str, Sample]:
        """What they tell together."""
        return {name: _sample(took, self.attempts[name]) for name, took in self.seconds.items()}


def recorded(store: Store, tenant: str, workflow_type: str, skills: Collection[str]) -> Records:
    """What the projections `runs` and `timeline` tell; nothing where they are not built.

    A step's time counts from the end of what it depends on to its own, so waiting and retries are in it.
    """
    active = {each.name: each for each in store.tables.generations() if each.active}
    runs, timeline = active.get("runs"), active.get("timeline")
    if runs is None or timeline is None:
        return Records()
    steps, other = _Spans({}, {}), _Spans({}, {})
    ids = _latest(store, runs, {"tenant": tenant, "workflow_type": workflow_type, "status": "completed"})
    for row in _spans(store, timeline, tenant, ids):
        steps.add(row["step_id"], row)
        other.add(row["skill"], row)
    if not set(skills) <= other.seconds.keys():
        for row in _spans(store, timeline, tenant, _latest(store, runs, {"tenant": tenant, "status": "completed"})):
            if row["run_id"] not in ids:
                other.add(row["skill"], row)
    return Records(len(ids), steps.samples(), other.samples())


def _latest(store: Store, runs: Generation, where: Mapping[str, Any]) -> list[str]:
    rows = store.tables.rows(runs, RUNS.name, where, MOST_RUNS, None, ("position",), True)
    at = RUNS.names.index("run_id")
    return [row[at] for row in rows]


def _spans(store: Store, timeline: Generation, tenant: str, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The completed steps of the runs."""
    found: list[dict[str, Any]] = []
    for run_id in run_ids:
        room = MOST_SPANS - len(found)
        if room <= 0:
            break
        where = {"tenant": tenant, "run_id": run_id, "kind": "step", "status": "completed"}
        rows = store.tables.rows(timeline, TIMELINE.name, where, room)
        told = (dict(zip(TIMELINE.names, row, strict=True)) for row in rows)
        found += [row for row in told if row["took"] is not None]
    return found


def _sample(seconds: Sequence[float], attempts: Sequence[int]) -> Sample:
    ordered = sorted(seconds)
    slow = ordered[min(len(ordered) * 19 // 20, len(ordered) - 1)]
    return Sample(len(ordered), _median(ordered), slow, sum(attempts) / len(attempts))


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
