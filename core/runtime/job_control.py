"""Jobs: asked for, stopped and gone on with by operators, and worked on by whoever holds their lease.

The log is the lock here too: whoever works on a job appends at the head that it knows, so a stop that comes in between
is seen, and one who has lost the job cannot say anything more about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import uuid_utils

from ..canonical import Payload
from ..errors import CallError, IntegrityError, JobConflictError, JobNotFoundError, OwnershipLostError, Problem
from ..ids import JOBS, check_tenant, is_job_id, job_of_stream, job_stream
from ..job_events import (
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
from ..job_log import KINDS, Job, job_of, lane_of
from ..ports import Append, Clock, Dispatch, Head, Journal, RunLog, Schedule, Unit, Unschedule
from .admission import MAX_LABEL, MAX_REASON, check_text

LEASE_SECONDS = 10.0
"""For how long a job stays with a process that gives no sign of life."""

_TRIES = 100

Made = Callable[[Job, int], Sequence[JobEvent]]
"""The events to record, given the job as it stands and the time; none if there is nothing to be said."""


class HeldJob:
    """A job that is worked on by this process; `job` is how it stands. Bound to one event loop."""

    def __init__(self, control: JobControl, job: Job, head: Head):
        self.job = job
        self._control = control
        self._head = head
        self._turn = asyncio.Lock()

    @property
    def stream(self) -> str:
        """Its control stream."""
        return job_stream(self.job.asked.tenant, self.job.asked.job_id)

    @property
    def id(self) -> str:
        """Its id."""
        return self.job.asked.job_id

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.job.asked.tenant

    async def select(self, total: int, items: Mapping[str, Any]) -> None:
        """Record what the job is about. Raises OwnershipLostError when it is somebody else's by now."""
        told = Payload.of(items)
        await self._record(lambda at: JobSelected(at, total, told))

    async def progress(self, done: int, total: int, failed: int, told: Mapping[str, Any]) -> None:
        """Record how far it is. Raises as `select` does."""
        payload = Payload.of(told)
        await self._record(lambda at: JobProgressed(at, done, total, failed, payload))

    async def complete(self, result: Mapping[str, Any]) -> None:
        """Record its result. Raises as `select` does."""
        told = Payload.of(result)
        await self._record(lambda at: JobEnded(at, "completed", told, None, ""), Unschedule(self.stream))

    async def fail(self, code: str, reason: str) -> None:
        """Record that it cannot go on. Raises as `select` does."""
        ended = Payload.of({})
        await self._record(lambda at: JobEnded(at, "failed", ended, code, reason[:MAX_REASON]), Unschedule(self.stream))

    async def stopped(self) -> None:
        """Record that nobody works on it any more. Raises as `select` does."""
        await self._record(lambda at: JobStopped(at, self.job.worker), Unschedule(self.stream))

    async def look(self) -> bool:
        """Prolong the lease, and see what others said; whether it is to be gone on with. Raises as `select` does."""
        await self._control.renew(self.stream)
        async with self._turn:
            if await self._control.head(self.stream) != self._head:
                await self._reload()
        return self.job.status == "running"

    async def _record(self, made: Callable[[int], JobEvent], dispatch: Dispatch | None = None) -> None:
        async with self._turn:
            while True:
                event = made(self._control.now())
                row = dispatch or self._control.row(self.job, LEASE_SECONDS)
                try:
                    self._head = await self._control.commit(self.stream, self._head, [event], row)
                except OwnershipLostError:
                    await self._reload()
                    continue
                self.job.take(event)
                return

    async def _reload(self) -> None:
        mine, taken = self.job.worker, self.job.taken
        self.job, self._head = await self._control.load(self.id, self.tenant)
        if not self.job.is_open or (self.job.worker, self.job.taken) != (mine, taken):
            raise OwnershipLostError(f"the job {self.id} is worked on by another process")


class JobControl:
    """The control streams of jobs."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock):
        self._log = log
        self._journal = journal
        self._clock = clock

    async def ask(
        self,
        kind: str,
        what: Mapping[str, Any],
        until: int,
        *,
        key: str | None = None,
        by: str = "",
        tenant: str = "default",
    ) -> tuple[Job, bool]:
        """Record a job for whoever works on jobs, and tell whether it is new; `until` is the log's last position.

        The same `key` again is the same job. Raises CallError, JobConflictError for a key that stands for another one.
        """
        check_tenant(tenant)
        check_text("by", by, MAX_LABEL)
        if kind not in KINDS:
            raise CallError(Problem("", f"there are no jobs of the kind {kind[:40]!a}", f"one of {', '.join(KINDS)}"))
        job_id = _job_id(tenant, key)
        told = Payload.of(what)
        asked = JobAsked(self._clock.now(), tenant, job_id, kind, told, until, by)
        job = job_of([asked], tenant, job_id)
        try:
            await self.commit(job_stream(tenant, job_id), Head(0, None), [asked], self.row(job, 0))
        except OwnershipLostError:
            known = await self.get(job_id, tenant=tenant)
            if (known.asked.kind, known.asked.what, known.asked.by) != (kind, told, by):
                raise JobConflictError("the idempotency key stands for another job") from None
            return known, False
        return job, True

    async def get(self, job_id: str, *, tenant: str = "default") -> Job:
        """A job as it stands. Raises JobNotFoundError."""
        return (await self.load(job_id, tenant))[0]

    async def stop(self, job_id: str, reason: str = "", *, by: str = "", tenant: str = "default") -> Job:
        """Have a job stop soon: what it is about just now is done first. Doing so again changes nothing.

        Raises JobNotFoundError, JobConflictError for one that has ended.
        """
        check_text("the reason", reason, MAX_REASON)
        check_text("by", by, MAX_LABEL)

        def made(job: Job, at: int) -> Sequence[JobEvent]:
            if job.status in ("stopping", "stopped"):
                return []
            if not job.is_open:
                raise JobConflictError(f"the job {job_id} has ended ({job.status}) and cannot be stopped")
            asked = JobStopAsked(at, reason, by)
            return [asked] if job.status == "running" else [asked, JobStopped(at, "")]

        return await self._change(job_id, tenant, made)

    async def resume(self, job_id: str, *, by: str = "", tenant: str = "default") -> Job:
        """Have a job that was stopped, or has failed, go on where it was; of one that is open nothing changes.

        Raises JobNotFoundError, JobConflictError for one that is complete, or still stopping.
        """
        check_text("by", by, MAX_LABEL)

        def made(job: Job, at: int) -> Sequence[JobEvent]:
            if job.status in ("queued", "running"):
                return []
            if job.status not in ("stopped", "failed"):
                raise JobConflictError(f"the job {job_id} is {job.status} and cannot go on")
            return [JobResumed(at, by)]

        return await self._change(job_id, tenant, made)

    async def take(self, lane: str, by: str) -> HeldJob | None:
        """Take up a job of a lane that waits, or whose worker has died; None if there is none just now."""
        await asyncio.to_thread(self._log.bury_the_dead)
        claimed = await asyncio.to_thread(self._log.claim_due, [JOBS], lambda needs: needs == lane, 1, LEASE_SECONDS)
        for stream in claimed.streams:
            found = job_of_stream(stream)
            if found is None:
                raise IntegrityError(f"{stream} waits among the jobs and is none")
            tenant, job_id = found
            job, head = await self.load(job_id, tenant)
            if not job.is_open:
                continue  # It has ended at this very moment, and its row is gone.
            taken = JobTaken(self.now(), by)
            try:
                head = await self.commit(stream, head, [taken], self.row(job, LEASE_SECONDS))
            except OwnershipLostError:
                await self.release(stream)  # It is told something just now; it is taken a moment later.
                continue
            job.take(taken)
            return HeldJob(self, job, head)
        return None

    async def release(self, stream: str) -> None:
        """Give a job back, to be taken up by others."""
        await asyncio.to_thread(self._log.release, stream)

    async def renew(self, stream: str) -> None:
        """Prolong the lease on a job."""
        await asyncio.to_thread(self._log.renew, [stream], LEASE_SECONDS)

    async def head(self, stream: str) -> Head:
        """The head of a job's stream."""
        return await asyncio.to_thread(self._log.head, stream)

    def now(self) -> int:
        """The time, in microseconds since the epoch."""
        return self._clock.now()

    def row(self, job: Job, lease_seconds: float) -> Dispatch:
        """The dispatch row of an open job: due at once, or leased."""
        stream = job_stream(job.asked.tenant, job.asked.job_id)
        return Schedule(stream, lease_seconds, queue=JOBS, needs=lane_of(job.asked.kind))

    async def commit(self, stream: str, head: Head, events: Sequence[JobEvent], row: Dispatch | None) -> Head:
        """Append at `head` and change the dispatch row. Raises OwnershipLostError, StoreUnreachableError."""
        unit = Unit((Append(stream, head, events),), () if row is None else (row,))
        return (await self._journal.commit(unit))[0]

    async def load(self, job_id: str, tenant: str) -> tuple[Job, Head]:
        """A job with the head of its stream. Raises JobNotFoundError, IntegrityError."""
        if not is_job_id(job_id):
            raise _no_job()
        stream = job_stream(tenant, job_id)
        for _ in range(_TRIES):
            head = await asyncio.to_thread(self._log.head, stream)
            events = await asyncio.to_thread(self._log.events, stream)
            if not events:
                raise _no_job()
            if len(events) == head.version:
                return job_of(events, tenant, job_id), head
        raise IntegrityError(f"the events of {stream} do not fit its head: run refold verify --all")

    async def _change(self, job_id: str, tenant: str, made: Made) -> Job:
        while True:
            job, head = await self.load(job_id, tenant)
            events = made(job, self.now())
            if not events:
                return job
            for event in events:
                job.take(event)
            stream = job_stream(tenant, job_id)
            row: Dispatch | None = None  # What is running stays with whoever works on it.
            if job.status == "stopped":
                row = Unschedule(stream)
            elif job.status == "queued":
                row = self.row(job, 0)
            try:
                await self.commit(stream, head, events, row)
                return job
            except OwnershipLostError:
                continue  # It went on meanwhile.


def _no_job() -> JobNotFoundError:
    return JobNotFoundError("there is no such job")


def _job_id(tenant: str, key: str | None) -> str:
    if key is None:
        return f"job-{uuid_utils.uuid7().hex}"
    digest = sha256(f"{tenant}\0{key}".encode()).hexdigest()
    return f"job-{digest[:32]}"
