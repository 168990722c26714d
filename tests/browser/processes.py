"""Refold as an operator has it: real processes over one database, in a folder of their own, with real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

PATIENCE_SECONDS = 60
"""How long anything may take on a busy machine before it counts as not coming."""

SKILLS = Path(__file__).with_name("shop.py")
"""The skills and workflows of the tests' shop."""


class Service:
    """The processes of one database. Gates that skills wait at are files in its folder."""

    def __init__(self, folder: Path, database: str):
        self.folder = folder
        self.database = database
        self._started: list[subprocess.Popen[str]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *words: str, name: str | None = None) -> subprocess.Popen[str]:
        """Begin a command; what it writes to stderr goes to a file of the folder."""
        with (self.folder / f"{name or words[0]}-{len(self._started)}.log").open("w") as told:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "refold", *words],
                cwd=self.folder,
                env={**os.environ, **self.settings()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def run(self, *words: str, code: int = 0) -> str:
        """What a command says on stdout, once it has ended with `code`."""
        process = self.start(*words)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == code, f"{' '.join(words)} ended with {process.returncode}: {out}{self.errors()}"
        return out

    def serve(self, *words: str) -> str:
        """Begin a server, `refold serve` unless told; the URL that it says it listens on."""
        process = self.start(*(words or ("serve",)), "--port", "0", "--json")
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "listening" in line, f"the server does not begin: {line}{self.errors()}"
        return json.loads(line)["listening"]

    def worker(self) -> subprocess.Popen[str]:
        """Begin a worker that has the shop's skills."""
        return self.start("worker", "--skills", str(SKILLS))

    def open_gate(self, name: str) -> None:
        """Let the skills pass that wait at the gate."""
        (self.folder / f"{name}.open").touch()

    def await_gate(self, name: str, pid: int | None = None) -> None:
        """Return when a skill, of the process `pid` if one is given, waits at the gate."""
        note = self.folder / f"{name}.waiting"

        def waits() -> bool:
            return note.exists() and (pid is None or note.read_text() == str(pid))

        eventually(waits, f"somebody waits at the gate {name}")

    def errors(self) -> str:
        """What the processes have written to stderr."""
        return "\n".join(f"{each.name}: {each.read_text()}" for each in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        """End all processes, servers by the signal that lets them end their own."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def settings(self) -> dict[str, str]:
        """What its processes find in their environment, besides ours."""
        return {
            "REFOLD_DATABASE_URL": self.database,
            "REFOLD_AUDIT": str(self.folder / "tree"),
            "REFOLD_CERTIFICATES": str(self.folder / "certificates"),
        }


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and wait until it is gone."""
    process.kill()
    process.wait()


@contextmanager
def service(folder: Path, database: str | None = None) -> Generator[Service]:
    """A service over `database`, or over an SQLite file in its folder; all of it ended afterwards."""
    begun = Service(folder, database or f"sqlite:///{folder / 'refold.db'}")
    try:
        yield begun
    finally:
        begun.close()


def eventually(holds: Callable[[], Any], what: str) -> Any:
    """What `holds` says as soon as it is true of it; fails when it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, f"did not come: {what}"
        time.sleep(0.02)
    return found


def start_run(api: httpx2.Client, run_id: str, steps: Sequence[dict[str, Any]], **fields: Any) -> None:
    """Start a run of these steps over the API."""
    spec = {"workflow_type": fields.pop("workflow_type", "order"), "steps": list(steps)}
    answer = api.post("/v1/runs", json={"run_id": run_id, "spec": spec, **fields})
    assert answer.status_code == 201, answer.text
