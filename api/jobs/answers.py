"""Jobs as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

_JOB: dict[str, Any] = {
    "job_id": "job-0199c0de5eed70008000000000000001",
    "kind": "bulk",
    "tenant": "default",
    "asked_by": "ada",
    "what": {"verb": "cancel", "reason": "wrong prices", "force": False, "filter": {"workflow_type": "order"}},
    "status": "running",
    "progress": {"done": 4200, "total": 10000, "failed": 1, "rate": 312.5, "seconds_left": 18.6},
    "findings": [{"run_id": "order-7", "code": "RUN_ENDED", "reason": "run order-7 has ended (completed)"}],
    "more_findings": 0,
    "result": None,
    "error_code": None,
    "reason": "",
    "worker": "host-1, process 4711",
    "taken": 1,
    "asked_at": "2026-11-20T10:00:00.000000Z",
    "started_at": "2026-11-20T10:00:01.000000Z",
    "updated_at": "2026-11-20T10:00:14.000000Z",
    "ended_at": None,
}


class Progress(BaseModel):
    """How far a job is: so many pieces of `total` (null: not known yet) are done, of which so many `failed`.

    Pieces are runs, of a rebuild positions of the log. `rate` is pieces a second; `seconds_left` at that rate.
    """

    done: int
    total: int | None
    failed: int
    rate: float | None
    seconds_left: float | None


class Finding(BaseModel):
    """What is wrong with a run: `code` is one of the failure catalog, or a replay's verdict, by the proof named.

    A replay says besides, as far as it is known, of which class the divergence is, at which event and step, at which
    JSON pointer (RFC 6901) within its inputs or output, what is recorded there, what it is now, and what to do.
    """

    run_id: str
    code: str
    reason: str
    proof: str | None = None
    divergence: str | None = None
    event: int | None = None
    step_id: str | None = None
    pointer: str | None = None
    recorded: str | None = None
    now: str | None = None
    advice: str | None = None


class JobAnswer(BaseModel):
    """A job as it stands. Times are ISO 8601 in UTC.

    Stopping: what it is about just now is done first. `findings` are the first hundred, and there are `more_findings`.
    `result` is there when it is completed, `error_code` and `reason` when it has failed. It was `taken` up so often.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_JOB]})

    job_id: str
    kind: Literal["bulk", "replay", "rebuild"]
    tenant: str
    asked_by: str
    what: dict[str, Any]
    status: Literal["queued", "running", "stopping", "stopped", "completed", "failed"]
    progress: Progress
    findings: list[Finding]
    more_findings: int
    result: dict[str, Any] | None
    error_code: str | None
    reason: str
    worker: str
    taken: int
    asked_at: str
    started_at: str | None
    updated_at: str
    ended_at: str | None


class Jobs(BaseModel):
    """Jobs, the latest asked for first; `next_cursor` leads to the next page, null ends the list."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"jobs": [_JOB], "next_cursor": None}]})

    jobs: list[JobAnswer]
    next_cursor: str | None


class DryRun(BaseModel):
    """How many runs it would be about, and the first of them, had it begun now. Not `complete`: looking for them took
    too long, and there are at least so many."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"dry_run": True, "runs": 2, "complete": True, "first": ["order-2", "order-1"]}]
        }
    )

    dry_run: Literal[True]
    runs: int
    complete: bool
    first: list[str]


class Certificate(BaseModel):
    """What a replay has proved: `body` says everything, and `signature` is there where the server has a key."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "body": {"format": "refold.certificate.v1", "verdicts": {"equal": 10000}},
                    "unsigned": {"made_at": "2026-11-20T10:00:00.000000Z"},
                    "signature": {"algorithm": "Ed25519", "key": "audit-2026", "signature": "…"},
                }
            ]
        }
    )

    body: dict[str, Any]
    unsigned: dict[str, Any]
    signature: dict[str, Any] | None = None
