"""Errors as RFC 9457 tells them: application/problem+json, with a code of the failure catalog."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ..core.errors import InvalidError, Problem, RefoldError, StoreError
from ..core.failures import FAILURES
from .methods import methods_of

_log = logging.getLogger(__name__)

_HTTP_CODES = {404: "ROUTE_UNKNOWN", 405: "ROUTE_UNKNOWN", 413: "INPUT_TOO_LARGE"}
"""The code of a refusal that HTTP itself has a status for; of any other one it is INPUT_INVALID."""

_RETRY_SECONDS = 1

MEDIA_TYPE = "application/problem+json"
"""RFC 9457, section 6.1."""


class Refusal(RefoldError):
    """A request is refused for a reason that HTTP has a status for."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        problems: Sequence[Problem] = (),
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(detail)
        self.status = status
        self.problems = tuple(problems)
        self.failure = code or _HTTP_CODES.get(status, "INPUT_INVALID")
        self.headers = dict(headers or {})


def problem_bytes(status: int, code: str, detail: str, problems: Sequence[Problem] = ()) -> bytes:
    """The problem document. ASCII only, so that nothing in a message can make it unwritable."""
    failure = FAILURES.get(code)
    document: dict[str, Any] = {
        "type": f"urn:refold:failure:{code}",
        "title": failure.meaning if failure is not None else HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "problems": [problem._asdict() for problem in problems],
    }
    if failure is not None:
        document |= {
            "category": failure.category,
            "retryable": failure.retryable,
            "recovery": failure.recovery,
            "suggestion": failure.suggestion,
            "documentation": failure.documentation,
        }
    return json.dumps(document).encode()


def problem_of(error: Exception) -> Response:
    """The answer to a request that `error` ended. What is no fault of the caller is logged, and told without detail."""
    headers = {"x-content-type-options": "nosniff"}
    if isinstance(error, Refusal):
        body = problem_bytes(error.status, error.failure, str(error), error.problems)
        return Response(body, error.status, {**headers, **error.headers}, MEDIA_TYPE)
    code = error.code if isinstance(error, RefoldError) else RefoldError.code
    status = FAILURES[code].http_status if code in FAILURES else 500
    problems = error.problems if isinstance(error, InvalidError) else ()
    detail = str(error)
    if len(problems) > 1:
        detail = f"{len(problems)} problems; the first {problems[0]}"
    if status >= 500:
        _log.error("%s", error, exc_info=None if isinstance(error, RefoldError) else error)
    if not isinstance(error, RefoldError) or isinstance(error, StoreError):
        detail = FAILURES[code].meaning  # The message may tell of the database, or of anything at all.
    if status == 503:
        headers["retry-after"] = str(_RETRY_SECONDS)
    return Response(problem_bytes(status, code, detail, problems), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Have every error of `app` answered by a problem document."""
    app.add_exception_handler(RefoldError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_bad_parameters)


async def _on_error(_request: Request, error: Exception) -> Response:
    return problem_of(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    detail = {
        404: "nothing is served under this path",
        405: f"this path does not take {request.method[:20]}",
    }.get(status, status.phrase)
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        # Starlette names the methods of the first route that has the path, and not of all (RFC 9110, section 10.2.1).
        app: FastAPI = request.app
        named = {name.strip() for name in headers.get("Allow", "").split(",") if name.strip()}
        named = methods_of(app, request.url.path) or named
        headers = {"allow": ", ".join(sorted(named | ({"HEAD"} if "GET" in named else set())))}
    return problem_of(Refusal(status, detail, headers=headers))


async def _on_bad_parameters(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [_of_parameter(found) for found in error.errors()]
    return problem_of(InvalidError(problems))


def _of_parameter(found: Mapping[str, Any]) -> Problem:
    """A problem with what stands in the URL, which has no JSON pointer: the reason names it."""
    where, *names = found["loc"]
    name = ascii(str(names[0])[:60])[1:-1] if names else ""
    if found["type"] == "extra_forbidden":
        return Problem("", f"{where} parameter {name!r} is unknown", "remove it")
    message = str(found["msg"])
    return Problem("", f"{where} parameter {name!r}: {message[:1].lower()}{message[1:200]}", "correct it")
