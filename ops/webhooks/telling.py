"""Telling a URL that the operator has named: a few tries at once, instead of a place in the outbox."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple
from uuid import uuid4

from ...core.addresses import Allowed, parse_url
from ...core.canonical import canonical_json
from ...core.errors import AddressRefusedError
from .post import Message, Poster

TRIES = 4
"""How often at most."""

TIMEOUT_SECONDS = 5.0
"""How long one try may take."""

FIRST_PAUSE_SECONDS = 0.5
"""How long to wait after the first; each further pause is twice the one before."""


class Told(NamedTuple):
    """What came of it: whether it was taken (2xx), how many tries that needed, and the last error, "" if none."""

    sent: bool
    tries: int
    error: str


async def tell(
    url: str, body: dict[str, Any], secret: bytes | None = None, pause_seconds: float = FIRST_PAUSE_SECONDS
) -> Told:
    """Send `body` to `url`, whose host may be any, signed if there is a secret.

    Never raises: what went wrong is in the answer, without the URL, which may be a secret.
    """
    try:
        allowed = Allowed(hosts=frozenset([parse_url(url).host]), http=True)
    except AddressRefusedError as error:
        return Told(False, 0, error.code)
    poster = Poster(allowed, whole_seconds=TIMEOUT_SECONDS)
    message = Message(f"msg_{uuid4().hex}", canonical_json(body), [] if secret is None else [secret])
    error = ""
    for number in range(1, TRIES + 1):
        if number > 1:
            await asyncio.sleep(pause_seconds * 2 ** (number - 2))
        sent = await poster.send(url, message, time.time_ns() // 1000)
        if sent.taken:
            return Told(True, number, "")
        error = sent.failure if sent.code is None else f"HTTP {sent.code}"
        if sent.code is not None and 400 <= sent.code < 500 and sent.code not in (408, 429):
            return Told(False, number, error)
    return Told(False, TRIES, error)
