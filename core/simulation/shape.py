"""The shape of a plan: how deep its steps lie, how many could run side by side, which path is the longest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..plan import Plan


def depths(plan: Plan) -> list[int]:
    """For each index how many steps must end one after the other before it."""
    found: list[int] = []
    for step in plan.steps:
        found.append(1 + max((found[need] for need in step.dependencies), default=-1))
    return found


def widest(depths: Sequence[int]) -> int:
    """How many steps lie at the same depth, at most."""
    return max(Counter(depths).values())


def longest_path(plan: Plan, seconds: Sequence[float]) -> list[int]:
    """The indexes of the path that takes longest; of equal ones that with more steps, then with lower indexes."""
    ends: list[tuple[float, int]] = []
    before: list[int | None] = []
    for step in plan.steps:
        last = max(step.dependencies, key=lambda need: (*ends[need], -need), default=None)
        start, length = (0.0, 0) if last is None else ends[last]
        ends.append((start + seconds[step.index], length + 1))
        before.append(last)
    at: int | None = max(range(len(ends)), key=lambda index: (*ends[index], -index))
    path: list[int] = []
    while at is not None:
        path.append(at)
        at = before[at]
    return path[::-1]
