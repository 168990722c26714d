"""Keys and sessions, folded from their control streams, and what may follow in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hmac import compare_digest
from typing import Any, Final, Literal, cast, get_args

from .access_events import KeyCreated, KeyRevoked, KeyRotated, SessionClosed, SessionOpened
from .canonical import Payload
from .errors import IntegrityError
from .events import Event
from .hashing import sha256_hex

Scope = Literal["run", "read", "audit", "operate", "admin"]
"""What a caller may do: start runs and talk to them; look at them; prove them; steer the service; say who may."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""All of them."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key. Times are microseconds since the epoch; `tenant` None: for all tenants; `expires_at` None: for ever.

    `replaced` is the SHA-256 of the secret of before, which counts until `retired_at`.
    """

    key_id: str
    name: str
    tenant: str | None
    scopes: tuple[str, ...]
    expires_at: int | None
    secret_sha256: str
    at: int
    by: str
    rotated_at: int | None = None
    replaced: str | None = None
    retired_at: int = 0
    revoked_at: int | None = None
    revoked_by: str = ""
    why: str = ""

    def status(self, now: int) -> Literal["active", "expired", "revoked"]:
        """Whether it counts."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.expires_at is None or now < self.expires_at else "expired"

    def still_lets(self, at: int, now: int) -> bool:
        """Whether who has shown its secret at the time `at` is still let in: one that was replaced since then counts
        until the overlap ends."""
        return self.rotated_at is None or at >= self.rotated_at or now < self.retired_at

    def to_json(self, now: int) -> dict[str, Any]:
        """What may be told of it, which is nothing of its secret. Times are microseconds since the epoch."""
        told: dict[str, Any] = {"key_id": self.key_id, "name": self.name, "tenant": self.tenant}
        told |= {"scopes": list(self.scopes), "status": self.status(now)}
        told |= {"created_at": self.at, "created_by": self.by, "expires_at": self.expires_at}
        overlaps = self.replaced is not None and now < self.retired_at
        told |= {"rotated_at": self.rotated_at, "old_secret_until": self.retired_at if overlaps else None}
        return told | {"revoked_at": self.revoked_at, "revoked_by": self.revoked_by, "reason": self.why}


_NOBODY: Final = Key("", "", "", (), 0, "0" * 64, 0, "", replaced="0" * 64)
"""What a secret is compared with where there is no such key: a guess of an id must take as long as one of a secret."""


class AccessLog:
    """The keys by id, as far as the control stream was taken in: its first `version` events."""

    def __init__(self, events: Iterable[Event] = ()):
        self.version = 0
        self.keys: dict[str, Key] = {}
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow."""
        if not isinstance(event, KeyCreated | KeyRotated | KeyRevoked):
            raise IntegrityError(f"{event.topic} cannot occur here")
        known = self.keys.get(event.key_id)
        if isinstance(event, KeyCreated):
            if known is not None:
                raise IntegrityError(f"{event.topic}: there was a key {event.key_id!r} already")
            self.keys[event.key_id] = _created(event)
        elif known is None or known.revoked_at is not None:
            raise IntegrityError(f"{event.topic}: there is no key {event.key_id!r} that counts")
        elif isinstance(event, KeyRevoked):
            self.keys[event.key_id] = replace(known, revoked_at=event.at, revoked_by=event.by, why=event.reason)
        else:
            self.keys[event.key_id] = replace(
                known,
                secret_sha256=event.secret_sha256,
                replaced=known.secret_sha256,
                retired_at=event.retired_at,
                rotated_at=event.at,
            )
        self.version += 1

    def copy(self) -> AccessLog:
        """The same, to be gone on with."""
        made = AccessLog()
        made.version, made.keys = self.version, dict(self.keys)
        return made

    def opened_by(self, key_id: str, secret: str, now: int) -> Key | None:
        """The key of this id, if it counts and this is its secret. It takes as long whether or not there is one.

        To who shows the secret of before it ends with the overlap."""
        key = self.keys.get(key_id, _NOBODY)
        digest = sha256_hex(secret.encode())
        is_current = compare_digest(digest, key.secret_sha256)
        is_replaced = compare_digest(digest, key.replaced or _NOBODY.secret_sha256)
        counts = is_current or (is_replaced and now < key.retired_at)
        if not counts or key.status(now) != "active":
            return None
        until = key.retired_at if key.expires_at is None else min(key.retired_at, key.expires_at)
        return key if is_current else replace(key, expires_at=until)


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the console; the fields are those of `SessionOpened`. With a `key_id` it dies with that key."""

    session_id: str
    key_id: str | None
    name: str
    tenant: str | None
    scopes: tuple[str, ...]
    expires_at: int
    secret_sha256: str
    at: int
    closed: bool = False

    def opened_by(self, secret: str, now: int) -> bool:
        """Whether it goes on, and this is its secret."""
        fits = compare_digest(sha256_hex(secret.encode()), self.secret_sha256)
        return fits and not self.closed and now < self.expires_at


def session_of(session_id: str, events: Iterable[Event]) -> Session | None:
    """The session that `events` of its stream tell of, None without any. Raises IntegrityError."""
    session: Session | None = None
    for event in events:
        if isinstance(event, SessionOpened) and session is None and event.session_id == session_id:
            scopes = _texts(event.scopes, event.topic)
            about = (session_id, event.key_id, event.name, event.tenant, scopes)
            session = Session(*about, event.expires_at, event.secret_sha256, event.at)
        elif isinstance(event, SessionClosed) and session is not None and not session.closed:
            session = replace(session, closed=True)
        else:
            raise IntegrityError(f"{event.topic} cannot occur here")
    return session


def _created(event: KeyCreated) -> Key:
    about = (event.key_id, event.name, event.tenant, _texts(event.scopes, event.topic))
    return Key(*about, event.expires_at, event.secret_sha256, event.at, event.by)


def _texts(scopes: Payload, topic: str) -> tuple[str, ...]:
    value: Any = scopes.value
    if type(value) is not list or not all(type(each) is str for each in cast("list[Any]", value)):
        raise IntegrityError(f"{topic}: the scopes are no list of texts")
    return tuple(cast("list[str]", value))
