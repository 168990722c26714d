"""What holds for every request and answer, whatever the route."""

from __future__ import annotations

import math
import re
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.errors import RefoldError
from .access.access import Access, unauthenticated
from .access.notes import Notes, notes_of
from .problems import Refusal, problem_of

_LOOPBACK = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
"""A Host header (RFC 9110, section 7.2) that names this machine's loopback interface."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""What pages of this server may load and be part of (W3C Content Security Policy, level 3)."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", POLICY.encode()),
    # With no-referrer a browser would call the origin of our own forms null.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
_NOT_KEPT, _ASKED_AGAIN = (b"cache-control", b"no-store"), (b"cache-control", b"private, no-cache")

_LOOK_SECONDS = 1.0

_ONLY_LOOKS = ("GET", "HEAD")
"""What did something is told what came of it, however long it took."""


class Guard:
    """Refuses names that are not this server's, says what browsers may do with its answers, and answers every error.

    Without keys, whoever reaches the port may do everything. A page in a browser on this machine reaches it under a
    name that its author has pointed to 127.0.0.1 (DNS rebinding); that name then stands in the Host header, and is
    refused. Once there are keys any name will do: a browser sends the console's cookie to the name that had set it
    alone, and keys never by itself. With a `public_url` it must be that name, or a loopback one.
    """

    def __init__(self, app: ASGIApp, access: Access, public_url: str | None = None):
        self._app = app
        self._access = access
        self._name = None if public_url is None else urlsplit(public_url).netloc.lower().encode()
        self._https = public_url is not None and public_url.startswith("https:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, over, looked = False, False, time.monotonic()
        notes = notes_of(scope)

        async def guarded(message: Message) -> None:
            nonlocal begun, over, looked
            if over:
                return
            if message["type"] == "http.response.start":
                late, looked, begun = time.monotonic() - looked > _LOOK_SECONDS, time.monotonic(), True
                error = await _too_late(notes) if late and scope["method"] in _ONLY_LOOKS else None
                if error is not None:
                    looked = math.inf  # This refusal itself is told.
                    await problem_of(error)(scope, receive, guarded)
                    over = True
                    return
                message = {**message, "headers": self._headers(scope, message["headers"], notes)}
            elif message.get("more_body") and time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                if not await _may_go_on(notes):
                    over, message = True, {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            self._check_host(Request(scope))
            await self._app(scope, receive, guarded)
        except Exception as error:
            if begun:
                raise
            await problem_of(error)(scope, receive, guarded)

    def _check_host(self, request: Request) -> None:
        hosts = [value for name, value in request.headers.raw if name == b"host"]
        if len(hosts) == 1:
            if _LOOPBACK.fullmatch(hosts[0]) or (self._name is not None and hosts[0].lower() == self._name):
                return
            if self._name is None and not self._access.is_open:
                return
        known = "" if self._name is None else f"{self._name.decode()}, "
        why = f"this server answers only to {known}localhost, 127.0.0.1 and [::1] as host"
        raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, why)

    def _headers(self, scope: Scope, given: list[tuple[bytes, bytes]], notes: Notes) -> list[tuple[bytes, bytes]]:
        """The headers of an answer with ours; what an answer says itself stands."""
        names = {name.lower() for name, _ in given}
        headers = [*given, *(pair for pair in _HEADERS if pair[0] not in names)]
        if b"cache-control" not in names:
            headers.append(_ASKED_AGAIN if b"etag" in names else _NOT_KEPT)
        if self._https or scope["scheme"] == "https":
            headers.append(_HTTPS_ONLY)
        headers.extend((b"set-cookie", cookie) for cookie in notes.cookies)
        return headers


async def _too_late(notes: Notes) -> Exception | None:
    """Why whoever has waited for an answer may not be told it any more, None if they may."""
    try:
        return None if await _may_go_on(notes) else unauthenticated()
    except RefoldError as error:
        return error


async def _may_go_on(notes: Notes) -> bool:
    """Whether whoever listens to a long answer may still be told. Raises StoreError, which ends it too."""
    try:
        return notes.still is None or await notes.still()
    except Refusal:
        return False
