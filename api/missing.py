"""What is not there, said in the same words whether another tenant has it or nobody."""

from __future__ import annotations

from http import HTTPStatus

from ..core.failures import FAILURES
from .problems import Refusal

RESOURCE_NOT_FOUND, PROJECTION_NOT_BUILT, NOT_CONFIGURED = (
    FAILURES[code].code for code in ("RESOURCE_NOT_FOUND", "PROJECTION_NOT_BUILT", "NOT_CONFIGURED")
)
"""Their codes."""


def missing(what: str, name: str) -> Refusal:
    """There is no `what` called `name`."""
    reason = f"there is no {what} {ascii(name[:201])[:200]}"
    return Refusal(HTTPStatus.NOT_FOUND, reason, code=RESOURCE_NOT_FOUND)


def not_built(projection: str) -> Refusal:
    """No projector has ever kept this projection."""
    reason = f"the projection {projection} is not built yet: no projector has run"
    headers = {"retry-after": "5"}
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, code=PROJECTION_NOT_BUILT, headers=headers)


def not_configured(what: str, setting: str) -> Refusal:
    """The server was not told where `what` lies."""
    return Refusal(HTTPStatus.CONFLICT, f"this server was not told of {what}: {setting}", code=NOT_CONFIGURED)
