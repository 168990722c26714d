"""Secrets of keys and sessions: how they are made and written."""

from __future__ import annotations

import re
import secrets
from typing import Final, NamedTuple

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_DIGITS: Final = 43
"""62**43 is more than 2**256."""

KEY_MARK: Final = "rfk"
"""What every key begins with, so that scanners of source code know one when they see it."""

SESSION_MARK: Final = "rfs"
"""What the secret of every session begins with."""

_SHAPE = re.compile(r"(rf[ks])_([0-9A-Za-z]{16})_([0-9A-Za-z]{43})")


class Credential(NamedTuple):
    """An id, which anybody may know, and a secret. As text, a double click marks all of it."""

    mark: str
    id: str
    secret: str

    def text(self) -> str:
        """`rfk_<id>_<secret>`, or with the mark of sessions."""
        return f"{self.mark}_{self.id}_{self.secret}"


def new_credential(mark: str) -> Credential:
    """A new one: the secret is 256 random bits, the id 95."""
    return Credential(mark, _base62(secrets.randbits(95), 16), new_secret())


def new_secret() -> str:
    """256 random bits in base 62."""
    return _base62(secrets.randbits(256), _SECRET_DIGITS)


def parse_credential(text: str, mark: str) -> Credential | None:
    """The credential that `text` is, None if it is none of that mark."""
    found = _SHAPE.fullmatch(text)
    return Credential(*found.groups()) if found is not None and found[1] == mark else None


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _DIGITS[digit] + text
    return text
