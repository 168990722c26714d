"""What requests say of the runs that a job is to be about, and what is answered to those who ask for one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import CallError, InvalidError, Problem
from ...core.ids import check_run_id
from ...projections.jobs import job_view
from ...projections.run_filter import RunFilter
from ..answers import answer
from ..callers import Caller
from ..ports import Ports

MOST_NAMED = 10_000
"""So many runs can be named in one request."""

RunStatus = Literal[
    "queued", "running", "waiting", "paused", "parked", "completed", "failed", "cancelled", "timed_out", "rejected"
]
"""How runs stand."""

JobId = Annotated[
    str,
    Path(
        description="The job's id.",
        json_schema_extra={"pattern": "^job-[0-9a-f]{32}$"},
        examples=["job-0199c0de5eed70008000000000000001"],
    ),
]
"""The id of a job within a path."""

Text = Annotated[str, Field(max_length=200)]
"""A name, or what runs are found by."""

Named = Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=MOST_NAMED)]
"""Ids of runs."""


class RunsWanted(BaseModel):
    """Runs of which everything holds that is given; nothing given: all. Times are ISO 8601, in UTC unless they say
    otherwise: from `started_after` on, and before `started_before`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    status: RunStatus | None = None
    workflow_type: Text | None = None
    version: Text | None = None
    agent_id: Text | None = None
    queue: Text | None = None
    error_code: Text | None = None
    started_after: str | None = None
    started_before: str | None = None
    attributes: Annotated[dict[Text, Annotated[str, Field(max_length=2000)]], Field(max_length=20)] = {}

    def filter(self) -> RunFilter:
        """As the projections take it. Raises CallError for a time that is none."""
        return RunFilter(
            status=self.status,
            workflow_type=self.workflow_type,
            workflow_version=self.version,
            agent_id=self.agent_id,
            queue=self.queue,
            error_code=self.error_code,
            started_since=time_of("/filter/started_after", self.started_after),
            started_until=time_of("/filter/started_before", self.started_before),
            attributes=self.attributes,
        )


def time_of(pointer: str, text: str | None) -> int | None:
    """A time of ISO 8601 in microseconds since the epoch. Raises CallError for what is none."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text[:60])
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise CallError(Problem(pointer, "this is no time", "give it as 2026-05-01T12:00:00Z")) from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def checked_ids(run_ids: list[str] | None) -> list[str] | None:
    """The ids, each once. Raises CallError with a pointer for what cannot be one."""
    for number, run_id in enumerate(run_ids or ()):
        try:
            check_run_id(run_id)
        except InvalidError as error:
            raise CallError([each._replace(pointer=f"/run_ids/{number}") for each in error.problems]) from None
    return None if run_ids is None else list(dict.fromkeys(run_ids))


async def asked(
    ports: Ports, caller: Caller, kind: str, what: Mapping[str, Any], key: str | None, place: str = "jobs"
) -> Response:
    """Record a job: 202 with it, and where it is; also where the same key asked for it before."""
    until = await ports.ask(ports.store.last_position)
    job, _ = await ports.engine.jobs.ask(
        kind, what, until, key=None if key is None else f"{kind} {key}", by=caller.name, tenant=caller.tenant
    )
    return answer(job_view(job), 202, {"location": f"/v1/{place}/{job.asked.job_id}"})
