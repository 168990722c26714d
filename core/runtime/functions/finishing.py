"""How a workflow function ended, from what it returned or raised."""

from __future__ import annotations

import asyncio
from typing import Any

from ...decide_code import Continued, Finish, Raised, Returned, Stopped
from ...errors import Failure, RefoldError, StepFailedError
from ...failures import FailureCatalog, is_code
from ...limits import Limits
from ...sensitive import UNTOLD, hide, hide_members
from ..payloads import output_of
from .workspace import ContinueAsNew


def finish_of(
    value: Any, error: BaseException | None, limits: Limits, catalog: FailureCatalog | None = None, *, last: bool
) -> Finish | None:
    """How the function ended when one of its branches did so; None when it goes on (not the `last` branch)."""
    if isinstance(error, ContinueAsNew):
        return Continued(error.inputs)
    if not last:
        return None
    if isinstance(error, asyncio.CancelledError):
        return Stopped()
    if error is not None:
        return _raised(error, limits, FailureCatalog() if catalog is None else catalog)
    try:
        return Returned(output_of(value, limits.payload_bytes))
    except Failure as refused:
        code = "OUTPUT_TOO_LARGE" if refused.step_code == "OUTPUT_TOO_LARGE" else "OUTPUT_INVALID"
        return Raised(None, code, str(refused))


def hidden_finish(finish: Finish) -> Finish:
    """The same of a sensitive function: what it returned, raised or goes on with is recorded by placeholders."""
    if isinstance(finish, Returned):
        return Returned(hide(finish.output, "output"))
    if isinstance(finish, Raised):
        return Raised(finish.step_id, finish.code, UNTOLD)
    return (
        Continued(hide_members(finish.inputs, finish.inputs.value.keys())) if isinstance(finish, Continued) else finish
    )


def _raised(error: BaseException, limits: Limits, catalog: FailureCatalog) -> Raised:
    try:
        text = str(error)
    except Exception:  # a user's class may fail at this
        text = ""
    step_id, code = None, "WORKFLOW_ERROR"
    if isinstance(error, StepFailedError):
        # The code that the log holds for the step, whatever the catalog may say of it today.
        step_id, code = error.step_id, error.step_code
    elif isinstance(error, Failure):
        found = catalog.find(error.step_code)
        code = code if found is None else found.code
        if found is None:
            name = error.step_code if is_code(error.step_code) else type(error).__name__
            text = f"{name}: {text}" if text else name
    elif isinstance(error, RefoldError) and error.code in catalog:
        code = error.code
    else:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Raised(step_id, code, text[: limits.message_characters].encode("utf-8", "replace").decode())
