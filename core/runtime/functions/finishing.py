"""How a workflow function ended, from what it returned or raised."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from ...decide_code import Continued, Finish, Raised, Returned, Stopped
from ...errors import Failure, RefoldError, StepFailedError
from ...limits import Limits
from ..payloads import output_of
from .workspace import ContinueAsNew

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def finish_of(value: Any, error: BaseException | None, limits: Limits, *, last: bool) -> Finish | None:
    """How the function ended when one of its branches did so; None when it goes on (not the `last` branch)."""
    if isinstance(error, ContinueAsNew):
        return Continued(error.inputs)
    if not last:
        return None
    if isinstance(error, asyncio.CancelledError):
        return Stopped()
    if error is not None:
        return _raised(error, limits)
    try:
        return Returned(output_of(value, limits.payload_bytes))
    except Failure as refused:
        code = "OUTPUT_TOO_LARGE" if refused.step_code == "OUTPUT_TOO_LARGE" else "OUTPUT_INVALID"
        return Raised(None, code, str(refused))


def _raised(error: BaseException, limits: Limits) -> Raised:
    try:
        text = str(error)
    except Exception:  # a user's class may fail at this
        text = ""
    step_id, code = None, "WORKFLOW_ERROR"
    if isinstance(error, Failure) and _CODE.fullmatch(str(error.step_code)):
        code = error.step_code
        step_id = error.step_id if isinstance(error, StepFailedError) else None
    elif isinstance(error, RefoldError):
        code = error.code
    else:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Raised(step_id, code, text[: limits.message_characters].encode("utf-8", "replace").decode())
