"""What becomes of a job, in its own control stream `control/jobs/{tenant}/{job id}`.

A job does to many runs, or to a table, what takes longer than a request. See `refold.core.job_log`, which folds these
events, and `refold.core.events`, which has these classes too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .canonical import Payload


@dataclass(frozen=True, slots=True)
class JobAsked:
    """Somebody, `by`, asked for the job: `kind` is bulk, replay or rebuild, and `what` (an object) says what exactly.

    `until` is the log's last position then: what begins later is not touched.
    """

    topic: ClassVar = "job.asked"
    schema: ClassVar = 1

    at: int
    tenant: str
    job_id: str
    kind: str
    what: Payload
    until: int
    by: str


@dataclass(frozen=True, slots=True)
class JobTaken:
    """A process, `by`, works on the job from now on; whoever did so before it has died."""

    topic: ClassVar = "job.taken"
    schema: ClassVar = 1

    at: int
    by: str


@dataclass(frozen=True, slots=True)
class JobSelected:
    """What the job is about from now on, whatever changes meanwhile: `total` pieces; `items` is for who works on it."""

    topic: ClassVar = "job.selected"
    schema: ClassVar = 1

    at: int
    total: int
    items: Payload


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """So many of `total` pieces are done, of which so many `failed`. About once a second.

    `told` (an object) has as `findings` what was found since the last time, and whatever it takes to go on from here.
    """

    topic: ClassVar = "job.progressed"
    schema: ClassVar = 1

    at: int
    done: int
    total: int
    failed: int
    told: Payload


@dataclass(frozen=True, slots=True)
class JobStopAsked:
    """Whoever works on the job is to stop."""

    topic: ClassVar = "job.stopping"
    schema: ClassVar = 1

    at: int
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class JobStopped:
    """Nobody works on the job any more; it can be gone on with. `by` is who did, "" when nobody had begun."""

    topic: ClassVar = "job.stopped"
    schema: ClassVar = 1

    at: int
    by: str


@dataclass(frozen=True, slots=True)
class JobResumed:
    """A job that was stopped, or has failed, is to go on where it was."""

    topic: ClassVar = "job.resumed"
    schema: ClassVar = 1

    at: int
    by: str


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job has come to its end: `status` is completed, with a `result` (an object), or failed, with the code of the
    failure and its `reason`."""

    topic: ClassVar = "job.ended"
    schema: ClassVar = 1

    at: int
    status: str
    result: Payload
    error_code: str | None
    reason: str


JobEvent = JobAsked | JobTaken | JobSelected | JobProgressed | JobStopAsked | JobStopped | JobResumed | JobEnded
"""Any of them."""
