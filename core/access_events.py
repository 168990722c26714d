"""Who may use the HTTP API, as it was decided and used: in control streams, without any secret.

Of a secret the log has the SHA-256: it is 256 random bits, so nothing slower is needed. `by` is who did it, "" when
nobody said. See `refold.core.events`, which has these classes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .canonical import Payload


@dataclass(frozen=True, slots=True)
class KeyCreated:
    """In `control/access`: whoever has the secret whose SHA-256 is `secret_sha256` may do what `scopes` (a list of
    texts) say, for `tenant` (None: for all), until `expires_at` (None: for ever)."""

    topic: ClassVar = "key.created"
    schema: ClassVar = 1

    at: int
    key_id: str
    name: str
    tenant: str | None
    scopes: Payload
    expires_at: int | None
    secret_sha256: str
    by: str


@dataclass(frozen=True, slots=True)
class KeyRotated:
    """In `control/access`: the key has another secret from now on; the one of before counts until `retired_at`."""

    topic: ClassVar = "key.rotated"
    schema: ClassVar = 1

    at: int
    key_id: str
    secret_sha256: str
    retired_at: int
    by: str


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """In `control/access`: the key counts no more, and never again, nor does any session that was opened with it."""

    topic: ClassVar = "key.revoked"
    schema: ClassVar = 1

    at: int
    key_id: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The first event of `control/sessions/{id}`: somebody came in by the console, with the key `key_id`, or with a
    token of the issuer (None) that said name, tenant and scopes. The session ends at `expires_at` at the latest."""

    topic: ClassVar = "session.opened"
    schema: ClassVar = 1

    at: int
    session_id: str
    key_id: str | None
    name: str
    tenant: str | None
    scopes: Payload
    expires_at: int
    secret_sha256: str


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The last event of `control/sessions/{id}`: `by` left."""

    topic: ClassVar = "session.closed"
    schema: ClassVar = 1

    at: int
    session_id: str
    by: str


AccessEvent = KeyCreated | KeyRotated | KeyRevoked | SessionOpened | SessionClosed
"""Any of them."""
