"""Secrets kept out of what this process logs, through whichever logger and handler.

Log records are made by one factory for the whole process; from the first secret on it is ours, around whatever stood
there. Values stay known until the process ends, since what holds one may be logged late.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, cast

from .masking import Mask

_MOST = 1_000
"""Values that are kept: many rotations of many secrets."""

_lock = threading.Lock()
_known: dict[tuple[str, str], Mask] = {}
_installed: list[Any] = []


def keep_out_of_logs(values: Mapping[str, str]) -> None:
    """Have these secrets, by name, masked in all that is logged from now on."""
    if all(item in _known for item in values.items()):
        return
    with _lock:
        for name, value in values.items():
            _known[name, value] = Mask({name: value})
        while len(_known) > _MOST:
            del _known[next(iter(_known))]
        if logging.getLogRecordFactory() not in _installed:
            previous = logging.getLogRecordFactory()

            def masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
                record = previous(*args, **kwargs)
                _mask(record)
                return record

            _installed.append(masked)
            logging.setLogRecordFactory(masked)


def masked_text(text: str) -> str:
    """`text` without any secret that this process has known."""
    for mask in list(_known.values()):
        text = mask.text(text)
    return text


def masked_value(value: Any) -> Any:
    """The same for any value: what is no plain data is its text if there is a secret in that."""
    if not _known or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {masked_value(key): masked_value(item) for key, item in items}
    if isinstance(value, list | tuple):
        found = [masked_value(item) for item in cast("Sequence[Any]", value)]
        return found if isinstance(value, list) else tuple(found)
    try:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        clean, shown = masked_text(text), repr(value)
        return value if clean == text and masked_text(shown) == shown else clean
    except Exception:  # an object of a user's, which may fail at each of them
        return f"<{type(value).__name__}>"


def _mask(record: logging.LogRecord) -> None:
    """Mask a record that holds a secret; all others stay as they are."""
    told: object = record.msg
    if isinstance(told, dict):  # structlog's, which is rendered later
        record.msg = masked_value(cast("dict[str, Any]", told))
    try:
        message = record.getMessage()
    except Exception:  # logging would print the parts as they are
        message = f"{record.msg} {record.args!r}"
    clean = masked_text(message)
    if clean != message:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[1] is not None:
        trace = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        clean = masked_text(trace)
        if clean != trace:
            # A handler's own formatter must not come by the exception again.
            record.exc_info, record.exc_text = None, clean
    if record.stack_info:
        record.stack_info = masked_text(record.stack_info)
    # What is given as `extra` is put in later, past all that the class could say about it.
    record.__dict__ = _Masked(record.__dict__)


class _Masked(dict[str, Any]):
    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, masked_value(value))
