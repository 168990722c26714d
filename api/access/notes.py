"""What is noted about one request while it is answered, for the guard that stands around everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

_PLACE = "refold.notes"


@dataclass(slots=True)
class Notes:
    """`cookies` are the values of Set-Cookie for the answer; `still` says whether whoever asked may still be told: long
    answers are cut off when a key is revoked."""

    cookies: list[bytes] = field(default_factory=list[bytes])
    form_secret: str | None = None
    still: Callable[[], Awaitable[bool]] | None = None


def notes_of(scope: MutableMapping[str, Any]) -> Notes:
    """The notes of the request with this ASGI scope."""
    return scope.setdefault(_PLACE, Notes())
