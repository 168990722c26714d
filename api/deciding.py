"""In whose name somebody decides."""

from __future__ import annotations

from http import HTTPStatus

from ..core.errors import InvalidError, Problem
from .callers import Caller
from .problems import Refusal


def decided_by(caller: Caller, given: str | None) -> str:
    """Who decides about an approval: the caller, by the name of their key; without keys, or with the scope operate,
    whoever the caller says (else the caller). Raises InvalidError, Refusal (403)."""
    name = given or caller.name
    if not name:
        raise InvalidError(Problem("/by", "nobody is named who decides", "say who"))
    if caller.name and name != caller.name and "operate" not in caller.scopes:
        why = "a key decides in its own name; deciding in another one needs the scope operate"
        raise Refusal(HTTPStatus.FORBIDDEN, why, code="SCOPE_MISSING")
    return name
