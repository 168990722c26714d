"""A job as server-sent events: each time its log has grown it is told as it stands, until it has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import orjson

from ...core.errors import StoreError
from ...core.ids import job_stream
from ...core.job_log import Job
from ...projections.jobs import job_view
from ..ports import Ports

LOOK_SECONDS = 0.5
"""How often the log is looked at."""

BEAT_SECONDS = 15.0
"""After so long without anything to tell a comment is sent, so that nobody takes the connection for dead."""

_LONGEST_PAUSE = 5.0


async def job_events(ports: Ports, tenant: str, job_id: str, after: int) -> AsyncIterator[bytes]:
    """The job each time its log is longer than version `after`; the version is the id of the event."""
    stream, version, said, pause = job_stream(tenant, job_id), after, time.monotonic(), LOOK_SECONDS
    while not ports.watch.closed:
        try:
            head = (await ports.ask(ports.store.heads, [stream])).get(stream)
            if head is not None and head.version > version:
                job, seen = await ports.engine.jobs.load(job_id, tenant)
                version, said = seen.version, time.monotonic()
                yield event_of(job, version)
                if job.status in ("completed", "failed"):
                    return
            pause = LOOK_SECONDS
        except StoreError:
            pause = min(2 * pause, _LONGEST_PAUSE)
        if time.monotonic() - said >= BEAT_SECONDS:
            said = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(pause)


def event_of(job: Job, version: int) -> bytes:
    """A job as one event of the stream (HTML Living Standard, 9.2.6)."""
    return b"id: %d\nevent: job\ndata: %s\n\n" % (version, orjson.dumps(job_view(job)))
