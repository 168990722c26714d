"""DBOS at the same work, in a process of its own: `dbos_child.py URL async|sync RUNS CONCURRENCY`; prints the seconds.

Set up as its documentation has it for production: its system tables in PostgreSQL, its own pool of 20 connections,
steps as decorated functions called from a decorated workflow. Workflows are called directly, without a queue, which
only adds writes and polling; so many callers at once as the concurrency says. The asynchronous form awaits them on one
event loop, the synchronous one calls them from as many threads; the report has whichever is faster. Logs are kept to
errors. A pool of 50 with 200 executor threads made no difference beyond the noise. The garbage collector is tuned as
Refold's is. Starting, making the tables and a round to warm up are not counted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, DBOSConfig, SetWorkflowID  # pyright: ignore[reportMissingImports]  (an extra)

from refold.compose import tune_process

STEPS = 10


@DBOS.step()
async def echo(n: int, text: str) -> dict[str, object]:
    """The same step as Refold's `echo`."""
    return {"n": n, "text": text}


@DBOS.workflow()
async def chain(text: str) -> object:
    """Ten steps, each fed by the one before."""
    out: dict[str, object] = {"text": text}
    for n in range(STEPS):
        out = await echo(n, str(out["text"]))
    return out


@DBOS.step()
def echo_sync(n: int, text: str) -> dict[str, object]:
    """The same, synchronous."""
    return {"n": n, "text": text}


@DBOS.workflow()
def chain_sync(text: str) -> object:
    """The same, synchronous."""
    out: dict[str, object] = {"text": text}
    for n in range(STEPS):
        out = echo_sync(n, str(out["text"]))
    return out


def run_async(label: str, runs: int, concurrency: int) -> None:
    """All runs, by coroutines."""

    async def client(first: int) -> None:
        for n in range(first, runs, concurrency):
            with SetWorkflowID(f"{label}-{n}"):
                await chain("hello")

    async def everything() -> None:
        await asyncio.gather(*map(client, range(concurrency)))

    asyncio.run(everything())


def run_sync(label: str, runs: int, concurrency: int) -> None:
    """All runs, by threads."""

    def one(n: int) -> None:
        with SetWorkflowID(f"{label}-{n}"):
            chain_sync("hello")

    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(one, range(runs)))


def main(url: str, form: str, runs: int, concurrency: int) -> None:
    """Measure once."""
    config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    DBOS(config=config)
    DBOS.launch()
    work: Callable[[str, int, int], None] = run_async if form == "async" else run_sync
    tune_process()
    work("warm-up", min(runs, 20), min(concurrency, 20))
    started = time.perf_counter()
    work("run", runs, concurrency)
    print(time.perf_counter() - started)
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
