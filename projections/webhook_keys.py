"""The secrets that webhooks are signed with: a file that only its owner may read, for the log names ids alone.

{"keys": {"whk_…": "whsec_…"}}
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

import orjson

from ..core.documents import parse_json
from ..core.errors import CallError, InvalidError, Problem
from ..core.webhook_signing import parse_secret, secret_text
from ..eventstore.secret_file import read_secret_file, save_secret_file

_SECRET_BYTES = 32
_MAKE = "make one: refold webhooks add"
_SHAPE = 'it must be {"keys": {ID: SECRET}}, as refold webhooks add writes it'


def new_key() -> tuple[str, bytes]:
    """A key id that no other key has, and a secret that nobody can guess."""
    return f"whk_{secrets.token_hex(10)}", secrets.token_bytes(_SECRET_BYTES)


class WebhookKeys:
    """Secrets by key id. They stand in no error, log or repr."""

    def __init__(self, by_id: Mapping[str, bytes]):
        self._by_id = dict(by_id)

    @classmethod
    def load(cls, path: Path) -> WebhookKeys:
        """The keys in a file. Raises CallError for one that cannot be read, that others may read, or that holds
        something else."""
        data = read_secret_file(path, _MAKE)
        try:
            document: Any = parse_json(data)
            if document.keys() != {"keys"}:
                raise TypeError
            keys = cast("dict[str, Any]", document["keys"])
            found = {key_id: parse_secret(secret) for key_id, secret in keys.items()}
        except (InvalidError, TypeError, AttributeError, KeyError):
            reason = f"the key file {path} does not hold keys as they are written"
            raise CallError(Problem("", reason, _SHAPE)) from None
        return cls(found)

    def __repr__(self) -> str:
        return f"WebhookKeys(ids={sorted(self._by_id)})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not to be copied anywhere")

    def secret(self, key_id: str) -> bytes | None:
        """The secret of a key; None if it is not here."""
        return self._by_id.get(key_id)

    def having(self, key_id: str, secret: bytes) -> WebhookKeys:
        """These keys and another one."""
        return WebhookKeys({**self._by_id, key_id: secret})

    def without(self, key_ids: Collection[str]) -> WebhookKeys:
        """These keys but for some."""
        return WebhookKeys({key_id: secret for key_id, secret in self._by_id.items() if key_id not in key_ids})

    def save(self, path: Path) -> None:
        """Write the key file, whole or not at all, for its owner's eyes only. Raises CallError."""
        told = {"keys": {key_id: secret_text(secret) for key_id, secret in sorted(self._by_id.items())}}
        save_secret_file(path, orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
