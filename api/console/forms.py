"""Forms of the console: read with a limit, and only if they come from a page that we made for the same caller."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import ValidationError

from ...core.errors import InvalidError
from ...core.spec_problems import explain, first_in_order
from ..access import csrf
from ..bodies import BODY_SECONDS, Body
from ..callers import Caller
from ..problems import Refusal

MAX_FORM_BYTES = 4_000_000
"""The largest form that is read."""

_FIELDS = 1_000
_TYPE = "application/x-www-form-urlencoded"


def csrf_token(request: Request, _caller: Caller) -> str:
    """What a form of this caller must carry as `csrf`: other sites cannot read it, so they cannot send it."""
    return csrf.csrf_token(request)


class Form(Body):
    """A form's fields: texts, or lists of texts where a name may occur more than once."""


F = TypeVar("F", bound=Form)


async def form_of(request: Request, _caller: Caller, kind: type[F]) -> F:
    """The request's form as a `kind`; fields that were left empty count as not given.

    Raises Refusal (400, 403 without the token, 408, 413, 415), and InvalidError for what does not fit.
    """
    types = [value.partition(";")[0].strip().lower() for value in request.headers.getlist("content-type")]
    if types != [_TYPE]:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the form must be sent with content-type: {_TYPE}")
    pairs = _pairs_of(await _bytes_of(request))
    given = [value for name, value in pairs if name == csrf.FIELD]
    csrf.check_form(request, {csrf.FIELD: given[0]} if len(given) == 1 else {})
    fields: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if name == csrf.FIELD or not value:
            continue
        field = kind.model_fields.get(name)
        if field is not None and field.annotation == list[str]:
            several = fields.setdefault(name, [])
            several.append(value) if isinstance(several, list) else None
        elif name in fields:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"the form has the field {name[:40]!a} twice")
        else:
            fields[name] = value
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise InvalidError(first_in_order(explain(error, kind.model_fields), fields)) from None


def _pairs_of(data: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "the form cannot be read") from None


async def _bytes_of(request: Request) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > MAX_FORM_BYTES:
                    raise Refusal(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the form is larger than {MAX_FORM_BYTES} bytes"
                    )
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, f"the form did not come within {BODY_SECONDS:.0f} s") from None
    return bytes(data)
