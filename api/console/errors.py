"""Problems as pages, for browsers: what the API would answer, drawn."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..problems import MEDIA_TYPE
from .pages import draw, html, shell_of
from .words import query

LOGIN = "/login"
"""Where a browser is sent that is to say who it is."""


class ProblemPages:
    """Draws problem documents for who asked for HTML, except under `/v1`; 401 leads to the login page."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not _wants_html(request := Request(scope, receive)):
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def drawing(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_problem(message):
                held.append(message)
            elif not held:
                await send(message)
            else:
                held.append(message)
                if not message.get("more_body"):
                    response = await asyncio.to_thread(_drawn, request, held)
                    await response(scope, receive, send)

        await self._app(scope, receive, drawing)


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not f"{request.url.path}/".startswith("/v1/")


def _is_problem(message: Message) -> bool:
    return (b"content-type", MEDIA_TYPE.encode()) in message["headers"]


def _drawn(request: Request, held: list[Message]) -> Response:
    problem: dict[str, Any] = orjson.loads(b"".join(message.get("body", b"") for message in held[1:]))
    status: int = held[0]["status"]
    served: set[str] = getattr(request.app.state, "pages", set()) if "app" in request.scope else set()
    if status == 401 and LOGIN in served:
        back = request.url.path if request.method == "GET" else ""
        away = Response(status_code=303, headers={"location": LOGIN + query({"next": back})})
        return _with_headers(away, [pair for pair in held[0]["headers"] if pair[0] == b"set-cookie"])
    shell = shell_of(request, None, leads_on=True)
    model = {"problem": {"category": None, "suggestion": None, **problem}, "shell": shell}
    return _with_headers(html(draw("problem.html", model), status), held[0]["headers"])


def _with_headers(response: Response, given: list[tuple[bytes, bytes]]) -> Response:
    """The page with all that the problem was to be sent with, but for what says what it is."""
    ours = {name for name, _ in response.raw_headers}
    response.raw_headers += [pair for pair in given if pair[0] not in ours]
    return response
