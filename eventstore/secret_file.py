"""Files of secrets that only their owner may read. Nothing of a secret stands in an error."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..core.errors import CallError, Problem

_MOST_BYTES = 1_000_000


def read_secret_file(path: Path, make: str) -> bytes:
    """What is in the key file. Raises CallError for one that cannot be read or that others may read; `make` is how
    to have one."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(file, "rb") as stream:
            about = os.fstat(file)
            if not stat.S_ISREG(about.st_mode):
                raise CallError(Problem("", f"the key file {path} is no file", "name a regular file"))
            if about.st_mode & 0o077:
                mode = stat.S_IMODE(about.st_mode)
                reason = f"others may read or write the key file {path} (mode {mode:04o})"
                raise CallError(Problem("", reason, f"chmod 600 {path}"))
            return stream.read(_MOST_BYTES)
    except OSError as error:
        raise CallError(Problem("", f"the key file {path} cannot be read: {error.strerror}", make)) from None


def save_secret_file(path: Path, data: bytes) -> None:
    """Write the key file, whole or not at all, for its owner's eyes only. Raises CallError."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(file)
            os.rename(hidden, path)
        except BaseException:
            os.unlink(hidden)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        reason = f"the key file {path} cannot be written: {error.strerror}"
        # What Python was handling may hold a part of a secret.
        raise CallError(Problem("", reason, "name a file in a folder of yours")) from None


@contextmanager
def alone(path: Path) -> Generator[None]:
    """Let nobody else change the key file meanwhile: who read it before would save it without the other's key."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # Reading or saving it says what is wrong.
        return
    try:
        with suppress(OSError):  # some file systems cannot
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
