"""Who asks: found by key, token or session, and held against what a route needs."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple, Protocol

from fastapi import Request

from ...core.access_log import AccessLog, Key
from ...core.ids import check_tenant
from ...core.runtime.access_control import AccessControl
from ...core.runtime.access_secrets import KEY_MARK, SESSION_MARK, parse_credential
from ..problems import Refusal
from .attempts import Attempts
from .caller import EVERYWHERE, LOCAL, Caller
from .cookies import cookie_of
from .csrf import check_origin
from .known import KnownKeys, KnownSessions
from .notes import notes_of

TENANT_HEADER = "refold-tenant"
"""The header by which a caller for all tenants says which of them a request is about."""

DEFAULT_TENANT = "default"
"""Which one it is about when nothing is said."""

_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,20000})", re.IGNORECASE)
"""RFC 6750, section 2.1, and RFC 9110, section 11.1: the scheme's case does not matter."""

_SAFE = ("GET", "HEAD", "OPTIONS")


class Grant(NamedTuple):
    """What a key, a token or a session says of who shows it. `tenant` None: all; times in microseconds since 1970."""

    name: str
    tenant: str | None
    scopes: frozenset[str]
    key_id: str | None
    expires_at: int | None


class TokenReader(Protocol):
    """Reads the bearer tokens of an issuer."""

    async def read(self, token: str) -> Grant | None:
        """What the token grants; None if it does not count."""
        ...


class KeyUses(Protocol):
    """Remembers when keys were last used."""

    def note(self, key_id: str) -> None:
        """The key was used now."""
        ...


class Access:
    """Who may ask an application. `keyed`: a key is asked for even if there is none; else only from the first one on.

    Used from one event loop.
    """

    def __init__(
        self,
        control: AccessControl,
        *,
        tokens: TokenReader | None = None,
        uses: KeyUses | None = None,
        keyed: bool = False,
    ):
        self.control = control
        self.keys = KnownKeys(control)
        self.sessions = KnownSessions(control)
        self.attempts = Attempts(time.monotonic)
        self._tokens = tokens
        self._uses = uses
        self._keyed = keyed or tokens is not None

    @property
    def is_open(self) -> bool:
        """Whether whoever reaches the server may do everything, as far as is known: no key was ever made."""
        return not self._keyed and self.keys.log.version == 0

    async def caller(self, request: Request, needed: Sequence[str]) -> Caller:
        """Who asks, with all that is `needed`. Raises Refusal: 401, 403, 429."""
        found = await self.find(request)
        if found is None:
            raise unauthenticated()
        missing = [scope for scope in needed if scope not in found.scopes and scope != EVERYWHERE]
        if missing:
            raise _forbidden(f"this needs the scope {missing[0]}")
        if EVERYWHERE in needed and not found.everywhere:
            raise _forbidden(f"this concerns every tenant: it needs the scope {needed[0]} for all of them")
        return found

    async def find(self, request: Request) -> Caller | None:
        """Who asks; None for a request that shows nothing. Raises Refusal for what does not count (401, 429), and for
        another tenant (403)."""
        log = await self.keys.fresh()
        if self.is_open:
            _check_peer(request)
            if request.method not in _SAFE:
                check_origin(request)
            return _about(request, LOCAL)
        grant = await self._grant(request, log)
        if grant is None:
            return None

        async def still() -> bool:
            return await self._grant(request, await self.keys.fresh()) is not None

        notes_of(request.scope).still = still
        own = grant.tenant or DEFAULT_TENANT
        return _about(request, Caller(grant.name, own, grant.scopes, grant.tenant is None))

    async def of_credential(self, request: Request, text: str) -> Grant:
        """What a key or token grants that is shown otherwise than in a header. Raises Refusal: 401, 429."""
        return self._or_refused(request, await self._by_text(text, await self.keys.fresh()))

    async def _grant(self, request: Request, log: AccessLog) -> Grant | None:
        shown = request.headers.getlist("authorization")
        if shown:
            found = _BEARER.fullmatch(shown[0]) if len(shown) == 1 else None
            return self._or_refused(request, None if found is None else await self._by_text(found[1], log))
        # A cookie comes with whatever a browser sends, so it counts only where that does no harm.
        if request.method not in _SAFE:
            if request.url.path.startswith("/v1"):
                return None
            check_origin(request)
        cookie = cookie_of(request, "session")
        return None if cookie is None else self._or_refused(request, await self._by_cookie(request, cookie, log))

    def _or_refused(self, request: Request, grant: Grant | None) -> Grant:
        if grant is not None:
            return grant
        address = _address_of(request)
        self.attempts.failed(address)
        seconds = self.attempts.wait(address)
        raise _throttled(seconds) if seconds else unauthenticated()

    async def _by_text(self, text: str, log: AccessLog) -> Grant | None:
        shown = parse_credential(text, KEY_MARK)
        if shown is None:
            return None if self._tokens is None else await self._tokens.read(text)
        key = log.opened_by(shown.id, shown.secret, self.control.now())
        if key is None:
            return None
        if self._uses is not None:
            self._uses.note(key.key_id)
        return _of_key(key)

    async def _by_cookie(self, request: Request, text: str, log: AccessLog) -> Grant | None:
        shown = parse_credential(text, SESSION_MARK)
        if shown is None:
            return None
        if self.attempts.wait(_address_of(request)) and not self.sessions.remembered(shown.id):
            return None  # Who guesses shall not have the store asked.
        session = await self.sessions.fresh(shown.id)
        now = self.control.now()
        if session is None or not session.opened_by(shown.secret, now):
            return None
        if session.key_id is None:
            return Grant(session.name, session.tenant, frozenset(session.scopes), None, session.expires_at)
        key = log.keys.get(session.key_id)
        counts = key is not None and key.status(now) == "active" and key.still_lets(session.at, now)
        return _of_key(key) if key is not None and counts else None


def access_of(request: Request) -> Access:
    """The access of the application that answers `request`."""
    return request.app.state.access


def unauthenticated() -> Refusal:
    """The answer to every request without anything that counts, the same whatever is wrong with it (RFC 6750, 3)."""
    headers = {"www-authenticate": 'Bearer realm="refold"'}
    return Refusal(HTTPStatus.UNAUTHORIZED, "this needs a key that counts", code="CREDENTIALS_REFUSED", headers=headers)


def _of_key(key: Key) -> Grant:
    return Grant(key.name, key.tenant, frozenset(key.scopes), key.key_id, key.expires_at)


def _about(request: Request, caller: Caller) -> Caller:
    """The caller, with the tenant that the request is about. Of a page a cookie says it, which forms no secret."""
    named = request.headers.getlist(TENANT_HEADER)
    if not named:
        chosen = cookie_of(request, "tenant") if caller.everywhere else None
        return caller if not chosen else Caller(caller.name, check_tenant(chosen), caller.scopes, True)
    tenant = check_tenant(named[0] if len(named) == 1 else "")
    if tenant != caller.tenant and not caller.everywhere:
        raise _forbidden("this key is not for that tenant")
    return Caller(caller.name, tenant, caller.scopes, caller.everywhere)


def _check_peer(request: Request) -> None:
    """Without keys only this machine is served, however the server was bound."""
    try:
        here = request.client is None or ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        here = True  # No address of a network: a socket of this machine.
    if not here:
        raise unauthenticated()


def _address_of(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _forbidden(why: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, why, code="SCOPE_MISSING")


def _throttled(seconds: int) -> Refusal:
    headers = {"retry-after": str(seconds)}
    why = f"too many refused credentials came from this address; wait {seconds} s"
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, why, code="CREDENTIALS_THROTTLED", headers=headers)
