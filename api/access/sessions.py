"""Sessions of the console: opened by a key or a token, carried by a cookie, dead with their key."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request

from ...core.ids import check_tenant
from ...core.runtime.access_secrets import SESSION_MARK, parse_credential
from ..problems import Refusal
from .access import Grant, access_of
from .caller import Caller
from .cookies import cookie_of, set_cookie
from .csrf import check_origin

SESSION_SECONDS = 12 * 3_600
"""For how long a session lasts at most."""

_UNUSABLE = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)


async def who(request: Request) -> Caller | None:
    """Who asks for a page, None if they have to log in first: pages lead there, where the API would answer 401."""
    try:
        return await access_of(request).find(request)
    except Refusal as refusal:
        if refusal.status in _UNUSABLE:
            return None
        raise


async def open_session(request: Request, credential: str) -> Grant:
    """Open a session for who shows this key or token, and have the answer set its cookie.

    Check the form first (`check_form`). Raises Refusal: 401 for what does not count, 429 after too many.
    """
    check_origin(request)
    access = access_of(request)
    grant = await access.of_credential(request, credential.strip())
    await _close(request, grant.name)
    until = access.control.now() + SESSION_SECONDS * 1_000_000
    until = until if grant.expires_at is None else min(until, grant.expires_at)
    issued = await access.control.open_session(
        grant.name, sorted(grant.scopes), key_id=grant.key_id, tenant=grant.tenant, expires_at=until
    )
    set_cookie(request, "session", issued.text, SESSION_SECONDS)
    return grant


async def close_session(request: Request) -> None:
    """End the session of the request, if it has one, and have the answer take its cookie away. Check the form first."""
    check_origin(request)
    found = await who(request)
    if found is not None:
        await _close(request, found.name)
    set_cookie(request, "session", "", 0)


def choose_tenant(request: Request, tenant: str) -> None:
    """Have the answer remember whose runs pages are about, for a caller for all tenants. Raises CallError."""
    set_cookie(request, "tenant", check_tenant(tenant))


async def _close(request: Request, by: str) -> None:
    """Close the session whose cookie the request shows, if it is one that counts."""
    access = access_of(request)
    shown = parse_credential(cookie_of(request, "session") or "", SESSION_MARK)
    session = None if shown is None else await access.sessions.fresh(shown.id)
    if shown is not None and session is not None and session.opened_by(shown.secret, access.control.now()):
        await access.control.close_session(shown.id, by=by)
        access.sessions.forget(shown.id)
