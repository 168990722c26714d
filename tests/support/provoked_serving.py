"""A server that has too much to do, by the code that must be told."""

from __future__ import annotations

from contextlib import closing

from refold.api.admission import Admission, PlaceLimits
from refold.api.problems import Refusal
from refold.api.rates import Rate, Rates
from refold.ops.certify_faults import Bench

from .provoked_runs import Provoke


async def _busy(_: Bench) -> str | None:
    with closing(Admission(PlaceLimits(places=0, line=0))) as places:
        places.begin()
        try:
            await places.ask(str)
        except Refusal as refusal:
            return refusal.failure
    return None


async def _too_many(_: Bench) -> str | None:
    try:
        Rates(Rate(per_second=1, burst=0)).take(b"ada")
    except Refusal as refusal:
        return refusal.failure
    return None


SERVING: dict[str, Provoke] = {"SERVER_BUSY": _busy, "REQUESTS_TOO_MANY": _too_many}
"""By the code that must be told."""
