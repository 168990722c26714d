"""The processes of a soak: each has a place, and whoever dies in it is followed by another."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .memory import Memory

_SETTLED_SECONDS = 10
"""Who ends by itself before that did not find its database; later it is a fault of its own."""

_AGAIN_SECONDS = 1.0
_SAMPLE_SECONDS = 5.0
_GRACE_SECONDS = 20


class Place:
    """A command that runs as one process at a time; what it says on stdout and stderr goes to a file."""

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str], log: Path):
        self.name = name
        self._words = list(words)
        self._environment = {**os.environ, **environment}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        self.busy = False
        """Whether a fault has it."""
        self.began = 0.0
        self.lives = 0

    def start(self) -> None:
        """Begin a process; it is wanted from now on."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._words, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=self.log.parent,
            )  # fmt: skip
        self.wanted, self.began, self.lives = True, time.monotonic(), self.lives + 1

    @property
    def pid(self) -> int:
        """The process's number, 0 where there is none."""
        return 0 if self.process is None else self.process.pid

    def kill(self) -> None:
        """End it at once, with what it has started, and start no other."""
        self.wanted = False
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def send(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def tell_to_end(self) -> None:
        """Ask it to end with grace, and start no other."""
        self.wanted = False
        self.send(signal.SIGTERM)

    def end(self) -> int | None:
        """Wait for a moment until it has ended, then end it at once; how it ended."""
        if self.process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_SECONDS)
        code = self.process.poll()
        self.kill()
        return -signal.SIGKILL if code is None else code

    def said(self) -> str:
        """The last that was said."""
        return self.log.read_text(errors="replace")[-2_000:] if self.log.exists() else ""


class Supervisor:
    """Starts again whoever has ended by itself, tells `ended` of it, and samples everybody's memory."""

    def __init__(self, places: Sequence[Place], memory: Memory, ended: Callable[[Place, int, bool], None]):
        self.places = places
        self._memory = memory
        self._ended = ended

    async def run(self) -> None:
        """Watch until cancelled."""
        due = 0.0
        while True:
            for place in self.places:
                await self._look(place)
            if time.monotonic() >= due:
                due = time.monotonic() + _SAMPLE_SECONDS
                for place in self.places:
                    if place.pid:
                        self._memory.look(time.monotonic(), place.name, place.pid)
            await asyncio.sleep(0.25)

    async def _look(self, place: Place) -> None:
        if not place.wanted or place.process is None or place.process.poll() is None:
            return
        settled = time.monotonic() - place.began > _SETTLED_SECONDS
        self._ended(place, place.process.returncode, settled)
        await asyncio.sleep(_AGAIN_SECONDS)
        if place.wanted:
            place.start()


PRODUCT = "refold"


def command(*words: str, module: str = PRODUCT) -> list[str]:
    """The command of the product with these words, run by that module."""
    return [sys.executable, "-P", "-m", module, *words]
