"""Errors as the command line tells them: one message on stderr, an object on stdout with `--json`, an exit code."""

from __future__ import annotations

import asyncio
import os
import re
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from ...compose import database_url
from ...core import errors
from ...core.errors import InvalidError, RefoldError
from ...core.runtime.masked_logs import masked_text
from .output import plain, write_json
from .streams import ReaderGoneError, UnwritableError, note

OK, FAILED, INVALID, DIVERGED, BROKEN, UNREACHABLE, REFUSED = range(7)
"""Exit codes: done; the run failed or we did; the call is wrong; a replay differs; stored bytes were altered; no
database; something stands in the way that the call cannot change."""

_EXIT_CODES: tuple[tuple[type[RefoldError], int], ...] = (
    (errors.InvalidError, INVALID),
    (errors.KeyNotFoundError, INVALID),
    (errors.RunNotFoundError, INVALID),
    (errors.RunConflictError, INVALID),
    (errors.AddressRefusedError, REFUSED),
    (errors.RunOwnedError, REFUSED),
    (errors.RunEndedError, REFUSED),
    (errors.ApprovalError, REFUSED),
    (errors.QueryUnansweredError, REFUSED),
    (errors.JobNotFoundError, INVALID),
    (errors.JobConflictError, REFUSED),
    (errors.PolicyViolationError, REFUSED),
    (errors.OwnershipLostError, REFUSED),
    (errors.DataKeyError, INVALID),
    (errors.DataErasedError, REFUSED),
    (errors.StoreUnreachableError, UNREACHABLE),
    (errors.StoreRefusedError, REFUSED),
    (errors.GoldenStoreError, UNREACHABLE),
    (errors.IntegrityError, BROKEN),
    (errors.ReplayDivergenceError, DIVERGED),
)


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Tell what went wrong with the command that `arguments` stand for, and return the exit code.

    Secrets of the database's URL are left out, wherever they may turn up. What is no RefoldError is our own fault: its
    traceback is shown when REFOLD_TRACEBACK is set.
    """
    hide = Hidden(arguments)
    if os.environ.get("REFOLD_TRACEBACK"):
        note(hide("".join(traceback.format_exception(error))))
    told = _as_json(error)
    note(hide(_told(told)))
    if "--json" in arguments:
        with suppress(ReaderGoneError, UnwritableError):  # the message was told, and the exit code is to come
            write_json({"error": _deep(hide, told)})
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), FAILED)


def _as_json(error: BaseException) -> dict[str, Any]:
    code = error.code if isinstance(error, RefoldError) else RefoldError.code
    problems = error.problems if isinstance(error, InvalidError) else ()
    message = str(error)
    if isinstance(error, asyncio.CancelledError | SystemExit):
        message = f"the run was cut off from within ({type(error).__name__}); go on with: refold resume ID"
    elif not isinstance(error, RefoldError | UnwritableError):
        message = f"{type(error).__name__}: {message} (a fault in Refold; REFOLD_TRACEBACK=1 shows where)"
    where = " ".join(getattr(error, "__notes__", ()))
    return {
        "code": code,
        "message": f"{where}: {message}" if where else message,
        "problems": [problem._asdict() for problem in problems],
    }


def _told(told: dict[str, Any]) -> str:
    problems: list[dict[str, str]] = told["problems"]
    if len(problems) < 2:
        return f"error [{told['code']}]: {plain(told['message'])}"
    lines = [f"error [{told['code']}]: {len(problems)} problems"]
    for problem in problems:
        lines.append(f"  {plain(problem['pointer']) or '(whole)'}: {plain(problem['reason'])}")
        if problem["fix"]:
            lines.append(f"      fix: {plain(problem['fix'])}")
    return "\n".join(lines)


_PASSWORD = re.compile(r"(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)
"""A password among parameters, as libpq writes them."""


class Hidden:
    """Replaces the password of the database's URL, as it stands there and as it reads, by three asterisks, and secrets
    of steps by their names.

    The URL is the one that stands among `arguments`, or the default one.
    """

    def __init__(self, arguments: Sequence[str]):
        words = [part for word in arguments for part in (word, word.partition("=")[2])]
        secrets = {secret for url in (database_url(), *words) for secret in secrets_of(url)}
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _PASSWORD.sub(r"\1***", masked_text(text))


def secrets_of(url: str) -> set[str]:
    """What of `url` must not be shown: the password before the host or among the parameters, quoted or not."""
    found = re.findall(r"^\w+:(?://)?[^/?#]*?:(.*)@", url) + re.findall(r"[?&](?:ssl)?password=([^&#]*)", url)
    if "://" not in url:
        found += [secret for _, secret in _PASSWORD.findall(url)]
    return {form for secret in found for form in (secret, unquote(secret)) if form}


def _deep(hide: Hidden, value: Any) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: _deep(hide, item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return [_deep(hide, item) for item in value]
