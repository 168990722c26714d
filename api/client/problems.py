"""What a server refused, as the error that the store itself would have raised."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import orjson

from ...core import errors
from ...core.errors import CallError, InvalidError, Problem, RefoldError, StoreUnreachableError

_CLASSES: tuple[type[RefoldError], ...] = (
    errors.AddressRefusedError,
    errors.ApprovalDecidedError,
    errors.ApprovalNotFoundError,
    errors.ApproverUnknownError,
    errors.BudgetExceededError,
    errors.CredentialsRefusedError,
    errors.DataErasedError,
    errors.DataKeyError,
    errors.DelegationRefusedError,
    errors.EmergencyStopError,
    errors.GoldenStoreError,
    errors.IdempotencyConflictError,
    errors.IntegrityError,
    errors.JobConflictError,
    errors.JobNotFoundError,
    errors.KeyNotFoundError,
    errors.NondeterminismError,
    errors.OwnershipLostError,
    errors.PolicyViolationError,
    errors.QueryUnansweredError,
    errors.ReplayDivergenceError,
    errors.RunConflictError,
    errors.RunEndedError,
    errors.RunNotFoundError,
    errors.RunOwnedError,
    errors.ScopeMissingError,
    errors.SpecConflictError,
    errors.SpecError,
    errors.SpecNotFoundError,
    errors.StoreRefusedError,
    errors.StoreUnreachableError,
    errors.WorkflowNotFoundError,
)

ERRORS: dict[str, type[RefoldError]] = {
    **{kind.code: kind for kind in _CLASSES},
    # Whose key counts is let in however many others were refused: so this one's does not.
    "CREDENTIALS_THROTTLED": errors.CredentialsRefusedError,
}
"""The class of each code of a problem document that is not a CallError."""

_BUSY = (429, 503)


def error_of(response: httpx2.Response) -> RefoldError:
    """The error that the answer, which is no success, stands for: StoreUnreachableError if it may be asked again."""
    try:
        document: dict[str, Any] = orjson.loads(response.content)
        code, detail = str(document["code"]), str(document["detail"])
        problems = [Problem(each["pointer"], each["reason"], each["fix"]) for each in document["problems"]]
    except (ValueError, KeyError, TypeError):
        # No problem document: something stands between us and the server.
        return StoreUnreachableError(f"{response.url} answered {response.status_code}, and not as Refold does")
    fallback = CallError if code.endswith("_INVALID") or problems else RefoldError
    kind = ERRORS.get(code, StoreUnreachableError if response.status_code in _BUSY else fallback)
    if issubclass(kind, InvalidError):
        return kind(problems or [Problem("", detail)])
    return kind(detail)


def retry_after(response: httpx2.Response) -> float | None:
    """After how many seconds the server wants to be asked again (RFC 9110, 10.2.3); None if it does not say."""
    told = response.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdecimal() and len(told) < 10:
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
