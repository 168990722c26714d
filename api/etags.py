"""Entity tags: a client that has an answer already is told so instead of being sent it again (RFC 9110, 8.8.3)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import orjson
from fastapi import Request, Response

_TAGS = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def tag_of(*parts: object) -> str:
    """A strong entity tag for what follows from `parts`: such as a run's version and the hash of its last event."""
    return f'"{sha256(repr(parts).encode()).hexdigest()[:32]}"'


def offered(request: Request) -> str:
    """What the client's If-None-Match says, empty for nothing."""
    return ",".join(request.headers.getlist("if-none-match"))


def names(given: str, tag: str) -> bool:
    """Whether an If-None-Match of `given` names the tag (RFC 9110, 13.1.2: weakly compared)."""
    return given.strip() == "*" or tag.removeprefix("W/") in _TAGS.findall(given)


def has_it(request: Request, tag: str) -> bool:
    """Whether the client has what `tag` names."""
    return names(offered(request), tag)


def not_modified(tag: str) -> Response:
    """The answer to a client that has it (RFC 9110, 15.4.5)."""
    return Response(status_code=304, headers={"etag": tag, "cache-control": "no-cache"})


def tagged(request: Request, value: Any, media_type: str = "application/json", **headers: str) -> Response:
    """`value` (bytes as they are, anything else as JSON) with a tag of its bytes; 304 for a client that has it."""
    data = value if isinstance(value, bytes) else orjson.dumps(value)
    tag = tag_of(data)
    if has_it(request, tag):
        return not_modified(tag)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(data, 200, {"etag": tag, "cache-control": "no-cache", **named}, media_type)
