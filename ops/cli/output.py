"""How values are written: JSON lines for programs, plain characters for people."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from typing import Any, TextIO

import orjson
from rich.console import Console

from ...projections.times import iso
from .streams import drop, unwritable

_WIDTH_OF_A_PIPE = 160

STATUS_STYLES = {
    "completed": "bold green",
    "failed": "bold red",
    "cancelled": "bold red",
    "timed_out": "bold red",
    "rejected": "bold magenta",
    "unreadable": "bold red",
    "paused": "bold yellow",
    "parked": "bold magenta",
    "running": "bold blue",
    "waiting": "bold cyan",
    "skipped": "yellow",
}
"""How each status of a run or a step looks; what is not listed is dim."""


def write_json(value: Any) -> None:
    """One line of JSON in UTF-8 on stdout, at once."""
    try:
        line = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # text with lone surrogates, which file names and arguments may hold
        line = orjson.dumps(_mended(value), option=orjson.OPT_APPEND_NEWLINE)
    out = sys.stdout.real if isinstance(sys.stdout, _Diverted) else sys.stdout
    try:
        out.flush()
        out.buffer.write(line)
        out.buffer.flush()
    except OSError as error:
        raise unwritable(error) from None


def console(*, stderr: bool = False) -> Console:
    """Where people read: stdout or stderr; wide where there is no terminal, in plain text."""
    made = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _WIDTH_OF_A_PIPE
    return made


def plain(text: str) -> str:
    """`text` in one line without what a terminal would obey: control characters, and those that turn text around."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t" else ascii(c)[1:-1] for c in text)


def excerpt(data: bytes, length: int) -> str:
    """The beginning of canonical JSON, at most `length` characters."""
    text = plain(data[: 4 * length + 4].decode("utf-8", "ignore"))
    return text if len(text) <= length and len(data) <= 4 * length + 4 else text[: length - 1] + "…"


def clock(at: int) -> str:
    """A time of microseconds since 1970 for people: date and time of day in UTC, to the second."""
    return iso(at)[:19].replace("T", " ")


def duration(microseconds: int) -> str:
    """A length of time for people, in the unit that fits."""
    seconds = microseconds / 1_000_000
    if seconds < 0.9995:
        return f"{microseconds / 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def cents(amount: float) -> str:
    """An amount for people."""
    return f"{amount:g} ct" if amount else "–"


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `print`, where rich would end the process with exit code 1."""
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does it. What stderr cannot take is lost; for stdout, raises ReaderGoneError or UnwritableError."""
        try:
            super().print(*objects, **options)
        except OSError as error:
            if not self.stderr:
                raise unwritable(error) from None
            drop(sys.stderr)


class _Diverted:
    """Stands in for stdout while user code runs beside JSON lines: what skills print goes to stderr."""

    def __init__(self, real: TextIO):
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


@contextlib.contextmanager
def stdout_for_json_only(active: bool) -> Generator[None]:
    """Within, only `write_json` reaches stdout."""
    if not active:
        yield
        return
    with contextlib.redirect_stdout(_Diverted(sys.stdout)):  # pyright: ignore[reportArgumentType]
        yield


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return [_mended(item) for item in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]
