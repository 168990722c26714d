"""Fan-out: a thousand steps side by side, their results added up. After a crash only what is missing is done.

Try it:

    refold run primes --skills examples/gallery/fan_out.py --run-id primes-1
    refold show primes-1 --limit 10
"""

from __future__ import annotations

from itertools import pairwise

from refold import gather, skill, workflow


@skill(deterministic=True)
async def count_primes(start: int, end: int) -> int:
    """How many primes there are from `start` up to, but not with, `end`."""
    return sum(
        all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in range(max(start, 2), end)
    )


@workflow
async def primes(below: int = 100_000, parts: int = 1_000) -> dict[str, int]:
    """Divide the numbers among `parts` steps; at most 64 of them run at a time."""
    edges = [below * part // parts for part in range(parts + 1)]
    counts = await gather(*(count_primes(start, end) for start, end in pairwise(edges)))
    return {"primes": sum(counts), "parts": len(counts)}
