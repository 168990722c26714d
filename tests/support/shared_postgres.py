"""One PostgreSQL server for a whole test run, whichever of its processes asks first.

The process that was called by hand opens the session; whoever needs the server, it or a worker of pytest-xdist, joins
it. A keeper process owns the server. It waits for the end of a pipe that only the opener holds open, so the server is
stopped also when the opener was interrupted or killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .postgres import PATIENCE_SECONDS, temporary_server

FOLDER_VARIABLE = "REFOLD_TEST_SESSION"
"""The environment variable that tells the workers where the session's files are."""

# Only so that they are not collected, with a warning, while they run: the session ends them, not the process.
_KEEPERS: list[subprocess.Popen[bytes]] = []


class SharedPostgres:
    """The opener's end of a session; starts nothing until somebody joins."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="refold-tests-"))
        os.mkfifo(self._folder / "alive")
        # Read and write, so that opening does not wait for the keeper. Children do not inherit it.
        self._alive = os.open(self._folder / "alive", os.O_RDWR)
        os.environ[FOLDER_VARIABLE] = str(self._folder)

    def close(self) -> None:
        """Let the keeper stop the server, and wait until it has."""
        os.environ.pop(FOLDER_VARIABLE, None)
        with (self._folder / "keeper.lock").open("w") as lock:
            os.close(self._alive)
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(self._folder, ignore_errors=True)


def shared_server_url() -> str:
    """The server of this run: the one that REFOLD_TEST_POSTGRES_URL names, else the session's, started if need be."""
    given = os.environ.get("REFOLD_TEST_POSTGRES_URL")
    if given:
        return given
    folder = Path(os.environ[FOLDER_VARIABLE])
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "url").exists():
            _start_keeper(folder)
    return (folder / "url").read_text()


def _start_keeper(folder: Path) -> None:
    with (folder / "log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _KEEPERS.append(keeper)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (folder / "url").exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"No PostgreSQL for the tests:\n{(folder / 'log').read_text(errors='replace')}")
        time.sleep(0.02)


def _keep(folder: Path) -> None:
    """The keeper: run a server until the opener is gone."""
    # Not waiting for a writer: if the opener is gone already, the first read says so.
    alive = os.open(folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(alive, True)
    with (folder / "keeper.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with temporary_server() as server:
            (folder / "url.new").write_text(server.url)
            (folder / "url.new").rename(folder / "url")
            os.read(alive, 1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
