"""Requests that carry an idempotency key, each in a control stream of its own, `control/requests/TENANT/KEY`.

See `refold.core.events`, which has this class too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class RequestKeyed:
    """A key was used for the first time, by `by` ("" when nobody said): from now on it stands for this request.

    `request` is the HMAC-SHA256 of the request under the key, so that who has the log, and not the key, cannot try out
    what was asked for. The key itself is in no event; the stream is called by its SHA-256.
    """

    topic: ClassVar = "request.keyed"
    schema: ClassVar = 1

    at: int
    request: str
    by: str
