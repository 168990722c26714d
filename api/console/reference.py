"""The reference of the API, drawn from the OpenAPI document."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request, Response
from markupsafe import Markup, escape

from ..callers import EVERYWHERE
from ..etags import has_it, not_modified, tag_of
from ..examples import example_of
from ..ports import Given
from .pages import draw, html, shell_of

router = APIRouter(include_in_schema=False)
"""`/docs`."""

_KINDS = {"string": "text", "integer": "whole number", "date-time": "time"}
_SHOWN = {"get": "GET", "post": "POST", "put": "PUT", "patch": "PATCH", "delete": "DELETE"}


@router.get("/docs")
async def reference_page(request: Request, ports: Given) -> Response:
    """Every operation with its parameters, its body, its answers and a command. It tells what `/v1/openapi.json` tells,
    so nobody is asked who they are."""
    app: FastAPI = request.app
    drawn: str | None = getattr(app.state, "reference", None)
    if drawn is None:
        model = await ports.ask(lambda: reference(app.openapi()))
        shell = shell_of(request, None, leads_on=True)
        drawn = await ports.ask(draw, "reference.html", {"reference": model, "shell": shell})
        app.state.reference = drawn
    tag = tag_of(drawn)
    if has_it(request, tag):
        return not_modified(tag)
    return html(drawn, 200, {"etag": tag, "cache-control": "no-cache"})


def reference(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as a page needs it: operations by tag, each with all that is said of it."""
    schemas: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _SHOWN:
                tag = (operation.get("tags") or ["other"])[0]
                groups.setdefault(tag, []).append(_operation(path, _SHOWN[method], operation, schemas))
    return {
        "title": document["info"]["title"],
        "version": document["info"]["version"],
        "description": _prose(document["info"].get("description", "")),
        "groups": [
            {"tag": tag, "id": f"tag-{tag.replace(' ', '-')}", "operations": found} for tag, found in groups.items()
        ],
        "count": sum(map(len, groups.values())),
    }


def _operation(path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    parameters: list[Mapping[str, Any]] = operation.get("parameters", [])
    body: Mapping[str, Any] | None = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return {
        "id": operation["operationId"],
        "method": method,
        "path": path,
        "summary": operation.get("summary", ""),
        "description": _prose(operation.get("description", "")),
        "scopes": _scopes(operation),
        "parameters": [_parameter(each, schemas) for each in parameters],
        "about": _prose("" if body is None else body["schema"].get("description", "")),
        "fields": [] if body is None else list(_fields(body["schema"], schemas)),
        "body": None if body is None else _json(body.get("example")),
        "answers": [_answer(status, told) for status, told in sorted(operation["responses"].items())],
        "command": command(path, method, parameters, body, schemas),
    }


def _scopes(operation: Mapping[str, Any]) -> str:
    """Who may, in words."""
    needed = [scope for each in operation.get("security", []) for scopes in each.values() for scope in scopes]
    if not needed:
        return "anybody"
    scopes = ", ".join(dict.fromkeys(scope for scope in needed if scope != EVERYWHERE))
    return f"scope {scopes}, for all tenants" if EVERYWHERE in needed else f"scope {scopes}"


def _parameter(parameter: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    schema: Mapping[str, Any] = parameter.get("schema", {})
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "needed": parameter.get("required", False),
        "kind": kind_of(schema, schemas),
        "usual": _json(schema["default"]) if schema.get("default") is not None else None,
        "description": _prose(parameter.get("description", "")),
    }


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The fields of a body, after what is said of it as a whole."""
    needed = schema.get("required", [])
    for name, part in schema.get("properties", {}).items():
        yield {
            "name": name,
            "needed": name in needed,
            "kind": kind_of(part, schemas),
            "usual": _json(part["default"]) if part.get("default") is not None else None,
            "description": _prose(part.get("description", "")),
        }


def _answer(status: str, told: Mapping[str, Any]) -> dict[str, Any]:
    contents: Mapping[str, Any] = told.get("content", {})
    example = next((each["example"] for each in contents.values() if "example" in each), None)
    media = [kind for kind in contents if kind not in ("application/json", "application/problem+json")]
    return {
        "status": status.replace("XX", "xx"),
        "description": _prose(told.get("description", "")),
        "example": None if example is None else _json(example),
        "media": media,
    }


def kind_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """What a schema takes, in a few words."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return "any JSON" if name == "Json" else kind_of(schemas.get(name, {}), schemas)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(kind_of(each, schemas) for each in options if each.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return " | ".join(str(each) or '""' for each in schema.get("enum") or [schema["const"]])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}), schemas)}"
    named = str(schema.get("type", "any JSON"))
    kind = _KINDS.get(str(schema.get("format")), _KINDS.get(named, named))
    low, high = (schema.get(name, schema.get(f"exclusive{name.capitalize()}")) for name in ("minimum", "maximum"))
    if low is not None and high is not None and high < 2**53:
        return f"{kind}, {low} to {high}"
    return kind


def command(
    path: str,
    method: str,
    parameters: list[Mapping[str, Any]],
    body: Mapping[str, Any] | None,
    schemas: Mapping[str, Any],
) -> str:
    """A curl command that asks for it; the server's address is in REFOLD_URL, the key in REFOLD_KEY."""
    values = {each["name"]: _value(each, schemas) for each in parameters if each.get("required")}
    where = re.sub(r"\{([^}]*)\}", lambda found: quote(values.get(found[1], found[1]), safe="/:@"), path)
    asked = [f"{each['name']}={quote(values[each['name']])}" for each in parameters if _is_asked(each)]
    url = f'"$REFOLD_URL{where}{"?" if asked else ""}{"&".join(asked)}"'
    words = ["curl", *_verb(method, body), '-H "Authorization: Bearer $REFOLD_KEY"']
    if body is not None:
        words.append("--json " + shlex.quote(json.dumps(body.get("example") or {}, ensure_ascii=False)))
    return " ".join([*words, url])


def _verb(method: str, body: Mapping[str, Any] | None) -> list[str]:
    return [] if method == ("GET" if body is None else "POST") else ["-X", method]


def _is_asked(parameter: Mapping[str, Any]) -> bool:
    return parameter["in"] == "query" and bool(parameter.get("required"))


def _value(parameter: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    given: Any = parameter.get("examples")
    if isinstance(given, list) and given:
        return str(cast("list[Any]", given)[0])
    return str(example_of(parameter.get("schema", {}), schemas, parameter["name"]))


def _prose(text: str) -> Markup:
    """Plain text in which what stands between backticks is code."""
    parts = re.split(r"`([^`]*)`", " ".join(text.split()))
    drawn = [f"<code>{escape(part)}</code>" if at % 2 else str(escape(part)) for at, part in enumerate(parts)]
    return Markup("".join(drawn))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
