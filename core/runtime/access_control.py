"""Who may use the HTTP API: keys made, rotated and revoked, and sessions opened and closed, all of it recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..access_events import AccessEvent, KeyCreated, KeyRevoked, KeyRotated, SessionClosed, SessionOpened
from ..access_log import SCOPES, AccessLog, Key, Session, session_of
from ..canonical import Payload
from ..errors import CallError, IntegrityError, KeyNotFoundError, OwnershipLostError, Problem
from ..hashing import sha256_hex
from ..ids import ACCESS, check_tenant, session_stream
from ..ports import EMPTY, Append, Clock, Head, Journal, RunLog, Unit
from .access_secrets import KEY_MARK, SESSION_MARK, Credential, new_credential, new_secret
from .admission import MAX_LABEL, MAX_REASON, check_text
from .request_keys import Beside

OVERLAP_SECONDS = 86_400.0
"""For how long a secret that was replaced still counts, unless another time is given."""

LONGEST_SECONDS = 10 * 365 * 86_400
"""No key that expires is made for longer, and no overlap lasts longer."""

MAX_KEYS = 10_000
"""So many keys may count at once."""

_SECOND = 1_000_000
_TRIES = 100

_Made = Callable[[AccessLog, int], AccessEvent | None]


class IssuedKey(NamedTuple):
    """A key with its text `rfk_<id>_<secret>`, which is told this once."""

    key: Key
    text: str


class IssuedSession(NamedTuple):
    """A session with the text of its cookie."""

    session: Session
    text: str


class AccessControl:
    """The control streams of keys and sessions."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock

    def now(self) -> int:
        """The time by which keys expire: microseconds since the epoch."""
        return self._clock.now()

    async def create(
        self,
        name: str,
        scopes: Iterable[str],
        *,
        tenant: str | None = "default",
        expires_in: float | None = None,
        by: str = "",
        beside: Beside | None = None,
    ) -> IssuedKey:
        """Make a key for `tenant` (None: for all), which counts for `expires_in` seconds (None: for ever).

        `name` is what is recorded as `by` of whatever is done with it, so no two keys that count share one where they
        could be taken for each other. `beside` is recorded with it. Raises CallError, StoreUnreachableError, and what
        `beside` raises.
        """
        chosen = _checked_scopes(scopes)
        _check_name(name)
        check_text("by", by, MAX_LABEL)
        if tenant is not None:
            check_tenant(tenant)
        _check_seconds("the time until it expires", expires_in, least=1)
        made = new_credential(KEY_MARK)

        def event(log: AccessLog, at: int) -> AccessEvent:
            live = [key for key in log.keys.values() if key.status(at) == "active"]
            if len(live) >= MAX_KEYS:
                raise CallError(Problem("", f"there are {MAX_KEYS} keys", "revoke some first"))
            if any(key.name == name and (None in (key.tenant, tenant) or key.tenant == tenant) for key in live):
                reason = f"the name {name[:60]!a} is another key's"
                raise CallError(Problem("/name", reason, "choose another name, or revoke that key first"))
            until = None if expires_in is None else at + round(expires_in * _SECOND)
            told = Payload.of(list(chosen))
            return KeyCreated(at, made.id, name, tenant, told, until, sha256_hex(made.secret.encode()), by)

        return IssuedKey((await self._record(event, beside)).keys[made.id], made.text())

    async def rotate(
        self,
        key_id: str,
        *,
        overlap_seconds: float = OVERLAP_SECONDS,
        tenant: str | None = None,
        by: str = "",
        beside: Beside | None = None,
    ) -> IssuedKey:
        """Give the key another secret. That of before counts for `overlap_seconds` more, one before that not at all.

        With `tenant` there are only this tenant's keys. `beside` is recorded with it. Raises KeyNotFoundError,
        CallError, and what `beside` raises.
        """
        check_text("by", by, MAX_LABEL)
        _check_seconds("the overlap", overlap_seconds)
        secret = new_secret()

        def event(log: AccessLog, at: int) -> AccessEvent:
            if _known(log, key_id, tenant).status(at) != "active":
                raise CallError(Problem("", "the key does not count any more", "make another one"))
            until = at + round(overlap_seconds * _SECOND)
            return KeyRotated(at, key_id, sha256_hex(secret.encode()), until, by)

        key = (await self._record(event, beside)).keys[key_id]
        return IssuedKey(key, Credential(KEY_MARK, key_id, secret).text())

    async def revoke(self, key_id: str, *, reason: str = "", tenant: str | None = None, by: str = "") -> Key:
        """Have the key count no more, nor any session that was opened with it. Doing so again changes nothing.

        With `tenant` there are only this tenant's keys. Raises KeyNotFoundError, CallError.
        """
        check_text("by", by, MAX_LABEL)
        check_text("the reason", reason, MAX_REASON)

        def event(log: AccessLog, at: int) -> AccessEvent | None:
            known = _known(log, key_id, tenant)
            return None if known.revoked_at is not None else KeyRevoked(at, key_id, reason, by)

        return (await self._record(event)).keys[key_id]

    async def get(self, key_id: str, *, tenant: str | None = None) -> Key:
        """One key. With `tenant` there are only this tenant's keys. Raises KeyNotFoundError."""
        return _known(await asyncio.to_thread(self.known), key_id, tenant)

    async def list(self, *, tenant: str | None = None) -> Sequence[Key]:
        """The keys in the order in which they were made, those that count no more too; of one tenant, or all."""
        log = await asyncio.to_thread(self.known)
        return [key for key in log.keys.values() if tenant is None or key.tenant == tenant]

    def known(self, before: AccessLog | None = None) -> AccessLog:
        """The keys as they stand, going on from `before`, which stays as it is. It blocks. Raises IntegrityError."""
        return self._read(before)[0]

    async def open_session(
        self, name: str, scopes: Iterable[str], *, key_id: str | None, tenant: str | None, expires_at: int
    ) -> IssuedSession:
        """Record that somebody who has shown a key or a token came in by the console, until `expires_at`."""
        made = new_credential(SESSION_MARK)
        stream, told = session_stream(made.id), Payload.of(list(scopes))
        digest = sha256_hex(made.secret.encode())
        event = SessionOpened(self.now(), made.id, key_id, name, tenant, told, expires_at, digest)
        session = session_of(made.id, [event])
        if session is None:
            raise IntegrityError(f"{event.topic} opens no session")
        await self._journal.commit(Unit((Append(stream, EMPTY, (event,)),)))
        return IssuedSession(session, made.text())

    async def close_session(self, session_id: str, *, by: str = "") -> None:
        """Record that somebody has left. Doing so again changes nothing."""
        stream = session_stream(session_id)
        while True:
            head = await asyncio.to_thread(self._log.head, stream)
            session = await asyncio.to_thread(self.session, session_id)
            if session is None or session.closed:
                return
            try:
                await self._journal.commit(Unit((Append(stream, head, (SessionClosed(self.now(), session_id, by),)),)))
                return
            except OwnershipLostError:
                continue  # It is being closed elsewhere too.

    def session(self, session_id: str) -> Session | None:
        """The session as it stands, None if there is none. It blocks. Raises IntegrityError."""
        return session_of(session_id, self._log.events(session_stream(session_id)))

    async def _record(self, made: _Made, beside: Beside | None = None) -> AccessLog:
        log: AccessLog | None = None
        while True:
            log, head = await asyncio.to_thread(self._read, log)
            at = self.now()
            also = () if beside is None else (await beside(at),)
            event = made(log, at)
            if event is None:
                return log
            after = log.copy()
            after.take(event)
            try:
                await self._journal.commit(Unit((Append(ACCESS, head, (event,)), *also)))
                return after
            except OwnershipLostError:
                continue  # Somebody else decided something first.

    def _read(self, before: AccessLog | None) -> tuple[AccessLog, Head]:
        log = AccessLog() if before is None else before
        for _ in range(_TRIES):
            head = self._log.head(ACCESS)
            if head.version == log.version:
                return log, head
            if head.version < log.version:
                break
            log = log.copy()
            for event in self._log.events(ACCESS, log.version, head.version - log.version):
                log.take(event)
            if head.version == log.version:
                return log, head
        raise IntegrityError(f"the events of {ACCESS} do not fit its head: run refold verify --all")


def _known(log: AccessLog, key_id: str, tenant: str | None) -> Key:
    found = log.keys.get(key_id)
    if found is None or tenant not in (None, found.tenant):
        raise KeyNotFoundError(f"there is no key {ascii(key_id)[1:-1][:40]}")
    return found


def _checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    given = set(scopes)
    chosen = tuple(scope for scope in SCOPES if scope in given)
    if not chosen or len(chosen) != len(given):
        unknown = "".join(f" {str(each)[:40]!a}" for each in sorted(given - set(SCOPES))[:1])
        reason = f"there is no scope{unknown}" if unknown else "no scope is given"
        raise CallError(Problem("/scopes", reason, f"choose of {', '.join(SCOPES)}"))
    return chosen


def _check_name(name: str) -> None:
    check_text("the name", name, MAX_LABEL)
    if not name.strip() or not name.isprintable():
        raise CallError(Problem("/name", "a key has a name, of characters that can be seen", "give one"))


def _check_seconds(what: str, seconds: float | None, least: float = 0) -> None:
    if seconds is not None and not least <= seconds <= LONGEST_SECONDS:
        raise CallError(Problem("", f"{what} is {seconds:g} s", f"give {least:g} s to ten years"))
