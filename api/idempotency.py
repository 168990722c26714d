"""The header Idempotency-Key: the same key is the same request, and never another one."""

from __future__ import annotations

import re
from hashlib import sha256
from http import HTTPStatus

from fastapi import Request

from ..core.canonical import canonical_json
from ..core.errors import InvalidError, Problem
from ..core.runtime.request_keys import Beside
from .bodies import Body
from .callers import Caller
from .ports import Ports
from .problems import Refusal

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")

KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key with the same request does it once; with another request it is refused (409).",
    "example": "order-17-created",
}
"""What the OpenAPI document says of the header."""


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key header: 1 to 255 printable ASCII characters, taken as they stand. Raises InvalidError."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        reason = "the header Idempotency-Key must be given once, with 1 to 255 printable ASCII characters"
        raise InvalidError(Problem("", reason, "send another key"))
    return keys[0]


def run_id_of(key: str) -> str:
    """The id of the run that is started with an idempotency key: the same for the same key."""
    return f"key-{sha256(key.encode()).hexdigest()[:40]}"


async def claim(ports: Ports, caller: Caller, request: Request, key: str | None, body: Body) -> bool:
    """Have the key stand for this request (method, path and body); whether it is its first use, or has no key.

    Called when all has been checked that can be checked, and before anything is done. Raises
    IdempotencyConflictError when the key stands for another request.
    """
    if key is None:
        return True
    return await ports.engine.request_keys.claim(key, await _told(ports, request, body), caller.name, caller.tenant)


async def once(ports: Ports, caller: Caller, request: Request, body: Body) -> Beside | None:
    """What is to be recorded in one unit with what is requested, so that its idempotency key has it done once; None
    without a key. For what cannot be given a name by the key, so that doing it twice were two. Raises InvalidError."""
    key = idempotency_key(request)
    if key is None:
        return None
    return ports.engine.request_keys.once(key, await _told(ports, request, body), caller.name, caller.tenant)


def secret_told(what: str, instead: str) -> Refusal:
    """The answer to a request that is repeated under its key, when the first answer held a secret."""
    detail = f"{what} under this idempotency key before, and its secret was told in that answer alone; {instead}"
    return Refusal(HTTPStatus.CONFLICT, detail, code="IDEMPOTENCY_CONFLICT")


async def _told(ports: Ports, request: Request, body: Body) -> bytes:
    told = await ports.ask(canonical_json, body.model_dump(mode="python", exclude_unset=True))
    return f"{request.method} {request.scope['path']}\n".encode() + told
