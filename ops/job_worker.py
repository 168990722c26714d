"""A process that works on jobs: `python -P -m refold.ops.job_worker`, started by `refold.ops.job_keeper`.

It reads the URL of its database from stdin, and ends when stdin does, that is, however its parent ends; by itself when
nobody has asked for anything for a while. What it leaves is taken up by others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from threading import Thread

from ..api.jobs.working import JobWorker
from ..compose import WorkflowEngine, tune_process
from .job_means import means_of

IDLE_SECONDS = 10.0
"""Without a job for so long it ends."""

_NICE = 10


async def _work(url: str) -> None:
    async with WorkflowEngine(url, parks=True) as engine:
        await JobWorker(means_of(engine, url)).run(IDLE_SECONDS)


def main() -> None:
    """Work until nobody asks for anything, or stdin ends."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    url = requests.readline().decode().strip()

    def end_with_parent() -> None:
        with suppress(OSError):
            requests.read(1)
        os._exit(0)

    Thread(target=end_with_parent, daemon=True).start()
    os.nice(_NICE)  # Requests are answered first.
    tune_process()
    asyncio.run(_work(url))


if __name__ == "__main__":
    main()
