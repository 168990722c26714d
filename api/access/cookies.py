"""The console's cookies (RFC 6265): read from a request, and put onto its answer by the guard."""

from __future__ import annotations

import re

from fastapi import Request

from .notes import notes_of

_VALUE = re.compile(r"[0-9A-Za-z_.:@~-]{0,200}")


def public_url_of(request: Request) -> str | None:
    """Under which URL people reach this server, None if nobody said."""
    return request.app.state.public_url


def is_https(request: Request) -> bool:
    """Whether browsers reach this server by https: by itself, or through a proxy, as its public URL says."""
    public = public_url_of(request)
    return request.scope["scheme"] == "https" if public is None else public.startswith("https:")


def cookie_name(request: Request, name: str) -> str:
    """`refold_NAME`, or the session's own; by https a name that browsers take from this very host alone (`__Host-`)."""
    if is_https(request):
        return "__Host-refold" if name == "session" else f"__Host-refold-{name}"
    return f"refold_{name}"


def cookie_of(request: Request, name: str) -> str | None:
    """The value of a cookie; None if it was not sent, is sent twice, or is none that was ever set here."""
    wanted = cookie_name(request, name)
    found = [
        value.strip()
        for line in request.headers.getlist("cookie")
        for key, mark, value in (pair.partition("=") for pair in line.split(";"))
        if mark and key.strip() == wanted
    ]
    return found[0] if len(found) == 1 and _VALUE.fullmatch(found[0]) else None


def set_cookie(request: Request, name: str, value: str, seconds: int | None = None) -> None:
    """Have the answer set a cookie, for `seconds` or (None) until the browser ends; 0 takes it away."""
    if not _VALUE.fullmatch(value):
        raise ValueError("no value of a cookie")
    text = f"{cookie_name(request, name)}={value}; Path=/; HttpOnly; SameSite=Strict"
    text += "; Secure" if is_https(request) else ""
    text += "" if seconds is None else f"; Max-Age={seconds}"
    notes_of(request.scope).cookies.append(text.encode())
