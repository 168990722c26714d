"""The OpenAPI document: what FastAPI says of the routes, made complete and exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute

from .access.documented import without_cookies
from .examples import add_examples
from .problems import MEDIA_TYPE

JSON = "#/components/schemas/Json"
"""Where the document says what any JSON value is."""

_JSON: dict[str, Any] = {
    "title": "Json",
    "description": "Any JSON value. An integer beyond ±(2^53-1) does not travel exactly (RFC 8785) and is refused: "
    "send it as a string.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "number"},
        {"type": "string"},
        {"type": "array", "items": {"$ref": JSON}},
        {"type": "object", "additionalProperties": {"$ref": JSON}},
    ],
}

_SAYS_NOTHING = frozenset({"title", "description", "default", "examples"})
"""What may stand in a schema that takes everything."""


def operation_id(route: APIRoute) -> str:
    """The id of an operation, by which generated clients call it: the name of its function."""
    return route.name


def complete(app: FastAPI) -> None:
    """Have `app` serve its document with all that FastAPI leaves out.

    Problems are problem documents, and not plain JSON; models within bodies, which our own reader reads, stand among
    the components; values of any kind are JSON as we read it; and each operation has examples and says which scopes it
    needs.
    """
    made = app.openapi
    open_to_all: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        document = whole()
        if not app.state.access.is_open:
            return document
        if not open_to_all:
            open_to_all.append(_without_keys(document))
        return open_to_all[0]

    def whole() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Json" in schemas:
            return document
        schemas["Json"] = _JSON
        without_cookies(document)
        for operation in _operations(document):
            _tell_media_types(operation)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                body = content["schema"]
                schemas |= {name: _exact(part) for name, part in body.pop("$defs", {}).items()}
                content["schema"] = _exact(body)
        for operation in _operations(document):
            add_examples(operation, schemas)
            operation.setdefault("security", [])
        return document

    app.openapi = openapi


def _without_keys(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a server that asks for no key as yet: whoever shows none is served too."""

    def opened(operation: dict[str, Any]) -> dict[str, Any]:
        needed = operation["security"]
        return {**operation, "security": [*needed, {}] if needed else []}

    paths: dict[str, dict[str, Any]] = document["paths"]
    return document | {
        "paths": {path: {method: opened(each) for method, each in item.items()} for path, item in paths.items()}
    }


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def _tell_media_types(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "4XX" in responses:
        responses.pop("422", None)
    for status, response in responses.items():
        content: dict[str, Any] | None = response.get("content")
        if content and status in ("4XX", "5XX") and "application/json" in content:
            content[MEDIA_TYPE] = content.pop("application/json")


def _exact(schema: Any) -> Any:
    """The schema with what takes everything said to be JSON."""
    if isinstance(schema, list):
        return [_exact(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    found = cast("dict[str, Any]", schema)
    told = {name: _exact(item) for name, item in found.items() if name not in ("default", "examples", "properties")}
    told |= {name: found[name] for name in ("default", "examples") if name in found}
    if "properties" in found:
        told["properties"] = {name: _exact(item) or {"$ref": JSON} for name, item in found["properties"].items()}
    if told.get("additionalProperties") is True:
        told["additionalProperties"] = {"$ref": JSON}
    if "items" in told and not told["items"]:
        told["items"] = {"$ref": JSON}
    return told | {"$ref": JSON} if told and not set(told) - _SAYS_NOTHING else told
