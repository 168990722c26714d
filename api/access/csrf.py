"""Forms of the console: that they were sent from a page of this server, by the browser that had asked for it.

Every form carries a token that only a page of this server can hold, for it follows from a cookie that no script and no
other site can read: the session's, or (before a login, and without keys) one for forms alone. Besides, a browser says
where a form comes from (Sec-Fetch-Site, Origin); it must be from here.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Request

from ..problems import Refusal
from .cookies import cookie_of, public_url_of, set_cookie
from .notes import notes_of

FIELD = "csrf"
"""The name of the form's hidden field that carries the token."""

_COOKIE = "form"


def csrf_token(request: Request) -> str:
    """The token for the forms of the page that answers `request`: the value of a hidden field named `FIELD`."""
    notes = notes_of(request.scope)  # Many forms of one page share one cookie.
    secret = _secret_of(request) or notes.form_secret
    if secret is None:
        secret = notes.form_secret = secrets.token_hex(32)
        set_cookie(request, _COOKIE, secret)
    return _token(secret)


def check_form(request: Request, form: Mapping[str, str]) -> None:
    """Raises Refusal (403) unless the form was sent from a page of this server to the browser that sends it."""
    check_origin(request)
    secret = _secret_of(request)
    given = form.get(FIELD, "")
    if secret is None or not hmac.compare_digest(given.encode("utf-8", "replace"), _token(secret).encode()):
        raise _refused("the form does not belong to this session, or its page has gone stale")


def check_origin(request: Request) -> None:
    """Raises Refusal (403) for a request that a browser sends on behalf of another site's page.

    `Sec-Fetch-Site` (W3C Fetch Metadata) tells other ports of this host apart, which cookies do not.
    """
    site = request.headers.get("sec-fetch-site")
    origins = request.headers.getlist("origin")
    here = {request.headers.get("host", "").lower()}
    public = public_url_of(request)
    if public is not None:
        here.add(urlsplit(public).netloc.lower())
    if site not in (None, "same-origin") or any(origin.lower().partition("://")[2] not in here for origin in origins):
        raise _refused("the form was sent from a page of another site")


def _secret_of(request: Request) -> str | None:
    return cookie_of(request, "session") or cookie_of(request, _COOKIE)


def _token(secret: str) -> str:
    return hmac.new(secret.encode(), b"refold form", "sha256").hexdigest()


def _refused(why: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, why, code="FORM_REFUSED")
