"""A job as it stands, folded from its control stream, and what may follow in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from .canonical import Payload
from .errors import IntegrityError
from .events import Event
from .job_events import (
    JobAsked,
    JobEnded,
    JobEvent,
    JobProgressed,
    JobResumed,
    JobSelected,
    JobStopAsked,
    JobStopped,
    JobTaken,
)

Status = Literal["queued", "running", "stopping", "stopped", "completed", "failed"]
"""How a job stands. Stopping: whoever works on it has not seen yet that it is to stop."""

KINDS = ("bulk", "replay", "rebuild")
"""What jobs there are."""

OPEN: tuple[Status, ...] = ("queued", "running", "stopping")
"""Somebody works on it, or will."""

OPENING = (JobAsked.topic, JobResumed.topic)
"""After these events somebody is to work on the job."""

CLOSING = (JobStopped.topic, JobEnded.topic)
"""After these events nobody is."""


def lane_of(kind: str) -> str:
    """The lane in which a job waits: what tells runs something need not wait for proofs that take hours. As `needs`
    of its dispatch row."""
    return '["bulk"]' if kind == "bulk" else '["heavy"]'


LANES = (lane_of("bulk"), lane_of("replay"))
"""All lanes. Of each lane a process works on one job at a time."""

MOST_FINDINGS = 100
"""So many findings are kept: the first."""


@dataclass(slots=True)
class Job:
    """A job. Times are microseconds since the epoch.

    `selected` is what it is about, once that is known, and `steps` what was told with its progress, in order. It was
    `taken` up so often, of late so often without any progress (`fruitless`). `rate` is how many pieces a second it
    does, as of its last progress, since it was taken.
    """

    asked: JobAsked
    status: Status = "queued"
    selected: JobSelected | None = None
    done: int = 0
    total: int | None = None
    failed: int = 0
    findings: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    more_findings: int = 0
    steps: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    worker: str = ""
    started_at: int | None = None
    updated_at: int = 0
    ended_at: int | None = None
    rate: float | None = None
    reason: str = ""
    error_code: str | None = None
    result: Mapping[str, Any] | None = None
    taken: int = 0
    fruitless: int = 0
    _since: tuple[int, int] = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether somebody works on it, or will."""
        return self.status in OPEN

    def take(self, event: Event) -> None:
        """Add the next event. Raises IntegrityError for one that cannot follow."""
        if not isinstance(event, JobEvent) or isinstance(event, JobAsked) or not self._may(event):
            raise IntegrityError(f"{event.topic} cannot occur here: the job is {self.status}")
        self.updated_at = event.at
        match event:
            case JobTaken():
                self.status = "running" if self.status == "queued" else self.status
                self.worker, self.taken, self.fruitless = event.by, self.taken + 1, self.fruitless + 1
                self.started_at = event.at if self.started_at is None else self.started_at
                self._since = (event.at, self.done)
            case JobSelected():
                self.selected, self.total, self.fruitless = event, event.total, 0
            case JobProgressed():
                self._progress(event)
            case JobStopAsked():
                self.status, self.reason = "stopping", event.reason
            case JobStopped():
                self.status, self.worker = "stopped", ""
            case JobResumed():
                self.status, self.reason, self.error_code, self.result, self.ended_at = "queued", "", None, None, None
                self.fruitless = 0
            case JobEnded():
                self.status = "completed" if event.status == "completed" else "failed"
                self.reason, self.error_code, self.ended_at, self.worker = event.reason, event.error_code, event.at, ""
                self.result = _object(event.result, event.topic)

    def _may(self, event: JobEvent) -> bool:
        """Whether the event may follow."""
        match event:
            case JobTaken():
                return self.is_open
            case JobSelected():
                return self.is_open and self.selected is None and self.taken > 0
            case JobProgressed():
                return self.is_open and self.selected is not None and self.done <= event.done <= event.total
            case JobStopAsked():
                return self.status in ("queued", "running")
            case JobStopped():
                return self.status == "stopping"
            case JobResumed():
                return self.status in ("stopped", "failed")
            case JobEnded():
                return self.is_open and event.status in ("completed", "failed")
            case _:
                return False

    def _progress(self, event: JobProgressed) -> None:
        told = _object(event.told, event.topic)
        found: Any = told.get("findings", [])
        if type(found) is not list:
            raise IntegrityError(f"{event.topic}: the findings are no list")
        fresh = cast("list[Mapping[str, Any]]", found)
        kept = fresh[: MOST_FINDINGS - len(self.findings)]
        self.findings += kept
        self.more_findings += len(fresh) - len(kept)
        self.steps.append(told)
        self.done, self.total, self.failed, self.fruitless = event.done, event.total, event.failed, 0
        seconds = (event.at - self._since[0]) / 1_000_000
        self.rate = (self.done - self._since[1]) / seconds if seconds > 0 else self.rate

    @property
    def seconds_left(self) -> float | None:
        """For how many more seconds it will run at this rate; None when nobody knows."""
        if self.status != "running" or not self.rate or self.total is None:
            return None
        return (self.total - self.done) / self.rate


def job_of(events: Iterable[Event], tenant: str, job_id: str) -> Job:
    """The job that these events are of. Raises IntegrityError for what cannot be, or is another job's."""
    following = iter(events)
    first = next(following, None)
    if not isinstance(first, JobAsked):
        raise IntegrityError("a job begins with job.asked")
    if (first.tenant, first.job_id) != (tenant, job_id) or first.kind not in KINDS:
        raise IntegrityError(f"{first.topic} is of another job, {first.tenant[:100]}/{first.job_id[:100]}")
    _object(first.what, first.topic)
    job = Job(first, updated_at=first.at)
    for event in following:
        job.take(event)
    return job


def _object(payload: Payload, topic: str) -> Mapping[str, Any]:
    value: Any = payload.value
    if type(value) is not dict:
        raise IntegrityError(f"{topic}: what is told is no object")
    return cast("Mapping[str, Any]", value)
