"""What the API answers about failures and costs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class Behind(BaseModel):
    """How far what was read is behind the log, and how many runs it has left aside, as it could not take them in."""

    events: int
    seconds: float
    parked: int


class ListedFailure(BaseModel):
    """What failed: an attempt (another follows), a step for good, a run, or a run that was parked.

    `event` is the version of the run's event that tells of it.
    """

    run_id: str
    event: int
    kind: Literal["attempt", "step", "run", "parked"]
    code: str
    category: str | None
    workflow_type: str
    workflow_version: str
    skill: str | None
    step_id: str | None
    attempt: int | None
    final: bool
    agent_id: str | None
    at: str
    message: str


class FailurePage(BaseModel):
    """Failures, the latest first."""

    failures: list[ListedFailure]
    next_cursor: str | None
    behind: Behind


class Counted(BaseModel):
    """How many there are of each combination of what was asked for by `by`; hours and days by their beginning.

    Each row has the values by their names, then `failures`; or `attempts` and `cost_cents`. `truncated`: there are more
    rows than are told.
    """

    by: list[str]
    rows: list[dict[str, Any]]
    truncated: bool
    behind: Behind


class RetryAdvice(BaseModel):
    """The retry policy that is recommended; `max_attempts` counts the first one too."""

    max_attempts: int
    initial_seconds: float
    multiplier: float
    max_seconds: float
    jitter: float


class FailureCode(BaseModel):
    """What the catalog says of a code."""

    code: str
    category: Literal["TRANSIENT", "PERMANENT", "RESOURCE", "PERMISSION", "VALIDATION"]
    retryable: bool
    recovery: str
    retry: RetryAdvice
    http_status: int
    meaning: str
    suggestion: str
    documentation: str


class FailureCodes(BaseModel):
    """The catalog, by code."""

    failure_codes: list[FailureCode]
