"""The keys that goldens are signed with: a file of secrets that only its owner may read.

    {"current": "k2", "keys": {"k1": {"retired_at": "2026-12-01T00:00:00Z", "secret": "…"}, "k2": {"secret": "…"}}}

Secrets are base64 of at least 32 bytes. They stand in no error, log or repr.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import orjson

from ..core.documents import parse_json
from ..core.errors import CallError, InvalidError, Problem
from ..eventstore.secret_file import read_secret_file, save_secret_file
from .times import iso

MIN_SECRET_BYTES = 32
"""As long as the hash, as RFC 2104 (3) asks for."""

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Key(NamedTuple):
    secret: bytes
    retired_at: int | None

    def __repr__(self) -> str:
        return f"_Key(retired_at={self.retired_at})"


class GoldenKeys:
    """Keys by id, one of them current: it signs. The others verify until they are retired."""

    def __init__(self, current: str, secrets_by_id: Mapping[str, bytes], retired_at: Mapping[str, int] | None = None):
        """`retired_at` is in microseconds since the epoch. Raises CallError for keys that cannot be."""
        retired = retired_at or {}
        self._keys = {key_id: _Key(secret, retired.get(key_id)) for key_id, secret in secrets_by_id.items()}
        self.current = current
        for key_id, key in self._keys.items():
            if not _KEY_ID.fullmatch(key_id):
                _refuse(f"a key is called {ascii(key_id)[:70]}", "use up to 64 letters, digits and . _ -")
            if len(key.secret) < MIN_SECRET_BYTES:
                _refuse(f"the secret of key {key_id!r} is shorter than {MIN_SECRET_BYTES} bytes", _MAKE)
        if current not in self._keys:
            _refuse("the current key is not among the keys", "let `current` name one of them")
        if self._keys[current].retired_at is not None:
            _refuse(f"the current key {current!r} is retired", _MAKE)

    @classmethod
    def load(cls, path: str | Path) -> GoldenKeys:
        """The keys in a file. Raises CallError, in which no part of a secret stands, for a file that cannot be read,
        that others may read, or that holds something else."""
        return _loaded(Path(path))

    def __repr__(self) -> str:
        return f"GoldenKeys(current={self.current!r}, ids={sorted(self._keys)})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not to be copied anywhere")

    @property
    def ids(self) -> dict[str, int | None]:
        """The ids of all keys, and when each is retired (microseconds since the epoch)."""
        return {key_id: key.retired_at for key_id, key in sorted(self._keys.items())}

    def secret_to_sign(self) -> bytes:
        """The current key's secret."""
        return self._keys[self.current].secret

    def secret_to_verify(self, key_id: str, now: int) -> tuple[bytes | None, str]:
        """The secret of a key that still counts at `now`, or None and why not."""
        key = self._keys.get(key_id)
        if key is None:
            return None, f"the key {ascii(key_id)[:70]} is unknown here"
        if key.retired_at is not None and key.retired_at <= now:
            return None, f"the key {key_id!r} was retired at {iso(key.retired_at)}"
        return key.secret, ""

    def rotated(self, key_id: str, now: int, overlap_seconds: float) -> GoldenKeys:
        """The same keys and a new current one; the current one of before is retired after the overlap.

        Raises CallError when the id is taken.
        """
        if key_id in self._keys:
            _refuse(f"there is a key {key_id!r} already", "choose another id")
        secrets_by_id = {**{name: key.secret for name, key in self._keys.items()}, key_id: new_secret()}
        retired = {name: key.retired_at for name, key in self._keys.items() if key.retired_at is not None}
        retired[self.current] = now + round(overlap_seconds * 1_000_000)
        return GoldenKeys(key_id, secrets_by_id, retired)

    def save(self, path: Path) -> None:
        """Write the key file, whole or not at all, for its owner's eyes only. Raises CallError."""
        data = orjson.dumps({"current": self.current, "keys": self._as_json()}, option=orjson.OPT_INDENT_2) + b"\n"
        save_secret_file(path, data)

    def _as_json(self) -> dict[str, dict[str, str]]:
        return {
            key_id: {"secret": base64.b64encode(key.secret).decode()}
            | ({} if key.retired_at is None else {"retired_at": iso(key.retired_at)})
            for key_id, key in sorted(self._keys.items())
        }


def new_secret() -> bytes:
    """A secret that nobody can guess."""
    return secrets.token_bytes(MIN_SECRET_BYTES)


def _loaded(path: Path) -> GoldenKeys:
    data = read_secret_file(path, "make one: refold golden rotate-key")
    try:
        document: Any = parse_json(data)
    except InvalidError:
        _refuse(f"the key file {path} is no JSON", _SHAPE)
    return _parsed(document, path)


_MAKE = "make a key with: refold golden rotate-key"
_SHAPE = 'it must be {"current": ID, "keys": {ID: {"secret": BASE64, "retired_at": TIME or absent}}}'


def _parsed(document: Any, path: Path) -> GoldenKeys:
    found: dict[str, bytes] = {}
    retired: dict[str, int] = {}
    try:
        keys: Any = document["keys"]
        if document.keys() != {"current", "keys"} or type(document["current"]) is not str or type(keys) is not dict:
            raise TypeError
        for key_id, key in cast("dict[str, Any]", keys).items():
            if not key.keys() <= {"secret", "retired_at"}:
                raise TypeError
            found[key_id] = base64.b64decode(key["secret"], validate=True)
            if key.get("retired_at") is not None:
                retired[key_id] = _time(key["retired_at"])
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError, binascii.Error):
        _refuse(f"the key file {path} does not hold keys as they are written", _SHAPE)
    return GoldenKeys(document["current"], found, retired)


def _time(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _refuse(reason: str, fix: str) -> NoReturn:
    # What Python was handling may hold a part of a secret.
    raise CallError(Problem("", reason, fix)) from None
