"""Processes on this machine that prove the chunks of a job side by side.

Each is started anew, and told what to do through a pipe whose other end nobody else holds: it ends when we do, in
whatever way. One that dies is replaced, and its chunk proved again; a chunk whose processes die again and again ends
the job.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

import orjson

from ..core import errors
from ..core.errors import CallError, Problem, RefoldError, StoreRefusedError
from ..replay.fleet import Chunk, ChunkProof
from .fleet_worker import Setup

MOST_DEATHS = 3
"""A chunk is given to so many processes before it ends the job."""

_Task = tuple[Chunk, "Future[ChunkProof]"]


class ProcessCrew:
    """So many processes; fulfils `refold.replay.jobs.Crew`."""

    def __init__(self, setup: Setup, size: int):
        self.size = size
        self._setup = orjson.dumps(list(setup))
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._running: set[_Process] = set()
        self._lock = Lock()
        self._closed = False
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> list[int]:
        """The processes that are at work."""
        with self._lock:
            return sorted(process.pid for process in self._running)

    def submit(self, chunk: Chunk) -> Future[ChunkProof]:
        """See `Crew.submit`. The future raises StoreError, CallError, StoreRefusedError for processes that die."""
        done: Future[ChunkProof] = Future()
        self._tasks.put((chunk, done))
        return done

    def close(self) -> None:
        """See `Crew.close`."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        """One thread for each process: hands chunks over, and waits for the answers."""
        process: _Process | None = None
        while (task := self._tasks.get()) is not None:
            chunk, done = task
            for _ in range(MOST_DEATHS):
                process = process or self._started()
                told = None if process is None else process.asked(orjson.dumps(list(chunk)))
                if told is not None:
                    _settle(done, told)
                    break
                process = self._ended(process)
            if not done.done():
                done.set_exception(StoreRefusedError(_died(chunk)))
        self._ended(process)

    def _started(self) -> _Process | None:
        """A new process; None when we are closing."""
        with self._lock:
            if self._closed:
                return None
            process = _Process()
            self._running.add(process)
        process.begin(self._setup)
        return process

    def _ended(self, process: _Process | None) -> None:
        if process is not None:
            process.end()
            with self._lock:
                self._running.discard(process)


class _Process:
    """`refold.ops.fleet_worker` as a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "refold.ops.fleet_worker"]
        # A Ctrl-C is for us, and ends them too.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.pid = self._process.pid
        self._refused: dict[str, Any] | None = None

    def begin(self, setup: bytes) -> None:
        """Hand over the setup; what is wrong with it is the answer to every chunk."""
        told = self.asked(setup)
        self._refused = told if told is not None and "error" in told else None

    def asked(self, line: bytes) -> dict[str, Any] | None:
        """The answer to a line; None when the process has died."""
        into, out = self._process.stdin, self._process.stdout
        if self._refused is not None or into is None or out is None:
            return self._refused
        try:
            into.write(line + b"\n")
            into.flush()
        except OSError:
            return None
        answer = out.readline()
        return orjson.loads(answer) if answer.endswith(b"\n") else None

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def end(self) -> None:
        """End it, and let go of everything."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def _settle(done: Future[ChunkProof], told: dict[str, Any]) -> None:
    if "error" in told:
        done.set_exception(error_of(told["error"]))
    else:
        done.set_result(ChunkProof.of_json(told["chunk"]))


def error_of(told: dict[str, str]) -> RefoldError:
    """The error that a process has told of, as ours."""
    kind: Any = getattr(errors, told["kind"], None)
    if isinstance(kind, type) and issubclass(kind, errors.InvalidError):
        return CallError(Problem("", told["text"]))
    if isinstance(kind, type) and issubclass(kind, errors.StoreError | errors.ProofError):
        return kind(told["text"])
    return RefoldError(told["text"])


def _died(chunk: Chunk) -> str:
    many = f"{chunk.streams[0]} to {chunk.streams[-1]}"
    return f"the processes that prove the runs {many} end again and again; prove them alone to see why, then go on"
