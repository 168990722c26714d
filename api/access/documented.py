"""What the OpenAPI document says of who may ask."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase


class _Scheme(SecurityBase):
    """A way to say who asks. It finds out nothing itself: the document is told of it, and `caller_of` does the rest."""

    def __init__(self, name: str, model: APIKey | HTTPBearer):
        self.scheme_name = name
        self.model = model

    async def __call__(self, request: Request) -> None:
        """Nothing."""


BEARER = _Scheme(
    "bearer",
    HTTPBearer(bearerFormat="rfk_<id>_<secret>, or a JWT", description="A key, or a token of the issuer."),
)
"""The header Authorization."""

SESSION = _Scheme(
    "session",
    APIKey.model_validate(
        {"in": APIKeyIn.cookie, "name": "refold_session", "description": "The console's session; for GET alone."}
    ),
)
"""The cookie."""


def without_cookies(document: dict[str, Any]) -> None:
    """Take the cookie from those operations of the document for which it does not count."""
    for item in document["paths"].values():
        for method, operation in item.items():
            if method != "get" and "security" in operation:
                operation["security"] = [each for each in operation["security"] if SESSION.scheme_name not in each]
