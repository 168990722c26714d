"""A job as server-sent events: each time its log has grown it is told as it stands, until it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson

from ...core.errors import StoreError
from ...core.job_log import Job
from ...projections.jobs import job_view
from ..live import Listener
from ..ports import Ports

BEAT_SECONDS = 15.0
"""After so long without anything to tell a comment is sent, so that nobody takes the connection for dead."""

_PAUSE_SECONDS = 1.0


async def job_events(
    ports: Ports, listener: Listener, tenant: str, job_id: str, after: int, beat: float = BEAT_SECONDS
) -> AsyncIterator[bytes]:
    """The job each time its log is longer than version `after`; the version is the id of the event. `listener` hears
    the job's log. It ends with the job, also for who was told of the end before, and comes back."""
    while not ports.live.closed:
        try:
            job, seen = await ports.engine.jobs.load(job_id, tenant)
        except StoreError:
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        if seen.version > after:
            after = seen.version
            yield event_of(job, after)
        if job.status in ("completed", "failed"):
            return
        while not await listener.woken(beat):
            yield b": still here\n\n"


def event_of(job: Job, version: int) -> bytes:
    """A job as one event of the stream (HTML Living Standard, 9.2.6)."""
    return b"id: %d\nevent: job\ndata: %s\n\n" % (version, orjson.dumps(job_view(job)))
