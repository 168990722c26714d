"""The way in and the way out: whatever happens, one message and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import typer

from .doctor_commands import app
from .signals import StoppedError, stragglers
from .streams import ReaderGoneError, UnwritableError, drop, flush, make_usable, note

_WRITE_FAULTS = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` (or the process's own) name, and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    make_usable()
    code = _run(given)
    try:
        flush()
    except ReaderGoneError:
        pass
    except UnwritableError as error:
        told = _report(error, given)
        code = code or told
    if stragglers:
        # The interpreter would wait for them, for ever.
        os._exit(code)
    sys.exit(code)


def _run(given: list[str]) -> int:
    stdout, stderr = sys.stdout, sys.stderr
    try:
        code: object = app(given, prog_name="refold", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        return _report_usage(error, given)
    except typer.Abort:
        return 128 + signal.SIGINT
    except StoppedError as stopped:
        return 128 + stopped.signal
    except KeyboardInterrupt:
        note("stopped")
        return 128 + signal.SIGINT
    except ReaderGoneError:
        drop(stdout)
        return 0
    except BaseException as error:
        if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
            # So typer and rich end the process when nobody reads the help; typer has put other streams in place.
            sys.stdout, sys.stderr = stdout, stderr
            drop(stdout)
            return 0
        return _report(error, given)


def _report(error: BaseException, given: list[str]) -> int:
    """Tell of `error` and return the exit code, whatever state we are in."""
    if isinstance(error, OSError) and error.filename is None and error.errno in _WRITE_FAULTS:
        error = UnwritableError(error)  # of the help, which typer writes
    if isinstance(error, UnwritableError):
        drop(sys.stdout)
    with suppress(Exception):
        from .faults import report

        return report(error, given)
    return 1


def _report_usage(error: typer.TyperException, given: list[str]) -> int:
    from ...core.errors import CallError, Problem

    if not error.format_message():  # the help was shown instead
        return error.exit_code
    command = next((word for word in given if not word.startswith("-")), "")
    known = {each.name for each in (*app.registered_commands, *app.registered_groups)}
    fix = f"see: refold {command} --help" if command in known else "see: refold --help"
    return _report(CallError(Problem("", " ".join(error.format_message().split()).rstrip("."), fix)), given)
