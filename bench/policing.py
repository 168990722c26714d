"""What a policy costs: the same runs without one, under rules alone, and under a budget besides."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from figures import Figure
from workload import RUNS, STEPS, run_side_by_side

from refold.core.policy.document import Policy

_RULES = {"rules": [{"rule": "cheap", "max_run_cents": 1000}, {"rule": "few", "allow_skills": ["echo", "hash"]}]}
_POLICIES = {"rules": _RULES, "a budget": {**_RULES, "budgets": [{"scope": "tenant", "cents": 1_000_000_000}]}}


def policing_figures(name: str, url: str, rounds: int, progress: Callable[[str], None]) -> list[Figure]:
    """Steps a second on the store at `url`; the limit is what it does without a policy."""
    runs = max(RUNS // 5, 1)
    free: list[float] = []
    under: dict[str, list[float]] = {label: [] for label in _POLICIES}
    for _ in range(rounds):
        progress(f"policies, {name}")
        free.append(runs * STEPS / run_side_by_side(url, runs))
        for label, fields in _POLICIES.items():
            policy = Policy.parse({"policy": "bench", "version": label.replace(" ", "-"), **fields})
            under[label].append(runs * STEPS / run_side_by_side(url, runs, policy=policy))
    limit = statistics.median(free)
    return [Figure(f"steps under {label}, {name}", "steps/s", values, limit) for label, values in under.items()]
