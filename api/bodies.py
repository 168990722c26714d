"""Reading request bodies: limited before they are read, parsed strictly, checked with JSON pointers."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect

from ..core.documents import parse_json
from ..core.errors import DocumentError, InvalidError, Problem
from ..core.references import MAX_PROBLEMS
from ..core.spec_problems import explain, first_in_order, kind_of
from .problems import Refusal

MAX_BODY_BYTES = 4_000_000
"""The largest body that is read."""

SMALL_BYTES = 4_096
"""A body up to this size is parsed at once, which takes well below a millisecond."""

BODY_SECONDS = 30.0
"""For how long a body is waited for."""

_JSON = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE)


class Body(BaseModel):
    """A request body: its fields are of exactly the types that they are declared with, and there are no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


B = TypeVar("B", bound=Body)


async def read(request: Request, kind: type[B]) -> B:
    """The request's body as a `kind`; an empty one counts as an empty object.

    Raises Refusal (400 bad JSON, 408, 413, 415), and InvalidError with the pointers of all that does not fit.
    """
    _check_type(request)
    data = await _bytes_of(request)
    # A thread costs more than a small body does.
    return parse(data, kind) if len(data) <= SMALL_BYTES else await asyncio.to_thread(parse, data, kind)


def parse(data: bytes, kind: type[B]) -> B:
    """The body `data` as a `kind`. Raises as `read` does."""
    try:
        value: object = parse_json(data, max_bytes=MAX_BODY_BYTES) if data else {}
    except DocumentError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, str(error), error.problems) from None
    if not isinstance(value, dict):
        raise InvalidError(Problem("", f"the body must be an object, not {kind_of(value)}", "send an object"))
    fields = _without_most_strangers(cast("dict[str, Any]", value), kind)
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise InvalidError(first_in_order(explain(error, kind.model_fields), fields)) from None


def _without_most_strangers(value: dict[str, Any], kind: type[Body]) -> dict[str, Any]:
    """`value` with no more unknown fields than are told of: pydantic takes seconds over hundreds of thousands."""
    strangers = islice((name for name in value if name not in kind.model_fields), MAX_PROBLEMS + 1)
    kept = {*kind.model_fields, *strangers}
    return {name: item for name, item in value.items() if name in kept}


def documented(kind: type[Body], *parameters: dict[str, Any], example: Any = None) -> dict[str, Any]:
    """What the OpenAPI document says of a route that reads a `kind`, and `parameters` that it looks for by itself: for
    `openapi_extra`."""
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    content: dict[str, Any] = {"schema": schema} if example is None else {"schema": schema, "example": example}
    told: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": content}}}
    return {**told, "parameters": list(parameters)} if parameters else told


def _check_type(request: Request) -> None:
    """A form on any page in a browser can post what it likes here, but not as JSON: that takes a preflight, which
    nothing here answers. So the type is asked for even where the body may be empty."""
    types = request.headers.getlist("content-type")
    if len(types) != 1 or not _JSON.fullmatch(types[0].strip()):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be sent with content-type: application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be sent without content-encoding")


async def _bytes_of(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > MAX_BODY_BYTES):
        raise _too_large()
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the connection was closed within the body") from None
    return bytes(data)


def _too_large() -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes")
