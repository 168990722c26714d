"""A worker in a process of its own: `worker_child.py URL CONCURRENCY`.

Says "ready" on stdout, works from the first line on stdin until stdin ends, and says of each run that has ended
"RUN NANOSECONDS", the time of day at which its end was durable.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from refold import Worker
from refold.compose import tune_process
from refold.core.events import Event, RunCompleted


def main(url: str, concurrency: int) -> None:
    """Work until stdin ends."""

    def observe(stream: str, _: int, event: Event) -> None:
        if isinstance(event, RunCompleted):
            print(stream.partition("/")[2], time.time_ns(), flush=True)

    worker = Worker(url, concurrency=concurrency, observer=observe)
    tune_process()
    print("ready", flush=True)
    sys.stdin.readline()

    def drain_at_the_end() -> None:
        sys.stdin.read()
        worker.drain()

    threading.Thread(target=drain_at_the_end, daemon=True).start()
    asyncio.run(worker.run())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
