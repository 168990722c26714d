"""Endpoints with secrets: made, given new ones, removed. The key file has a secret before the log names it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ..core.webhook_log import Endpoint
from ..core.webhook_signing import secret_text
from ..projections.webhook_key_file import drop_keys, put_key
from ..projections.webhook_keys import new_key
from .places import usable
from .ports import Ports

_WHAT = "the webhooks' secrets"


async def with_new_secret(
    ports: Ports, path: Path, record: Callable[[str], Awaitable[Endpoint]]
) -> tuple[Endpoint, str]:
    """What `record` makes of the id of a new key, and the key's secret; if it raises, the key is taken out again."""
    key_id, secret = new_key()
    await ports.ask(_put, path, key_id, secret)
    try:
        made = await record(key_id)
    except BaseException:
        await forget(ports, path, [key_id])
        raise
    return made, secret_text(secret)


async def forget(ports: Ports, path: Path, key_ids: Sequence[str]) -> None:
    """Take secrets out of the key file."""
    await ports.ask(_drop, path, key_ids)


def _put(path: Path, key_id: str, secret: bytes) -> None:
    with usable(_WHAT):
        put_key(path, key_id, secret)


def _drop(path: Path, key_ids: Sequence[str]) -> None:
    with usable(_WHAT):
        drop_keys(path, key_ids)
