"""A store of its own for drills, in a temporary folder: with a real server, a projector, and one run that has ended.

Nothing of the environment that is Refold's reaches it, so a drill never touches what is really kept.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from ..core.errors import StoreRefusedError

RUN = "drill-1"
"""The run that has ended."""

_SECONDS = 120.0
"""How long one command may take, or a process to begin."""

_SPEC = {
    "workflow_type": "drill",
    "steps": [{"step_id": "pay", "skill_id": "echo", "inputs": {"to": "Ada"}, "estimated_cost_cents": 6}],
}
_POLICY = {
    "policy": "drill",
    "version": "1",
    "budgets": [{"scope": "workflow", "name": "*", "cents": 100, "period": "total"}],
}


class Said(NamedTuple):
    """What a command left: its exit code, what it wrote, and the JSON lines of that."""

    code: int
    lines: list[dict[str, Any]]
    out: str
    err: str

    @property
    def last(self) -> Mapping[str, Any]:
        """The last line, which sums up; empty if there is none."""
        return self.lines[-1] if self.lines else {}

    def told(self) -> str:
        """In short, where it was not what was expected."""
        return f"exit code {self.code}: {' '.join((self.err or self.out).split())[:300]}"


class Scratch:
    """The store and its processes; a context manager. `url` and `projector` are where both answer.

    Entering raises StoreRefusedError if a process does not begin.
    """

    def __enter__(self) -> Scratch:
        self._temporary = tempfile.TemporaryDirectory(prefix="refold-drill-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self._processes: list[subprocess.Popen[str]] = []
        ours = ("REFOLD_", "WORKFLOW_", "OTEL_", "COLUMNS")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment["REFOLD_DATABASE_URL"] = f"sqlite:///{self.folder / 'refold.db'}"
        self.environment["REFOLD_GOLDEN_KEYS"] = str(self.folder / "golden-keys.json")
        try:
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        self._temporary.cleanup()

    def refold(self, *words: str) -> Said:
        """Do a command here, as somebody on call would. One that does not end has the exit code 124."""
        command = [sys.executable, "-P", "-m", "refold", *words]
        options: Any = {"cwd": self.folder, "env": self.environment, "stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, **options)
        except subprocess.TimeoutExpired:
            return Said(124, [], "", f"it has not ended within {_SECONDS:g} s")
        lines: list[dict[str, Any]] = []
        for line in done.stdout.splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
        return Said(done.returncode, lines, done.stdout, done.stderr)

    def get(self, url: str) -> httpx2.Response:
        """What a process here answers. Raises StoreRefusedError if it does not."""
        try:
            with httpx2.Client(trust_env=False, timeout=10.0) as client:
                return client.get(url)
        except httpx2.HTTPError as error:
            raise StoreRefusedError(f"{url} does not answer: {type(error).__name__}") from None

    def _set_up(self) -> None:
        (self.folder / "drill.json").write_text(json.dumps(_SPEC))
        (self.folder / "policy.json").write_text(json.dumps(_POLICY))
        for words in (("golden", "rotate-key"), ("run", "drill.json", "--run-id", RUN, "--policy", "policy.json")):
            said = self.refold(*words)
            if said.code:
                raise StoreRefusedError(f"refold {words[0]}: {said.told()}")
        self.url = self._begin("listening on (http://\\S+)", "serve", "--port", "0")
        self.projector = self._begin("metrics: (http://\\S+)", "projector", "--metrics", "127.0.0.1:0")

    def _begin(self, pattern: str, *words: str) -> str:
        """Start a process that says where it answers."""
        said = self.folder / f"{words[0]}.log"
        with said.open("w") as out:
            command = [sys.executable, "-P", "-m", "refold", *words]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, env=self.environment,
                text=True,
            )  # fmt: skip
        self._processes.append(process)
        found = wait_for(lambda: process.poll() is not None or re.search(pattern, said.read_text()))
        if not isinstance(found, re.Match):
            raise StoreRefusedError(f"refold {words[0]} does not begin: {' '.join(said.read_text().split())[-300:]}")
        return str(found[1])  # pyright: ignore[reportUnknownArgumentType]


def wait_for(found: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """What `found` gives as soon as it is true; what it gave last once the time is up."""
    until, pause = time.monotonic() + seconds, threading.Event()
    while not (got := found()) and time.monotonic() < until:
        pause.wait(0.05)
    return got
