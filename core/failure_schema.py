"""The JSON Schema of a failure catalog: an array of entries, each as `CatalogEntry.to_json` gives it."""

from __future__ import annotations

from typing import Any

from .failure_entry import Category, Recovery
from .retry import MAX_SECONDS

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}

RETRY_SCHEMA: dict[str, Any] = {
    "description": "The policy that is recommended; max_attempts counts the first attempt too.",
    "type": "object",
    "properties": {
        "max_attempts": {"type": "integer", "minimum": 1, "maximum": 1001},
        "initial_seconds": {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
        "multiplier": {"type": "number", "minimum": 1, "maximum": 1000},
        "max_seconds": {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
        "jitter": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["max_attempts", "initial_seconds", "multiplier", "max_seconds", "jitter"],
    "additionalProperties": False,
}
"""Of a retry policy."""

ENTRY_SCHEMA: dict[str, Any] = {
    "description": "What the catalog says of a code.",
    "type": "object",
    "properties": {
        "code": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,63}$"},
        "category": {"enum": [each.value for each in Category]},
        "retryable": {"description": "Whether another attempt can help.", "type": "boolean"},
        "recovery": {"description": "What cures it.", "enum": [each.value for each in Recovery]},
        "retry": {"$ref": "#/$defs/retry"},
        "http_status": {"type": "integer", "minimum": 400, "maximum": 599},
        "meaning": _TEXT,
        "suggestion": {**_TEXT, "description": "What to do next; RUN_ID stands for the run's id."},
        "documentation": {"description": "A path or URL; empty where there is none.", "type": "string"},
    },
    "required": [
        "code",
        "category",
        "retryable",
        "recovery",
        "retry",
        "http_status",
        "meaning",
        "suggestion",
        "documentation",
    ],
    "additionalProperties": False,
    # What cannot be tried again has no policy that does.
    "if": {"properties": {"retryable": {"const": False}}},
    "then": {"properties": {"retry": {"properties": {"max_attempts": {"const": 1}}}}},
}
"""Of an entry."""

CATALOG_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:refold:schema:failures",
    "title": "A failure catalog of Refold",
    "type": "array",
    "items": {"$ref": "#/$defs/entry"},
    "uniqueItems": True,
    "$defs": {"entry": ENTRY_SCHEMA, "retry": RETRY_SCHEMA},
}
"""Of a whole catalog."""
