"""Single files and folders for goldens: whole or not at all, durable, and without following links."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from .golden_faults import GoldenFault

MAX_BYTES = 2**31
"""No golden is larger; a file that is will not be read into memory."""

HIDDEN = ".tmp-"
"""How files begin that are not yet what they will be."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""How folders are opened."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.ENOSYS}
"""What a file system says that cannot give a file another name."""


def make_folder(folder: Path) -> None:
    """Make a folder durably, with those above it."""
    if not folder.is_dir():
        if folder.parent != folder:
            make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which files the folder holds. Raises OSError."""
    opened = os.open(folder, FOLDER)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def doubled(giver: int, name: str, folder: int) -> str:
    """Have a file of another folder here too, under a hidden name, which is returned."""
    hidden = HIDDEN + secrets.token_hex(12)
    try:
        os.link(name, hidden, src_dir_fd=giver, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        found = read_file(giver, name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        return write_hidden(folder, *found)
    return hidden


def write_hidden(folder: int, data: bytes, ended_at: int, at: Callable[[str], object] = lambda point: None) -> str:
    """Write `data` durably under a hidden name, which is returned. Raises OSError, leaving nothing."""
    with hidden_file(folder) as (name, file):
        at("opened")
        half = len(data) // 2
        _write_all(file, data[:half])
        at("half written")
        _write_all(file, data[half:])
        make_durable(file, ended_at)
        at("written")
    return name


@contextmanager
def hidden_file(folder: int) -> Generator[tuple[str, int]]:
    """A new file under a hidden name, with a descriptor to write to it; it is removed if anything goes wrong within."""
    name = HIDDEN + secrets.token_hex(12)
    file = os.open(name, _NEW, 0o644, dir_fd=folder)
    try:
        try:
            yield name, file
        finally:
            os.close(file)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        raise


def make_durable(file: int, ended_at: int) -> None:
    """Set the file's time (µs since the epoch) and sync it."""
    moment = ended_at * 1000 if 0 <= ended_at < 2**53 else 0
    os.utime(file, ns=(moment, moment))
    os.fsync(file)


def read_file(folder: int, name: str) -> tuple[bytes, int] | None:
    """The content of a regular file and its time (µs since the epoch), None if there is none.

    Raises GoldenFault for a link, a device, a folder or a pipe.
    """
    with opened_file(folder, name) as stream:
        if stream is None:
            return None
        return stream.read(), microseconds(os.fstat(stream.fileno()))


@contextmanager
def opened_file(folder: int, name: str) -> Generator[BufferedReader | None]:
    """A regular file, to read; None if there is none. Raises GoldenFault for a link, a device, a folder or a pipe."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise GoldenFault(0, "link", f"{name} is a link or a device, not a file") from None
        raise
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise GoldenFault(0, "link", f"{name} is no regular file")
        if about.st_size > MAX_BYTES:
            raise GoldenFault(0, "unreadable", f"{name} has {about.st_size} bytes; no golden has")
        with open(file, "rb", closefd=False) as stream:
            yield stream
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def microseconds(about: os.stat_result) -> int:
    """When a file was last written to, in µs since the epoch."""
    return about.st_mtime_ns // 1000
