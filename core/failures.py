"""CatalogEntry codes: each has a category and says whether trying again can help.

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


class CatalogEntry(NamedTuple):
    """One entry: a stable code, its category, whether a retry can help, and its meaning in a sentence."""

    code: str
    category: Category
    retryable: bool
    meaning: str


def _table(*rows: CatalogEntry) -> dict[str, CatalogEntry]:
    return {row.code: row for row in rows}


_T, _P, _R, _A, _V = (
    Category.TRANSIENT,
    Category.PERMANENT,
    Category.RESOURCE,
    Category.PERMISSION,
    Category.VALIDATION,
)

FAILURES: dict[str, CatalogEntry] = _table(
    CatalogEntry("SKILL_ERROR", _T, True, "The skill raised an exception."),
    CatalogEntry("STEP_TIMEOUT", _T, True, "An attempt took longer than the step's timeout_seconds."),
    CatalogEntry("HTTP_UNREACHABLE", _T, True, "The HTTP server could not be reached or broke off."),
    CatalogEntry("HTTP_SERVER_ERROR", _T, True, "The HTTP server answered 5xx or 429."),
    CatalogEntry("HTTP_CLIENT_ERROR", _P, False, "The HTTP server answered 4xx."),
    CatalogEntry("FILE_REFUSED", _A, False, "The path lies outside the folder that skills may write to."),
    CatalogEntry("FILE_DENIED", _A, False, "The system does not permit the file to be written."),
    CatalogEntry("FILE_ERROR", _R, True, "The file could not be written."),
    CatalogEntry("TRANSFORM_FAILED", _V, False, "The JMESPath expression is wrong or does not fit its data."),
    CatalogEntry("REFERENCE_UNRESOLVED", _V, False, "A reference names a field that the output does not have."),
    CatalogEntry("SKILL_UNKNOWN", _V, False, "No skill of this name is registered."),
    CatalogEntry("SKILL_INPUT_INVALID", _V, False, "The step's inputs do not fit the skill's parameters."),
    CatalogEntry("SKILL_OUTPUT_INVALID", _V, False, "The skill returned something that is no JSON value."),
    CatalogEntry("INPUT_TOO_LARGE", _R, False, "The inputs exceed the size limit."),
    CatalogEntry("OUTPUT_INVALID", _V, False, "The run's output has no canonical JSON, such as one nested too deeply."),
    CatalogEntry("OUTPUT_TOO_LARGE", _R, False, "The output exceeds the size limit."),
    CatalogEntry("SIGNAL_TIMEOUT", _R, False, "The signal that the step waited for did not come in time."),
    CatalogEntry("CHILD_FAILED", _P, False, "The run that the step started did not complete."),
    CatalogEntry("CHILD_TIMEOUT", _R, False, "The run that the step started did not end in time."),
    CatalogEntry("HEARTBEAT_MISSED", _T, True, "A running attempt gave no sign of life for too long."),
    CatalogEntry("INTERRUPTED", _P, False, "An at-most-once step was cut off; whether it took effect is unknown."),
    CatalogEntry("WORKFLOW_ERROR", _P, False, "The workflow function raised an exception."),
    CatalogEntry("WORKFLOW_UNKNOWN", _V, False, "No workflow of this name is registered."),
    CatalogEntry("NONDETERMINISM", _P, False, "The workflow's code does not fit the run's history."),
    CatalogEntry("FOREIGN_AWAIT", _P, False, "The workflow function awaited something that no replay could repeat."),
    CatalogEntry("POLICY_REFUSED", _A, False, "A rule of the policy refuses the step."),
    CatalogEntry("STEP_COST_CEILING", _R, False, "The step would cost more than it may."),
    CatalogEntry("WORKFLOW_COST_CEILING", _R, False, "The run would cost more than it may."),
    CatalogEntry("BUDGET_EXCEEDED", _R, False, "There is not enough left in a budget."),
    CatalogEntry("RATE_LIMITED", _R, False, "More steps begin than the rate allows."),
    CatalogEntry("CONCURRENCY_LIMITED", _R, False, "More steps run at a time than may."),
    CatalogEntry("IDEMPOTENCY_KEY_MISSING", _V, False, "A step with a side effect declares no idempotency key."),
    CatalogEntry("SANDBOX_REJECTED", _A, False, "The sandbox refuses the plan."),
    CatalogEntry("RUN_TIMEOUT", _R, False, "The run took longer than its timeout_seconds."),
    CatalogEntry("RUN_CANCELLED", _P, False, "The run was cancelled."),
    CatalogEntry("SPEC_INVALID", _V, False, "The workflow spec cannot run."),
    CatalogEntry("SPEC_CONFLICT", _V, False, "The version of the workflow is registered with another content."),
    CatalogEntry("SPEC_NOT_FOUND", _V, False, "No spec is registered under this name or version."),
    CatalogEntry("INPUT_INVALID", _V, False, "A document, value or argument is not acceptable."),
    CatalogEntry("ROUTE_UNKNOWN", _V, False, "The server serves nothing under this path, or not by this method."),
    CatalogEntry("RUN_NOT_FOUND", _V, False, "No run of this id."),
    CatalogEntry("RUN_CONFLICT", _V, False, "The run id is taken by a run of another spec, inputs or seed."),
    CatalogEntry("RUN_OWNED", _T, True, "Another live process is working on the run."),
    CatalogEntry("RUN_ENDED", _V, False, "The run has ended."),
    CatalogEntry("RUN_FAILED", _P, False, "The run whose result was asked for did not complete."),
    CatalogEntry("QUERY_UNANSWERED", _T, True, "No worker answered the query in time."),
    CatalogEntry("OWNERSHIP_LOST", _T, True, "Another process took the run over."),
    CatalogEntry("WEBHOOK_ADDRESS_REFUSED", _A, False, "The URL leads where nothing may be sent unless it is allowed."),
    CatalogEntry("WEBHOOK_UNREACHABLE", _T, True, "The receiver of a webhook could not be reached or broke off."),
    CatalogEntry("WEBHOOK_TIMEOUT", _T, True, "The receiver of a webhook did not answer in time."),
    CatalogEntry("WEBHOOK_NOT_TAKEN", _T, True, "The receiver of a webhook answered with another status than 2xx."),
    CatalogEntry("WEBHOOK_GONE", _P, False, "The receiver of a webhook answered 410: it wants no more."),
    CatalogEntry("WEBHOOK_KEY_MISSING", _A, False, "The key file does not hold a webhook's secret."),
    CatalogEntry("STORE_UNREACHABLE", _T, True, "The database does not answer."),
    CatalogEntry("GOLDEN_STORE", _R, True, "The folder of goldens cannot be read or written."),
    CatalogEntry("STORE_REFUSED", _P, False, "The database could lose data, or its schema is not ours."),
    CatalogEntry("INTEGRITY_BROKEN", _P, False, "Stored bytes are not what was written."),
    CatalogEntry("REPLAY_DIVERGED", _P, False, "Running again gave another result than the log holds."),
    CatalogEntry("INTERNAL_ERROR", _P, False, "A fault in Refold itself."),
)
"""Every code that Refold itself uses, by its name."""


REJECTIONS = frozenset(
    {
        "APPROVAL_EXPIRED",
        "APPROVAL_REJECTED",
        "BUDGET_EXCEEDED",
        "CONCURRENCY_LIMITED",
        "EMERGENCY_STOP",
        "IDEMPOTENCY_KEY_MISSING",
        "POLICY_REFUSED",
        "RATE_LIMITED",
        "SANDBOX_REJECTED",
        "STEP_COST_CEILING",
        "WORKFLOW_COST_CEILING",
    }
)
"""The codes of refusals: a run that ends by one of them is rejected, it has not failed."""


def is_retryable(code: str) -> bool:
    """Whether trying again can help; codes that skills made up themselves count as transient."""
    entry = FAILURES.get(code)
    return entry.retryable if entry is not None else True
