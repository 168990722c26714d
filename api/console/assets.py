"""The style sheet and the scripts. Their addresses change with their content, so they can be kept for ever."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Response

from ..problems import Refusal

router = APIRouter(include_in_schema=False)
"""`/console/static/…`"""

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def _load() -> dict[str, tuple[str, bytes]]:
    found: dict[str, tuple[str, bytes]] = {}
    for file in sorted(Path(__file__).with_name("static").iterdir()):
        if file.name.rpartition(".")[2] in _TYPES:
            data = file.read_bytes()
            found[file.name] = (hashlib.sha256(data).hexdigest()[:16], data)
    return found


_ASSETS = _load()


def address_of(name: str) -> str:
    """Where the static file `name` is served."""
    return f"/console/static/{_ASSETS[name][0]}/{name}"


def text_of(name: str) -> str:
    """What the static file `name` says, for pages that have to stand alone."""
    return _ASSETS[name][1].decode()


@router.get("/console/static/{digest}/{name}")
async def static_file(digest: str, name: str) -> Response:
    """A file of the console. What a page of an older server asks for is not served as if it were the same."""
    found = _ASSETS.get(name)
    if found is None or found[0] != digest:
        raise Refusal(HTTPStatus.NOT_FOUND, "nothing is served under this path")
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(found[1], headers=headers, media_type=_TYPES[name.rpartition(".")[2]])
