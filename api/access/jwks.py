"""The issuer's keys (RFC 7517): from a file or a URL, off the event loop, kept when the issuer is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from ...core.documents import parse_json
from ...core.errors import RefoldError

FRESH_SECONDS = 300.0
"""Keys older than this are fetched again, beside whoever asks."""

RETRY_SECONDS = 10.0
"""They are fetched at most so often, whatever tokens name."""

_MAX_BYTES = 1_000_000
_MAX_KEYS = 100
_FETCH_SECONDS = 5.0
_log = logging.getLogger(__name__)

PublicKey = RSAKey | ECKey | OKPKey
"""A key by which a signature is checked, and none can be made."""


class KeySetSource:
    """The keys at `place`, a file or a URL. Used from one event loop."""

    def __init__(self, place: str):
        self._place = place
        self._keys: list[PublicKey] = []
        self._loaded = self._tried = -FRESH_SECONDS
        self._loading: asyncio.Task[None] | None = None

    async def candidates(self, kid: str | None) -> Sequence[PublicKey]:
        """The keys that a token may be signed with that names this one; all if it names none."""
        now = time.monotonic()
        if now - self._loaded >= FRESH_SECONDS:
            task = self._load_again(now)
            if task is not None and not self._keys:
                await asyncio.shield(task)
        found = self._named(kid)
        if not found:
            task = self._load_again(time.monotonic())
            if task is not None:
                await asyncio.shield(task)
                found = self._named(kid)
        return found

    def _named(self, kid: str | None) -> list[PublicKey]:
        return [key for key in self._keys if kid is None or key.kid == kid]

    def _load_again(self, now: float) -> asyncio.Task[None] | None:
        """What loads them, begun now unless it was begun just now; None where nothing is under way."""
        if self._loading is not None and not self._loading.done():
            return self._loading
        if now - self._tried < RETRY_SECONDS:
            return None
        self._tried = now
        self._loading = asyncio.get_running_loop().create_task(self._load())
        return self._loading

    async def _load(self) -> None:
        try:
            data = await asyncio.to_thread(_read, self._place)
            self._keys = await asyncio.to_thread(keys_of, data)
            self._loaded = time.monotonic()
        except (OSError, httpx2.HTTPError, RefoldError, ValueError) as error:
            _log.warning(
                "the keys of the issuer cannot be had (%s); %d are kept", type(error).__name__, len(self._keys)
            )


def keys_of(data: bytes) -> list[PublicKey]:
    """The keys of a key set by which signatures can be checked; what is none, or not understood, is left out (RFC 7517,
    section 5). Raises DocumentError, ValueError for what is no key set."""
    document: Any = parse_json(data, max_bytes=_MAX_BYTES)
    listed = cast("dict[str, Any]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("this is no key set")
    found: list[PublicKey] = []
    for told in cast("list[Any]", listed)[:_MAX_KEYS]:
        if not isinstance(told, dict) or cast("dict[str, Any]", told).get("use") == "enc":
            continue
        try:
            key = JWKRegistry.import_key(cast("Any", told))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, RSAKey | ECKey | OKPKey):
            found.append(key)
    return found


def _read(place: str) -> bytes:
    if "://" not in place:
        with Path(place).open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    data = bytearray()
    with (
        httpx2.Client(trust_env=False, timeout=_FETCH_SECONDS, follow_redirects=False) as client,
        client.stream("GET", place, headers={"accept": "application/json"}) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"the issuer answers {response.status_code}")
        until = time.monotonic() + 2 * _FETCH_SECONDS
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > _MAX_BYTES or time.monotonic() > until:
                raise ValueError("the key set is too large, or comes too slowly")
    return bytes(data)
