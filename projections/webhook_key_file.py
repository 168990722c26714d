"""Adding secrets of webhooks to their file and taking them out, whoever else does so at the same time."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..eventstore.secret_file import alone
from .webhook_keys import WebhookKeys


def put_key(path: Path, key_id: str, secret: bytes) -> None:
    """Add a secret; the file is made if it is not there. Raises CallError."""
    with alone(path):
        known = WebhookKeys.load(path) if path.exists() else WebhookKeys({})
        known.having(key_id, secret).save(path)


def drop_keys(path: Path, key_ids: Collection[str]) -> None:
    """Take secrets out. Raises CallError."""
    with alone(path):
        if path.exists():
            WebhookKeys.load(path).without(key_ids).save(path)
