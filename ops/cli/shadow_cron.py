"""`refold shadow cron-check`: silent, or one line in syslog."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import Any

import orjson

from .faults import FAILED, OK
from .output import plain, write_json
from .streams import note

_IDENT = "refold"
_ERR_OF_DAEMON = 3 * 8 + 3
"""RFC 3164, 4.1.1: facility 3 (system daemons), severity 3 (error)."""

_MOST_BYTES = 900
"""RFC 3164, 4.1: a packet has 1,024 bytes at most."""

_SYSLOG_SECONDS = 2.0
_MOMENT_SECONDS = 2.0


def cron_check(folder: str, stale: float, limit: float, syslog: str, json: bool) -> int:
    """Look, and tell what is wrong; returns the exit code.

    Another process looks: one that waits for a disk which is gone cannot even be killed, so it is left behind.
    """
    path = Path(folder).absolute()
    words = ["shadow", "monitor", "check", "--folder", str(path), "--stale", str(stale), "--json"]
    process = Popen(
        [sys.executable, "-P", "-m", "refold", *words], stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    told: list[dict[str, Any]] = []
    try:
        out, err = process.communicate(timeout=limit)
        told = [orjson.loads(line) for line in out.splitlines()]
        trouble = _trouble(told) if told else f"it could not be looked at: {err.decode(errors='replace')}"
    except TimeoutExpired:
        _leave(process)
        trouble = f"it could not be looked at within {limit:g} s"
    except ValueError:
        trouble = "it could not be looked at: the answer makes no sense"
    if json:
        write_json({"folder": str(path), "ok": not trouble, "trouble": trouble, "checks": told[:-1]})
    if not trouble:
        return OK
    line = plain(" ".join(f"shadow {path}: {trouble}".split()))
    why = _to_syslog(syslog, line)
    if why:
        note(f"{_IDENT}: {line} (syslog: {why})")
    return FAILED


def _leave(process: Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(TimeoutExpired):
        process.wait(_MOMENT_SECONDS)


def _trouble(told: list[dict[str, Any]]) -> str:
    """What is wrong by the lines of `monitor check`; "" for nothing."""
    if told[-1].get("state") == "HEALTHY":
        return ""
    if "error" in told[-1]:
        return str(told[-1]["error"]["message"])
    bad = [each for each in told[:-1] if each["state"] != "ok"]
    bad.sort(key=lambda each: each["state"] != "failed")
    return f"{told[-1]['state']}: " + "; ".join(f"{each['name']}: {each['detail']}" for each in bad)


def _to_syslog(address: str, line: str) -> str:
    """Write the line as syslogd takes it from a local process; says why it could not be, "" if it could."""
    packet = f"<{_ERR_OF_DAEMON}>{_IDENT}[{os.getpid()}]: ".encode() + line.encode()[:_MOST_BYTES]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # A syslog that takes nothing must not keep us for ever.
            sender.settimeout(_SYSLOG_SECONDS)
            sender.connect(address)
            sender.send(packet)
    except (OSError, ValueError) as error:
        return (isinstance(error, OSError) and error.strerror) or str(error)
    return ""
