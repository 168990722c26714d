"""Signatures of webhooks as Standard Webhooks 1.0.0 describes them (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256

from .errors import CallError, Problem

PREFIX = "whsec_"
"""What a secret begins with where it is shown."""

LEAST_BYTES, MOST_BYTES = 24, 64
"""How long a secret is (Standard Webhooks, "Signature scheme")."""


def secret_text(secret: bytes) -> str:
    """The secret as it is handed over."""
    return PREFIX + base64.b64encode(secret).decode()


def parse_secret(text: str) -> bytes:
    """The secret in `text`. Raises CallError, in which nothing of it stands, for what is none."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        reason = f"a secret is {PREFIX} and base64 of {LEAST_BYTES} to {MOST_BYTES} bytes"
        raise CallError(Problem("", reason, "make one by: refold webhooks add, or rotate")) from None
    return secret


def message_id(endpoint_id: str, position: int) -> str:
    """The id under which an event is sent to an endpoint, however often: receivers drop doubles by it."""
    return "msg_" + sha256(f"{endpoint_id}:{position}".encode()).hexdigest()[:32]


def signature(secret: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over id, time (seconds since the epoch) and body, joined by dots."""
    signed = hmac.new(secret, f"{identity}.{timestamp}.".encode() + body, sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def signed_headers(secrets: Sequence[bytes], identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message, with a signature for each secret; without secrets it is not signed."""
    headers = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    if secrets:
        signatures = [signature(secret, identity, timestamp, body) for secret in secrets]
        headers["webhook-signature"] = " ".join(signatures)
    return headers
