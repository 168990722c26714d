"""HEAD is GET without the answer's content (RFC 9110, section 9.3.2), for every path that has a GET."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STREAM = b"text/event-stream"


class Heads:
    """Asks for a GET where HEAD came, and keeps what it says to itself. A stream ends where it would begin."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        over = False

        async def without_content(message: Message) -> None:
            nonlocal over
            if over:
                return
            if message["type"] != "http.response.start":
                over = not message.get("more_body", False)
                await send({**message, "body": b""})
                return
            scope["route"] = asked.get("route")
            await send(message)
            kind = next((value for name, value in message["headers"] if name.lower() == b"content-type"), b"")
            if kind.startswith(_STREAM):
                over = True
                await send({"type": "http.response.body", "body": b""})

        await self._app(asked, receive, without_content)
