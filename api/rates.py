"""How many requests a caller may send: a bucket of tokens for each, filled again as time goes by."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus

from .problems import Refusal

TOO_MANY = "REQUESTS_TOO_MANY"
"""The failure code of a request beyond the rate."""

MOST_CALLERS = 10_000
"""So many buckets are kept, of those that asked last; a caller who comes back after that begins with a full one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second of one caller, and how many at once after a pause. 0 a second is as many as they like."""

    per_second: float = 2_000.0
    burst: int = 4_000


class Rates:
    """The buckets, in bounded memory."""

    def __init__(self, rate: Rate | None = None, clock: Callable[[], float] = time.monotonic):
        self.rate = rate or Rate()
        self.refused = 0
        self._clock = clock
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, caller: bytes) -> None:
        """Count one request of `caller`. Raises Refusal (429, with Retry-After) beyond the rate."""
        rate = self.rate
        if not rate.per_second:
            return
        now = self._clock()
        left, at = self._buckets.pop(caller, (float(rate.burst), now))
        left = min(left + (now - at) * rate.per_second, rate.burst)
        enough = left >= 1
        self._buckets[caller] = (left - 1 if enough else left, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        if not enough:
            raise self._too_many(1 - left)

    def _too_many(self, lacking: float) -> Refusal:
        self.refused += 1
        rate, wait = self.rate, max(1, math.ceil(lacking / self.rate.per_second))
        headers = {
            "retry-after": str(wait),
            # draft-ietf-httpapi-ratelimit-headers: the quota `q` of a window of `w` seconds, `r` left for `t` seconds.
            "ratelimit-policy": f'"caller";q={rate.burst};w={max(1, math.ceil(rate.burst / rate.per_second))}',
            "ratelimit": f'"caller";r=0;t={wait}',
        }
        detail = f"more than {rate.per_second:g} requests a second of this caller"
        return Refusal(HTTPStatus.TOO_MANY_REQUESTS, detail, code=TOO_MANY, headers=headers)


def name_of(credentials: bytes | None, address: str) -> bytes:
    """By what a caller is known before anything is asked of the store: what it shows, else where it comes from."""
    if credentials is None:
        return b"@" + address.encode()
    return blake2b(credentials, digest_size=16).digest()
