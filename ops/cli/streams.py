"""stdin, stdout and stderr when they are closed, full, or read by nobody any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO


class ReaderGoneError(Exception):
    """Whoever read our output has closed it. No OSError: typer would end the process with exit code 1."""


class UnwritableError(Exception):
    """Our output cannot be written: the disk is full, or stdout was closed before we began."""

    def __init__(self, cause: OSError):
        super().__init__(f"the output cannot be written: {cause.strerror or cause}")


def make_usable() -> None:
    """Give the process the streams that it was started without, and show substitutes for what a terminal lacks.

    A closed stdin or stdout fails when it is used, a closed stderr swallows. Without this, the next file opened, such
    as the database, would take the free number, and what is printed would be written into it.
    """
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number, mode)
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop(stream: TextIO) -> None:
    """Send what is left in `stream`, and all that follows, nowhere: else the interpreter complains as it exits."""
    with suppress(OSError, ValueError):
        _open_null(stream.fileno(), os.O_WRONLY)


def _open_null(number: int, mode: int) -> None:
    opened = os.open(os.devnull, mode)
    if opened == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(opened, number)
        os.close(opened)


def flush() -> None:
    """Write what is still held back of stdout and stderr. Raises ReaderGoneError or UnwritableError for stdout."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        drop(sys.stderr)
    try:
        sys.stdout.flush()
    except OSError as error:
        drop(sys.stdout)
        raise unwritable(error) from None


def unwritable(error: OSError) -> ReaderGoneError | UnwritableError:
    """What `error`, raised by writing to stdout, means."""
    return ReaderGoneError() if isinstance(error, BrokenPipeError) else UnwritableError(error)


def note(text: str) -> None:
    """A message for people, on stderr; if that cannot be written, it is lost, and nothing else."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        drop(sys.stderr)
