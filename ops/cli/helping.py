"""The processes that a rebuild starts, and what they do."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryFile
from uuid import uuid4

from ...compose import tune_process
from ...eventstore.owner import this_process
from ...eventstore.tables import Generation
from ...projections.helpers import Helper, StartHelper
from ...projections.parts import work_parts
from ...projections.projector import known_projections
from ...projections.runner import generation
from ...projections.standings import check_name
from .faults import OK
from .reading import existing_store


def helpers_of(url: str) -> StartHelper:
    """What starts helpers of a rebuild in the database at `url`."""
    return lambda of: _Process(url, of)


class _Process(Helper):
    """`refold projections fill-parts` as a process of its own; it ends when the pipe to it is closed."""

    def __init__(self, url: str, of: Generation):
        self._told = TemporaryFile()  # noqa: SIM115 (closed by `end`)
        command = [sys.executable, "-P", "-m", "refold", "projections", "fill-parts", of.name, str(of.generation)]
        # The URL may hold a password, which everybody could read in a command. A Ctrl-C is for the rebuild itself.
        environment = {**os.environ, "REFOLD_DATABASE_URL": url}
        self._process = Popen(
            command, stdin=PIPE, stdout=DEVNULL, stderr=self._told, env=environment, start_new_session=True
        )

    def poll(self) -> int | None:
        """See `Helper.poll`."""
        return self._process.poll()

    def said(self) -> str:
        """See `Helper.said`."""
        self._told.seek(0)
        return (self._told.read().decode(errors="replace").strip().splitlines() or [""])[-1]

    def end(self) -> None:
        """See `Helper.end`."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._told.close()


def fill_parts(name: str, number: int, database: str | None) -> int:
    """Work off the parts of a generation that nobody else does; returns the exit code."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    known = known_projections()
    projection = known[check_name(name, known)]
    tune_process()
    with existing_store(database) as store:
        work_parts(store, projection, this_process(uuid4().hex), generation(store, name, number))
    return OK


def _end_with_parent() -> None:
    """Whoever started us holds the other end of stdin, and nobody else: when it ends, in whatever way, so do we."""
    with suppress(OSError):
        os.read(0, 1)
    os._exit(1)
