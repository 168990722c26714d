"""The keys that data keys are wrapped with: a file of secrets that only its owner may read, kept outside the database.

    {"current": "d2", "keys": {"d1": BASE64, "d2": BASE64}, "subjects": BASE64}

Each is 32 bytes. The current key wraps; the others still unwrap, until they are dropped. `subjects` never changes: by
it subjects are told apart without being named. Keys stand in no error, log or repr.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, cast

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..core.documents import parse_json
from ..core.errors import CallError, DataKeyError, InvalidError
from .secret_file import save_secret_file

KEY_BYTES = 32
"""AES-256."""
NONCE_BYTES = 12
"""As NIST SP 800-38D recommends; drawn at random for each use of a key."""

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class MasterKeys:
    """Keys by id, one of them current."""

    def __init__(self, current: str, keys: Mapping[str, bytes], subjects: bytes):
        """Raises DataKeyError for keys that cannot be."""
        self.current = current
        self._keys = dict(keys)
        self._subjects = subjects
        lengths = {len(key) for key in (*self._keys.values(), subjects)}
        if current not in self._keys or lengths != {KEY_BYTES} or not all(map(_KEY_ID.fullmatch, self._keys)):
            _refuse(f"the data keys are not {KEY_BYTES} bytes each, by id, with a current one among them")

    @classmethod
    def new(cls) -> MasterKeys:
        """One new key, `d1`."""
        return cls("d1", {"d1": secrets.token_bytes(KEY_BYTES)}, secrets.token_bytes(KEY_BYTES))

    @classmethod
    def load(cls, path: str | Path) -> MasterKeys:
        """The keys in a file. Raises DataKeyError for a file that cannot be read, that others may read, or that holds
        something else."""
        document = _document(Path(path))
        try:
            keys: dict[str, str] = document["keys"]
            found = {key_id: base64.b64decode(text, validate=True) for key_id, text in keys.items()}
            return cls(document["current"], found, base64.b64decode(document["subjects"], validate=True))
        except (TypeError, KeyError, AttributeError, ValueError):
            _refuse(f"the file {path} does not hold data keys as they are written")

    def __repr__(self) -> str:
        return f"MasterKeys(current={self.current!r}, ids={sorted(self._keys)})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not to be copied anywhere")

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, sorted."""
        return sorted(self._keys)

    def rotated(self, key_id: str | None = None) -> MasterKeys:
        """The same keys and a new current one."""
        name = key_id or next(f"d{n}" for n in range(1, len(self._keys) + 2) if f"d{n}" not in self._keys)
        if name in self._keys:
            _refuse(f"there is a data key {name!r} already")
        return MasterKeys(name, {**self._keys, name: secrets.token_bytes(KEY_BYTES)}, self._subjects)

    def without(self, key_id: str) -> MasterKeys:
        """The keys but one, which is not the current one."""
        if key_id == self.current or key_id not in self._keys:
            _refuse(f"the data key {key_id!r} is the current one, or none")
        return MasterKeys(self.current, {n: key for n, key in self._keys.items() if n != key_id}, self._subjects)

    def wrap(self, key: bytes, stream: str) -> tuple[str, bytes]:
        """A data key of `stream` under the current key, and that key's id."""
        nonce = os.urandom(NONCE_BYTES)
        return self.current, nonce + AESGCM(self._keys[self.current]).encrypt(nonce, key, stream.encode())

    def unwrap(self, key_id: str, wrapped: bytes, stream: str) -> bytes | None:
        """The data key; None where the key that wrapped it is not here, or was another of its name."""
        if key_id not in self._keys:
            return None
        try:
            nonce, data = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
            return AESGCM(self._keys[key_id]).decrypt(nonce, data, stream.encode())
        except InvalidTag:
            return None

    def subject(self, tenant: str, text: str) -> str:
        """What stands for a tenant's subject beside the log: HMAC-SHA-256 (RFC 2104), in hexadecimal."""
        return hmac.new(self._subjects, f"{tenant}\0{text}".encode(), sha256).hexdigest()

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all, for its owner's eyes only. Raises DataKeyError."""
        keys = {key_id: base64.b64encode(key).decode() for key_id, key in sorted(self._keys.items())}
        document = {"current": self.current, "keys": keys, "subjects": base64.b64encode(self._subjects).decode()}
        try:
            save_secret_file(path, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
        except CallError as error:
            _refuse(error.problems[0].reason)


def version_of(path: str | Path) -> object:
    """What changes when the file of keys is replaced; None where it cannot be looked at."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


def _document(path: Path) -> dict[str, Any]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(file, "rb") as stream:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077:
                _refuse(f"others may read or write the file of data keys {path}, or it is none: chmod 600")
            data = stream.read(1_000_000)
        return cast("dict[str, Any]", parse_json(data))
    except OSError as error:
        _refuse(f"the file of data keys {path} cannot be read: {error.strerror}; refold data-keys rotate makes one")
    except InvalidError:
        _refuse(f"the file of data keys {path} is no JSON")


def _refuse(reason: str) -> NoReturn:
    # What Python was handling may hold a part of a key.
    raise DataKeyError(reason) from None
