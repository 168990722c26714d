"""What holds for every request and answer, whatever the route."""

from __future__ import annotations

import re
from http import HTTPStatus

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import Refusal, problem_of

_LOOPBACK = re.compile(rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
"""A Host header (RFC 9110, section 7.2) that names this machine's loopback interface."""

_FOREIGN = "this server answers only to localhost, 127.0.0.1 and [::1] as host"


class Guard:
    """Refuses other names than loopback ones, forbids the guessing of content types, and answers every error.

    Without keys, whoever reaches the port may do everything. A page in a browser on this machine reaches it under a
    name that its author has pointed to 127.0.0.1 (DNS rebinding); that name then stands in the Host header.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = [pair for pair in message["headers"] if pair[0].lower() != b"x-content-type-options"]
                message = {**message, "headers": [*headers, (b"x-content-type-options", b"nosniff")]}
            await send(message)

        try:
            _check_host(Request(scope))
            await self._app(scope, receive, guarded)
        except Exception as error:
            if begun:
                raise
            await problem_of(error)(scope, receive, guarded)


def _check_host(request: Request) -> None:
    hosts = [value for name, value in request.headers.raw if name == b"host"]
    if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
        raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, _FOREIGN)
