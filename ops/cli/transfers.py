"""`refold store export` and `import`."""

from __future__ import annotations

import gzip
import os
import secrets
import sys
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from rich.progress import Progress

from ...compose import open_store
from ...core.errors import CallError, Problem, StoreRefusedError
from ...eventstore.exporting import Exporting
from ...eventstore.importing import Importing, unzipped
from ...eventstore.tiered import TieredStore
from ...projections.golden_single_files import NO_LINKS, sync_folder
from .archives import Archives
from .faults import BROKEN, OK
from .output import console, plain, write_json
from .progress import watched
from .signals import stopping
from .streams import note, unwritable


def export_store(place: Archives, name: str) -> int:
    """Write the store into the file `name`; returns the exit code. With - the counts go to stderr."""
    if name == "-" and place.json:
        raise CallError(Problem("", "with -, stdout holds the export", "leave --json out, or name a file"))
    with place.opened() as store, stopping():
        work = Exporting(store)
        with watched("exporting") as told, _destination(name) as file:
            _write(file, work.lines(told))
    counts = ", ".join(f"{number} {kind}" for kind, number in work.counts.items())
    if place.json:
        write_json({"file": name, **work.counts})
    elif name == "-":
        note(f"exported: {counts}")
    else:
        console().print(f"exported: {counts}", soft_wrap=True)
    return OK


def _write(file: IO[bytes], lines: Iterable[bytes]) -> None:
    # Without a name and a time, the same store gives the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped:
        for line in lines:
            zipped.write(line)


@contextmanager
def _destination(name: str) -> Generator[IO[bytes]]:
    """What to write to; a file gets its name when it is whole, and durable."""
    if name == "-":
        if sys.stdout.isatty():
            raise CallError(Problem("", "an export is no text for a terminal", "name a file, or pipe it"))
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except OSError as error:
            raise unwritable(error) from None
        return
    path = Path(name)
    part = Path(f"{name}.{secrets.token_hex(4)}.part")  # Another export to the same file has its own.
    if os.path.lexists(path):
        raise _exists(path)
    try:
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _give_name(part, path)
            sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StoreRefusedError(f"{name} cannot be written: {error.strerror or error}") from None


def _give_name(part: Path, path: Path) -> None:
    """Give a file its name; whatever has got that name meanwhile stays."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        part.rename(path)


def _exists(path: Path) -> CallError:
    return CallError(Problem("", f"{path} exists", "name another file"))


def import_store(name: str, database: str | None, json: bool) -> int:
    """Fill the empty store from the file `name`; returns the exit code."""
    screen = console(stderr=True)
    with (
        _source(name) as file,
        closing(open_store(database)) as store,
        stopping(),
        Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar,
    ):
        if not isinstance(store, TieredStore):
            raise CallError(Problem("", "a store in memory cannot be kept", "name a database"))
        size = os.fstat(file.fileno()).st_size if name != "-" else None
        task = bar.add_task("importing", total=size)
        work = Importing(store, lambda line: bar.update(task, completed=file.tell() if size else line))
        done = work.run(unzipped(file))
    if json:
        write_json(done._asdict())
    else:
        runs = f"; unfinished runs: {done.open_runs}"
        told = f"imported: {done.events} events, {done.heads} heads, {done.payloads} payloads{runs}"
        console().print(told, soft_wrap=True)
    for stream, reason in done.unreadable.items():
        note(f"{plain(stream)} cannot be read, so nobody goes on with it: {plain(reason)}")
    return BROKEN if done.unreadable else OK


@contextmanager
def _source(name: str) -> Generator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(name, "rb")  # noqa: SIM115
    except OSError as error:
        reason = f"{name} cannot be read: {error.strerror or error}"
        raise CallError(Problem("", reason, "name a file that refold store export wrote")) from None
    with file:
        yield file
