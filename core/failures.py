"""Failure codes: each has a category and says whether trying again can help.

The codes that steps and runs carry, and those under which errors are reported to callers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Category(StrEnum):
    """What kind of thing went wrong; the kind tells who can cure it."""

    TRANSIENT = "TRANSIENT"
    PERMANENT = "PERMANENT"
    RESOURCE = "RESOURCE"
    PERMISSION = "PERMISSION"
    VALIDATION = "VALIDATION"


class Failure(NamedTuple):
    """One entry: a stable code, its category, whether a retry can help, and its meaning in a sentence."""

    code: str
    category: Category
    retryable: bool
    meaning: str


def _table(*rows: Failure) -> dict[str, Failure]:
    return {row.code: row for row in rows}


_T, _P, _R, _A, _V = (
    Category.TRANSIENT,
    Category.PERMANENT,
    Category.RESOURCE,
    Category.PERMISSION,
    Category.VALIDATION,
)

FAILURES: dict[str, Failure] = _table(
    Failure("SKILL_ERROR", _T, True, "The skill raised an exception."),
    Failure("STEP_TIMEOUT", _T, True, "An attempt took longer than the step's timeout_seconds."),
    Failure("HTTP_UNREACHABLE", _T, True, "The HTTP server could not be reached or broke off."),
    Failure("HTTP_SERVER_ERROR", _T, True, "The HTTP server answered 5xx or 429."),
    Failure("HTTP_CLIENT_ERROR", _P, False, "The HTTP server answered 4xx."),
    Failure("FILE_REFUSED", _A, False, "The path lies outside the folder that skills may write to."),
    Failure("FILE_DENIED", _A, False, "The system does not permit the file to be written."),
    Failure("FILE_ERROR", _R, True, "The file could not be written."),
    Failure("TRANSFORM_FAILED", _V, False, "The JMESPath expression is wrong or does not fit its data."),
    Failure("REFERENCE_UNRESOLVED", _V, False, "A reference names a field that the output does not have."),
    Failure("SKILL_UNKNOWN", _V, False, "No skill of this name is registered."),
    Failure("SKILL_INPUT_INVALID", _V, False, "The step's inputs do not fit the skill's parameters."),
    Failure("SKILL_OUTPUT_INVALID", _V, False, "The skill returned something that is no JSON value."),
    Failure("INPUT_TOO_LARGE", _R, False, "The inputs exceed the size limit."),
    Failure("OUTPUT_INVALID", _V, False, "The run's output has no canonical JSON, such as one nested too deeply."),
    Failure("OUTPUT_TOO_LARGE", _R, False, "The output exceeds the size limit."),
    Failure("SIGNAL_TIMEOUT", _R, False, "The signal that the step waited for did not come in time."),
    Failure("CHILD_FAILED", _P, False, "The run that the step started did not complete."),
    Failure("CHILD_TIMEOUT", _R, False, "The run that the step started did not end in time."),
    Failure("HEARTBEAT_MISSED", _T, True, "A running attempt gave no sign of life for too long."),
    Failure("INTERRUPTED", _P, False, "An at-most-once step was cut off; whether it took effect is unknown."),
    Failure("WORKFLOW_ERROR", _P, False, "The workflow function raised an exception."),
    Failure("WORKFLOW_UNKNOWN", _V, False, "No workflow of this name is registered."),
    Failure("NONDETERMINISM", _P, False, "The workflow's code does not fit the run's history."),
    Failure("FOREIGN_AWAIT", _P, False, "The workflow function awaited something that no replay could repeat."),
    Failure("RUN_TIMEOUT", _R, False, "The run took longer than its timeout_seconds."),
    Failure("RUN_CANCELLED", _P, False, "The run was cancelled."),
    Failure("SPEC_INVALID", _V, False, "The workflow spec cannot run."),
    Failure("SPEC_CONFLICT", _V, False, "The version of the workflow is registered with another content."),
    Failure("SPEC_NOT_FOUND", _V, False, "No spec is registered under this name or version."),
    Failure("INPUT_INVALID", _V, False, "A document, value or argument is not acceptable."),
    Failure("ROUTE_UNKNOWN", _V, False, "The server serves nothing under this path, or not by this method."),
    Failure("RUN_NOT_FOUND", _V, False, "No run of this id."),
    Failure("RUN_CONFLICT", _V, False, "The run id is taken by a run of another spec, inputs or seed."),
    Failure("RUN_OWNED", _T, True, "Another live process is working on the run."),
    Failure("RUN_ENDED", _V, False, "The run has ended."),
    Failure("RUN_FAILED", _P, False, "The run whose result was asked for did not complete."),
    Failure("QUERY_UNANSWERED", _T, True, "No worker answered the query in time."),
    Failure("OWNERSHIP_LOST", _T, True, "Another process took the run over."),
    Failure("STORE_UNREACHABLE", _T, True, "The database does not answer."),
    Failure("GOLDEN_STORE", _R, True, "The folder of goldens cannot be read or written."),
    Failure("STORE_REFUSED", _P, False, "The database could lose data, or its schema is not ours."),
    Failure("INTEGRITY_BROKEN", _P, False, "Stored bytes are not what was written."),
    Failure("REPLAY_DIVERGED", _P, False, "Running again gave another result than the log holds."),
    Failure("INTERNAL_ERROR", _P, False, "A fault in Refold itself."),
)
"""Every code that Refold itself uses, by its name."""


def is_retryable(code: str) -> bool:
    """Whether trying again can help; codes that skills made up themselves count as transient."""
    entry = FAILURES.get(code)
    return entry.retryable if entry is not None else True
