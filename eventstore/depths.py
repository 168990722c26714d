"""How many runs there are in the queues, counted in the dispatch table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..core.ports import HELD


class Depth(NamedTuple):
    """How many runs of a queue need the same: `ready` to be claimed, `leased` by somebody, due `later` or waiting for a
    message, and `held` back by an emergency stop. The longest ready one has been so since `ready_since`, in seconds
    since the epoch, where that is known (a run that a message made due is so since 0)."""

    queue: str
    needs: str
    ready: int
    leased: int
    later: int
    held: int
    ready_since: float | None


HELD_FROM, HELD_UNTIL = HELD / 1_000_000, 3e12
"""Between these due times, in seconds, are those of runs that an emergency stop holds back."""

DEPTHS = f"""
SELECT queue, needs, sum(ready), sum(leased), sum(1 - ready - leased - held), sum(held),
    min(CASE WHEN ready = 1 AND due_at > 0 THEN due_at END)
FROM (
    SELECT queue, needs, due_at,
        CASE WHEN owner IS NOT NULL AND lease_until > {{now}} THEN 1 ELSE 0 END AS leased,
        CASE WHEN (owner IS NULL OR lease_until <= {{now}}) AND due_at <= {{now}} THEN 1 ELSE 0 END AS ready,
        CASE WHEN (owner IS NULL OR lease_until <= {{now}}) AND due_at >= {HELD_FROM:.0f} AND due_at < {HELD_UNTIL:.0f}
            THEN 1 ELSE 0 END AS held
    FROM dispatch
) AS counted
GROUP BY queue, needs
"""
"""What `depths_of` reads."""


def depths_of(rows: Iterable[tuple[Any, ...]]) -> list[Depth]:
    """The rows of `DEPTHS`, in order of queue and needs."""
    found = [_depth(*row) for row in rows]
    return sorted(found, key=lambda each: (each.queue, each.needs))


def _depth(queue: str, needs: str, ready: Any, leased: Any, later: Any, held: Any, since: float | None) -> Depth:
    # PostgreSQL sums to a number of its own kind.
    return Depth(queue, needs, int(ready), int(leased), int(later), int(held), since)
