"""Times as places on a line, with stretches in which nothing happened folded away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

FOLD_WIDTH = 5.0
"""How wide a folded stretch is, in percent of the line."""

MAX_FOLDS = 6
"""So many stretches are folded at most, the longest first."""

_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the line: from and until when (µs), between which percents, and whether it is folded."""

    begin: int
    end: int
    left: float
    right: float
    folded: bool


class Scale:
    """A line from `begin` to `end` (µs), of 100 percent; `idle` are the stretches that may be folded."""

    def __init__(self, begin: int, end: int, idle: Iterable[tuple[int, int]]):
        end = max(end, begin + 1)
        folded = _worth_folding(end - begin, idle)
        shown = (end - begin) - sum(until - since for since, until in folded)
        room = 100.0 - FOLD_WIDTH * len(folded)
        cuts = [begin, *(at for each in folded for at in each), end]
        self.stretches: list[Stretch] = []
        left = 0.0
        for since, until in pairwise(cuts):
            is_fold = (since, until) in folded
            width = FOLD_WIDTH if is_fold else room * (until - since) / max(shown, 1)
            if until > since:
                self.stretches.append(Stretch(since, until, left, left + width, is_fold))
                left += width

    def place(self, at: int) -> float:
        """Where a time stands, in percent."""
        for each in self.stretches:
            if at <= each.end:
                part = max(at - each.begin, 0) / (each.end - each.begin)
                return round(each.left + part * (each.right - each.left), 3)
        return 100.0

    def ticks(self, number: int = 4) -> list[tuple[float, int]]:
        """Places in equal distances that are not folded, with the time since the beginning in µs."""
        found: list[tuple[float, int]] = []
        for step in range(number + 1):
            place = 100.0 * step / number
            for each in self.stretches:
                if each.left <= place <= each.right and not each.folded:
                    part = (place - each.left) / max(each.right - each.left, 1e-9)
                    at = each.begin + part * (each.end - each.begin)
                    found.append((place, round(at) - self.stretches[0].begin))
                    break
        return found


def idle_between(busy: Iterable[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """The stretches from `begin` to `end` that none of `busy` touches."""
    found: list[tuple[int, int]] = []
    at = begin
    for since, until in sorted(busy):
        if since > at:
            found.append((at, min(since, end)))
        at = max(at, until)
    return [*found, (at, end)] if at < end else found


def _worth_folding(whole: int, idle: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Those that would take more than their share of what is shown, in order."""
    chosen: list[tuple[int, int]] = []
    shown = whole
    for since, until in sorted(idle, key=lambda each: each[0] - each[1])[:MAX_FOLDS]:
        if until - since <= shown * _SHARE:
            break
        chosen.append((since, until))
        shown -= until - since
    return sorted(chosen)
