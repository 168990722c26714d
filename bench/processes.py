"""Worker processes as the benchmarks use them: started, told to go, listened to, drained."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

CHILD = Path(__file__).parent / "worker_child.py"


class WorkerProcess:
    """One `worker_child.py`."""

    def __init__(self, url: str, concurrency: int):
        command = [sys.executable, "-P", CHILD, url, str(concurrency)]
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)
        self._output = self._process.stdout
        self._input = self._process.stdin

    def wait_until_ready(self) -> None:
        """Return when everything is loaded and the database open."""
        assert self._output is not None
        if self._output.readline() != "ready\n":
            raise SystemExit("a worker of the benchmark did not start")

    def go(self) -> None:
        """Let it work."""
        assert self._input is not None
        self._input.write("go\n")
        self._input.flush()

    def ended(self) -> Generator[tuple[str, int]]:
        """Each run that has ended, and when, in nanoseconds since the epoch; until the worker itself ends."""
        assert self._output is not None
        for line in self._output:
            run_id, _, at = line.partition(" ")
            yield run_id, int(at)

    def end(self) -> None:
        """Drain it, and wait for its end. `ended` stops then."""
        assert self._input is not None
        self._input.close()
        self._process.wait(60)

    def close(self) -> None:
        """Make sure that nothing of it is left."""
        self._process.kill()
        self._process.wait()
        for stream in (self._input, self._output):
            if stream is not None:
                stream.close()


@contextmanager
def worker_processes(url: str, count: int, concurrency: int) -> Generator[list[WorkerProcess]]:
    """So many workers that are ready and wait for `go`; gone at the end."""
    workers = [WorkerProcess(url, concurrency) for _ in range(count)]
    try:
        for worker in workers:
            worker.wait_until_ready()
        yield workers
    finally:
        for worker in workers:
            worker.close()


@asynccontextmanager
async def working(url: str, concurrency: int) -> AsyncGenerator[Callable[[str], asyncio.Future[int]]]:
    """One worker process at work. What is yielded tells when a run will have ended: ask before the run is started."""
    loop = asyncio.get_running_loop()
    asked: dict[str, asyncio.Future[int]] = {}

    def expect(run_id: str) -> asyncio.Future[int]:
        asked[run_id] = loop.create_future()
        return asked[run_id]

    def listen(worker: WorkerProcess) -> None:
        for run_id, at in worker.ended():
            if run_id in asked:
                loop.call_soon_threadsafe(asked[run_id].set_result, at)

    with worker_processes(url, 1, concurrency) as workers:
        workers[0].go()
        listener = asyncio.create_task(asyncio.to_thread(listen, workers[0]))
        try:
            yield expect
        finally:
            await asyncio.to_thread(workers[0].end)
            await listener
