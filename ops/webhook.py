"""Telling a webhook: a JSON document by POST, tried again with growing pauses, within a limit of time."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import httpx2

TRIES = 4
"""How often at most."""

TIMEOUT_SECONDS = 5.0
"""How long one try may take."""

FIRST_PAUSE_SECONDS = 0.5
"""How long to wait after the first; each further pause is twice the one before."""


class Sent(NamedTuple):
    """What came of it: whether it was taken (2xx), how many tries that needed, and the last error, "" if none."""

    sent: bool
    tries: int
    error: str


async def post(url: str, body: dict[str, Any], pause_seconds: float = FIRST_PAUSE_SECONDS) -> Sent:
    """Send `body` to `url`. Never raises: what went wrong is in the answer, without the URL, which may be a secret."""
    error = ""
    for number in range(1, TRIES + 1):
        if number > 1:
            await asyncio.sleep(pause_seconds * 2 ** (number - 2))
        try:
            async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(TIMEOUT_SECONDS):
                answer = await client.post(url, json=body)
        except Exception as fault:
            # A URL that cannot be, a server that is away, a certificate that is none: all the same to the sender.
            error = type(fault).__name__
            continue
        if answer.is_success:
            return Sent(True, number, "")
        error = f"HTTP {answer.status_code}"
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
            return Sent(False, number, error)
    return Sent(False, TRIES, error)
