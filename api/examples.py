"""Examples of bodies and answers for the OpenAPI document, made of their schemas.

What a model gives as its own example is used. Else each field gets a value that is usual for its name, if the schema
takes it, and else the plainest value that the schema takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_AT = "2026-11-20T08:00:00Z"
_SPEC: dict[str, Any] = {
    "workflow_type": "order",
    "version": "1",
    "steps": [{"step_id": "pack", "skill_id": "echo", "inputs": {"item": "${inputs.item}"}}],
}

USUAL: dict[str, Any] = {
    **dict.fromkeys(("at", "started_at", "updated_at", "requested_at", "registered_at", "adopted_at"), _AT),
    **dict.fromkeys(("ended_at", "decided_at", "position_at", "since", "due", "tried_at"), "2026-11-20T08:00:04Z"),
    **dict.fromkeys(("sha256", "spec_hash", "hash", "workflow_hash", "event_hash", "root", "body_hash"), _HASH),
    **dict.fromkeys(("old_root", "new_root", "predecessor"), _HASH),
    **dict.fromkeys(("next_cursor", "output_hash", "message", "error_code", "deadline", "next_escalation"), None),
    **dict.fromkeys(("error", "why", "owner", "rejected_by", "continued_as", "child", "unserved", "parent"), None),
    **dict.fromkeys(("retired_at", "replaced", "next_after", "fault", "key"), None),
    "account": "budget/agent/ada/2026-11",
    "agent_id": "ada",
    "approvers": ["ada", "bob"],
    "attempt": 1,
    "attempts": 1,
    "by": "ada",
    "category": "TRANSIENT",
    "cents": 500.0,
    "certificate": {"body": {"format": "refold.certificate.v1"}},
    "code": "STEP_TIMEOUT",
    "comment": "looks right",
    "delivered": 12,
    "description": "billing",
    "document": {"policy": "house", "version": "1", "rules": []},
    "endpoint_id": "ep_5f3a9c0d1e2b4a6f8c7d",
    "erased": ["order-7"],
    "events": 5,
    "http_status": 504,
    "id": "order-7",
    "inputs": {"item": "lamp"},
    "key_id": "whk_0a1b2c3d4e5f60718293",
    "kind": "step",
    "message_id": "msg_5f3a9c0d1e2b4a6f8c7d",
    "name": "runs",
    "next": "2026-11-21T02:00:00Z",
    "origin": "example.com/log",
    "output": {"parcel": "lamp in a box"},
    "patterns": ["run.*", "approval.requested"],
    "plan": _SPEC,
    "policy": {"policy": "house", "version": "1", "rules": []},
    "position": 1042,
    "problems": [],
    "proof": ["n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="],
    "queue": "default",
    "queues": ["default"],
    "quorum": 1,
    "reason": "as agreed with the customer",
    "run_id": "order-7",
    "rows": [{"code": "STEP_TIMEOUT", "failures": 3}],
    "schedule": {"schedule_id": "nightly", "workflow": "report", "cron": "0 2 * * *"},
    "schedule_id": "nightly",
    "seed": 0,
    "signature": None,
    "skill": "http_call",
    "skill_id": "echo",
    "spec": _SPEC,
    "status": "completed",
    "step_id": "pack",
    "step_hashes": [_HASH],
    "steps": ["pack"],
    "stream": "default/order-7",
    "tenant": "default",
    "times": ["2026-11-21T02:00:00Z"],
    "to": None,
    "topic": "step.completed",
    "url": "https://hooks.example.com/refold",
    "version": "1",
    "versions": ["refold 0.1.0"],
    "workflow_type": "order",
    "workflow_version": "1",
}
"""Values that are usual for fields of these names."""

_PLAIN: dict[str, Any] = {"string": "text", "integer": 0, "number": 0.0, "boolean": False, "null": None, "object": {}}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}
_DEEPEST = 8


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value that `schema` takes, of a field called `name`; `schemas` are those that it can refer to."""
    if "$ref" in schema:
        referred = str(schema["$ref"]).rpartition("/")[2]
        if referred == "Json":
            return USUAL.get(name)
        schema = schemas[referred]
    given: list[Any] = schema.get("examples") or ([schema["example"]] if "example" in schema else [])
    if given:
        return _with_nulls(given[0], schema, schemas)
    if name in USUAL and takes(schema, USUAL[name], schemas):
        return USUAL[name]
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "default" in schema and depth > 1:
        return schema["default"]
    options: list[Any] = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
    if options:
        return example_of(options[0], schemas, name, depth)
    if schema.get("type") == "array":
        items = example_of(schema.get("items", {}), schemas, name, depth + 1) if depth < _DEEPEST else None
        return [] if items is None else [items]
    if "properties" in schema and depth < _DEEPEST:
        return _object(schema, schemas, depth)
    plain = _PLAIN.get(str(schema.get("type")))
    return max(plain, schema.get("minimum", plain)) if isinstance(plain, int | float) and plain is not False else plain


def _object(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """All fields of an answer; of a body those that it must have, and else those that have a usual value."""
    properties, needed = cast("dict[str, Any]", schema["properties"]), schema.get("required", [])
    strict = schema.get("additionalProperties") is False
    found: dict[str, Any] = {}
    for name, part in properties.items():
        if strict and name not in needed and (name not in USUAL or USUAL[name] is None or needed):
            continue
        found[name] = example_of(part, schemas, name, depth + 1)
    return found


def _with_nulls(value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """A model's own example with the fields that are null in it, which FastAPI leaves out of its document."""
    if "$ref" in schema:
        schema = schemas[str(schema["$ref"]).rpartition("/")[2]]
    if isinstance(value, list):
        return [_with_nulls(each, schema.get("items", {}), schemas) for each in cast("list[Any]", value)]
    if not isinstance(value, dict) or "properties" not in schema:
        return cast("Any", value)
    parts = cast("dict[str, Any]", schema["properties"])
    told = {
        name: _with_nulls(each, parts.get(name, {}), schemas) for name, each in cast("dict[str, Any]", value).items()
    }
    lacking = [name for name in schema.get("required", []) if name not in told]
    return told | {name: None for name in lacking if takes(parts[name], None, schemas)}


def takes(schema: Mapping[str, Any], value: Any, schemas: Mapping[str, Any]) -> bool:
    """Whether a schema takes a plain value, as far as types, enumerations and patterns say."""
    if "$ref" in schema:
        referred = str(schema["$ref"]).rpartition("/")[2]
        return referred == "Json" or takes(schemas[referred], value, schemas)
    if "anyOf" in schema:
        return any(takes(each, value, schemas) for each in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kind = schema.get("type")
    if kind is not None and not (
        isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    ):
        return False
    if kind == "array":
        return all(takes(schema.get("items", {}), each, schemas) for each in value)
    if "properties" in schema:
        return set(schema.get("required", [])) <= set(value)
    return kind != "string" or re.search(schema.get("pattern", ""), value) is not None


def add_examples(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Give the operation's body, and what it answers when all is well, an example each."""
    contents = [operation.get("requestBody", {}).get("content", {})]
    contents += [each.get("content", {}) for status, each in operation["responses"].items() if status.startswith("2")]
    for content in contents:
        told = content.get("application/json")
        if told is not None and "schema" in told:
            told.setdefault("example", example_of(told["schema"], schemas))
