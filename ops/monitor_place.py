"""The files of a monitor in the folder of a shadow simulation, and whether its metrics can be had."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import time
from pathlib import Path
from typing import Any

from ..eventstore.owner import this_process
from ..projections.times import iso
from ..replay.pid_file import holder_of

MONITOR_PID, MONITOR_RESULT, MONITOR_LOG = "monitor.pid", "monitor.json", "monitor.log"
"""The file that it holds, its last result, what it says."""

_PATIENCE_SECONDS = 2.0
_LONGEST = 1024 * 1024


def this_boot() -> str:
    """This machine since its last boot: within it `time.monotonic` goes on from process to process."""
    return str(json.loads(this_process(""))["host"])


def stamped(result: dict[str, Any]) -> dict[str, Any]:
    """The result with its time, by the wall clock and by one that never jumps."""
    return {**result, "at": iso(time.time_ns() // 1000), "boot": this_boot(), "monotonic": time.monotonic()}


def save_result(folder: Path, result: dict[str, Any]) -> None:
    """Put a result in the place of the one before, whole. Raises OSError."""
    hidden = folder / f".{MONITOR_RESULT}"
    hidden.write_text(json.dumps(result, indent=2) + "\n")
    hidden.rename(folder / MONITOR_RESULT)


def last_result(folder: Path) -> tuple[dict[str, Any] | None, float | None]:
    """What the monitor found last, None if nothing that can be read; and how many seconds ago."""
    path = folder / MONITOR_RESULT
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            written, told = os.fstat(descriptor).st_mtime, json.loads(file.read(_LONGEST))
        since = time.monotonic() - float(told["monotonic"]) if told["boot"] == this_boot() else time.time() - written
        return {"state": str(told["state"]), **told}, max(since, 0.0)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None, None


def metrics_fault(folder: Path) -> str:
    """Why the metrics of the folder's monitor cannot be had, "" where they can, or no monitor tells any.

    Only addresses of this machine's loopback interface are asked, for anybody may have written the file.
    """
    try:
        holder = holder_of(folder / MONITOR_PID)
    except OSError:
        return ""
    told: Any = None if holder is None or not holder.lives else holder.told.get("metrics")
    if not isinstance(told, str):
        return ""
    host, _, port = told.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        return ""
    if not (address.is_loopback or address.is_unspecified):
        return ""
    return _asked("::1" if address.version == 6 else "127.0.0.1", number)


def _asked(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read(100_000)
    except (OSError, http.client.HTTPException) as error:
        return f"the monitor's metrics do not answer: {json.dumps(str(error))[:100]}"
    finally:
        connection.close()
    return "" if b"\nrefold_shadow_mismatches " in text else "what answers there are not the monitor's metrics"
