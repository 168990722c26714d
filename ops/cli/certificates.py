"""`refold certificate verify`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from rich.text import Text

from ...core.errors import CallError, Problem, StoreUnreachableError
from ...replay.certificate import MOST_BYTES, Checked, check_certificate
from .faults import BROKEN, OK
from .output import console, plain, write_json
from .reading import existing_store, missing_file


def verify_certificate(path: str, key: str | None, log: bool, database: str | None, json: bool) -> int:
    """Write the verdict on a certificate; returns the exit code."""
    from ...replay.signing_keys import VerifierKey

    data = _read(path)
    verifier = None if key is None else VerifierKey.load(key)
    if log and (missing := missing_file(database)) is not None:
        raise StoreUnreachableError(f"there is no database {missing}")
    with ExitStack() as opened:
        store = opened.enter_context(existing_store(database)) if log else None
        checked = check_certificate(data, verifier, store)
    good = checked.ok or (key is None and checked.standing == "unsigned")
    if json:
        write_json({**checked.to_json(), "ok": good})
    else:
        _tell(checked, good, log)
    return OK if good else BROKEN


def _tell(checked: Checked, good: bool, log: bool) -> None:
    word = checked.standing.replace("_", " ")
    style = "bold green" if checked.ok else "bold yellow" if good else "bold red"
    console().print(Text(word, style).append(f"  {plain(checked.reason)}", "not bold default"), soft_wrap=True)
    body: Any = checked.body
    if body is None:
        return
    about = body["log"]
    held = ", and this database has that event" if log and good else ""
    rows = {
        "log": f"{about['kind']}, tenant {about['tenant']}, up to position {about['position']}{held}",
        "code": f"{body['code']['program']}, build {body['code']['build'] or '-'}",
        "proofs": ", ".join(body["proofs"]),
        "runs": ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in body["verdicts"].items() if number),
        "digest": body["digest"],
    }
    for name, told in rows.items():
        console().print(Text(f"  {name:<8} ", "dim").append(plain(str(told)), "not dim"), soft_wrap=True)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        fix = "write one by: refold replay --all --certificate FILE"
        raise CallError(Problem("", f"the certificate {path} cannot be read: {error.strerror}", fix)) from None
