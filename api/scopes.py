"""Which scopes the operations need, as the OpenAPI document tells it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from .callers import EVERYWHERE, SCOPES, caller_of

_SCHEME = "key"


def add_security(app: FastAPI, document: dict[str, Any]) -> None:
    """Say of each operation which scopes its caller must have; of one that anybody may ask, that there are none."""
    schemes = document["components"].setdefault("securitySchemes", {})
    schemes.setdefault(_SCHEME, {"type": "http", "scheme": "bearer", "description": _DESCRIPTION})
    for route in routes_of(app):
        scopes = next(_needed(route.dependant), None)
        for method in route.methods or ():
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None and "security" not in operation:
                operation["security"] = [] if scopes is None else [{_SCHEME: scopes}]


def routes_of(app: FastAPI) -> list[APIRoute]:
    """The routes that the document shows."""
    every = (context.original_route for context in iter_route_contexts(app.routes))
    return [route for route in every if isinstance(route, APIRoute) and route.include_in_schema]


def _needed(dependant: Dependant) -> Iterator[list[str]]:
    for each in dependant.dependencies:
        if each.call is caller_of:
            yield list(each.own_oauth_scopes or [])
        yield from _needed(each)


_DESCRIPTION = (
    f"An API key, or a bearer token of the configured issuer. Scopes are {', '.join(SCOPES)}; {EVERYWHERE} beside one "
    "means that the caller must have it for all tenants. A server without keys listens on loopback only, and asks for "
    "none."
)
