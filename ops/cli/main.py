"""The way in and the way out: whatever happens, one message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

import typer

from .commands import app
from .signals import ReaderGoneError, StoppedError


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` (or the process's own) name, and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a character shows a substitute
            stream.reconfigure(errors="backslashreplace")
    code = _run(given)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    sys.exit(code)


def _run(given: list[str]) -> int:
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
        sys.stderr.write("stopped\n")
        return 128 + signal.SIGINT
    except ReaderGoneError:
        _drop_stdout()
        return 0
    except Exception as error:
        from .faults import report

        return report(error, given)


def _report_usage(error: typer.TyperException, given: list[str]) -> int:
    from ...core.errors import CallError, Problem
    from .faults import report

    if not error.format_message():  # the help was shown instead
        return error.exit_code
    command = next((word for word in given if not word.startswith("-")), "")
    known = {command.name for command in app.registered_commands}
    fix = f"see: refold {command} --help" if command in known else "see: refold --help"
    return report(CallError(Problem("", " ".join(error.format_message().split()).rstrip("."), fix)), given)


def _drop_stdout() -> None:
    """Keep the interpreter from complaining, as it exits, that the rest of the output cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
