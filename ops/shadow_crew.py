"""The processes of a shadow simulation: workers and a projector, which end when the one that started them does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

LEASE_SECONDS = 2.0
"""How long a run stays with a worker that gives no sign of life."""

_PATIENCE_SECONDS = 20


class Crew:
    """`count` workers and a projector on the database at `url`; what they say goes to the file `log`."""

    def __init__(self, url: str, count: int, modules: Sequence[str], goldens: Path, keys: Path, log: int):
        # The URL may hold a password, which everybody could read in a command.
        self._environment = {**os.environ, "REFOLD_DATABASE_URL": url}
        self._worker = ["worker", *(word for module in modules for word in ("--skills", module))]
        self._projector = ["projector", "--goldens", str(goldens), "--keys", str(keys)]
        self._log = log
        self.workers = [self._start(self._worker) for _ in range(count)]
        self.projector = self._start(self._projector)

    def kill_worker(self, place: int) -> None:
        """End a worker at once, and start another in its place."""
        _kill(self.workers[place])
        self.workers[place] = self._start(self._worker)

    def stop_worker(self, place: int) -> None:
        """Let a worker stand still."""
        self.workers[place].send_signal(signal.SIGSTOP)

    def go_on(self, place: int) -> None:
        """Let it go on."""
        self.workers[place].send_signal(signal.SIGCONT)

    def kill_projector(self) -> None:
        """End the projector at once, and start another."""
        _kill(self.projector)
        self.projector = self._start(self._projector)

    def revive(self) -> list[str]:
        """Start anew those that have ended by themselves; says which, with their exit codes."""
        told: list[str] = []
        for place, worker in enumerate(self.workers):
            if worker.poll() is not None:
                told.append(f"worker {worker.pid} ended with {worker.returncode}")
                self.kill_worker(place)
        if self.projector.poll() is not None:
            told.append(f"projector {self.projector.pid} ended with {self.projector.returncode}")
            self.kill_projector()
        return told

    def end(self) -> None:
        """End all of them: with grace, or where that takes too long at once."""
        every = [*self.workers, self.projector]
        for process in every:
            process.send_signal(signal.SIGCONT)
            if process.stdin is not None:
                process.stdin.close()
        for process in every:
            with suppress(TimeoutExpired):
                process.wait(_PATIENCE_SECONDS)
            _kill(process)

    def _start(self, words: Sequence[str]) -> Popen[bytes]:
        # A Ctrl-C is for the simulation alone; the pipe to stdin ends with it, in whatever way.
        command = [sys.executable, "-P", "-m", "refold", "shadow", "child", *words]
        return Popen(
            command, stdin=PIPE, stdout=DEVNULL, stderr=self._log, env=self._environment, start_new_session=True
        )


def _kill(process: Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
