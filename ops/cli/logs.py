"""What a process that goes on for long says of its troubles: lines for people on a terminal, JSON elsewhere.

Modules log by `logging`, skills as they like; structlog renders what comes, with what was worked on at the time.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from json import dumps
from typing import Any, cast

import orjson
import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter

from ...core.errors import CallError, Problem
from ...core.ids import run_of
from ...core.labels import tenant_label
from ...core.runtime.masked_logs import masked_value
from ...core.runtime.tracing import current_traceparent, working_on
from .faults import Hidden
from .output import plain

FORMAT = "REFOLD_LOG"
"""The environment variable that chooses `json` or `text`."""

_LONGEST = 32_000
_DEEPEST = 8
_Fields = MutableMapping[str, Any]


def log_to_stderr(hide: Hidden) -> None:
    """Have warnings and errors told on stderr. Raises CallError for a form that there is not."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(hide, as_json=_as_json()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def formatter(hide: Hidden, *, as_json: bool) -> logging.Formatter:
    """What makes a line (several, of a traceback for people) of a record, without secrets and without what a terminal
    would obey.

    The fields are `time` (UTC, ISO 8601), `level`, `logger` and `message`, what was given as `extra`, and where it
    applies `run_id`, `tenant` (a label), `step_id`, `attempt`, `trace_id`, `span_id` and `exception`.
    """
    return ProcessorFormatter(
        foreign_pre_chain=[ExtraAdder(), _trouble],
        processors=[_told, structlog.processors.format_exc_info, _Clean(hide), _json if as_json else _text],
    )


def _as_json() -> bool:
    chosen = os.environ.get(FORMAT, "")
    if chosen not in ("", "json", "text"):
        raise CallError(Problem("", f"{FORMAT} is {chosen[:40]!a}", "json or text, or nothing: text on a terminal"))
    return chosen == "json" or (not chosen and not sys.stderr.isatty())


def _trouble(_logger: Any, _level: str, fields: _Fields) -> _Fields:
    """The traceback that was made already, for a secret was masked in it."""
    record: logging.LogRecord = fields["_record"]
    if record.exc_text and not record.exc_info:
        fields["exception"] = record.exc_text
    return fields


def _told(_logger: Any, _level: str, fields: _Fields) -> _Fields:
    """Who says it, when, and about what."""
    record: logging.LogRecord = fields["_record"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    told: dict[str, Any] = {"time": at, "level": record.levelname.lower(), "logger": record.name}
    told |= {"message": fields["event"], **_context()}
    # What is given besides must not pass for what we say ourselves.
    return {**{name: value for name, value in fields.items() if name not in _OURS and name not in told}, **told}


_OURS = {"event", "_record", "_from_structlog"}


def _context() -> dict[str, Any]:
    """What this thread or task works on, and where in which trace."""
    told: dict[str, Any] = {}
    work = working_on()
    if work is not None:
        tenant, told["run_id"] = run_of(work.stream)
        told["tenant"] = tenant_label(tenant)
        if work.step_id:
            told |= {"step_id": work.step_id, "attempt": work.attempt}
    trace = current_traceparent()
    if trace is not None:
        _, told["trace_id"], told["span_id"], _ = trace.split("-")
    return told


class _Clean:
    """Secrets masked, in whatever was given."""

    def __init__(self, hide: Hidden):
        self._hide = hide

    def __call__(self, _logger: Any, _level: str, fields: _Fields) -> _Fields:
        return {self._hide(str(name)): self._value(value, _DEEPEST) for name, value in fields.items()}

    def _value(self, value: Any, deep: int) -> Any:
        value = masked_value(value)
        if value is None or isinstance(value, bool | int | float):
            return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)
        if isinstance(value, Mapping) and deep:
            items = cast("Mapping[Any, Any]", value).items()
            return {self._hide(str(name)): self._value(item, deep - 1) for name, item in items}
        if isinstance(value, list | tuple | set | frozenset) and deep:
            return [self._value(item, deep - 1) for item in cast("Sequence[Any]", value)]
        return self._hide(_written(value))[:_LONGEST]


def _written(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else str(value)
        return text.encode("utf-8", "backslashreplace").decode()
    except Exception:  # an object of a user's
        return f"<{type(value).__name__}>"


def _json(_logger: Any, _level: str, fields: _Fields) -> str:
    first = {name: fields.pop(name) for name in ("time", "level", "logger", "message")}
    line = orjson.dumps({**first, **fields}, option=orjson.OPT_NON_STR_KEYS).decode()
    if line.isprintable():
        return line
    # JSON may hold characters that a terminal would obey: those beyond ASCII, and DEL.
    return "".join(c if c.isprintable() else "\\u007f" if c == "\x7f" else dumps(c)[1:-1] for c in line)


def _text(_logger: Any, _level: str, fields: _Fields) -> str:
    """One line, and a traceback below it."""
    below = [str(fields.pop(name)) for name in ("exception", "stack_info") if name in fields]
    head = [str(fields.pop("time")), str(fields.pop("level")).upper(), str(fields.pop("logger"))]
    message = plain(str(fields.pop("message")))
    more = [f"{plain(name)}={plain(_shown(value))}" for name, value in fields.items()]
    lines = [" ".join([*head, message, *more]), *(line for text in below for line in text.splitlines())]
    return "\n".join(plain(line) for line in lines)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else repr(value)
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
