"""Whether processes grow: resident memory over time, one series for each life of a process."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

PAGE_BYTES = 4096

LIMIT = 0.05
"""By how much a process may grow in the second half."""

FEWEST = 60
"""Samples below which nothing is judged: what has just started grows."""


class Life(NamedTuple):
    """A process from its start to its end."""

    name: str
    pid: int


class Growth(NamedTuple):
    """What a life came to: bytes in the first and the last third of the second half; `judged`: whether it counts."""

    life: Life
    samples: int
    first: float
    last: float
    peak: int
    judged: bool

    @property
    def share(self) -> float:
        """How much it grew: 0.05 is five in a hundred."""
        return self.last / self.first - 1

    @property
    def fine(self) -> bool:
        """Whether that is little enough, or not to be judged."""
        return not self.judged or self.share < LIMIT


class Memory:
    """The samples of all lives."""

    def __init__(self) -> None:
        self.series: dict[Life, list[tuple[float, int]]] = defaultdict(list)

    def look(self, at: float, name: str, pid: int) -> None:
        """Take a sample; of a process that has gone there is none."""
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return
        if pages:
            self.series[Life(name, pid)].append((at, pages * PAGE_BYTES))

    def growths(self, half: float, until: float) -> list[Growth]:
        """What came of each life between `half` and `until`; judged are those that were there all the time."""
        found: list[Growth] = []
        for life, samples in self.series.items():
            later = [size for at, size in samples if half <= at <= until]
            if len(later) < 3:
                continue
            third = len(later) // 3
            whole = samples[0][0] <= half and samples[-1][0] >= until - (until - half) * 0.05
            sizes = median(later[:third]), median(later[-third:])
            found.append(Growth(life, len(later), *sizes, max(later), whole and len(later) >= FEWEST))
        return found
