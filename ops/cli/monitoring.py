"""`refold shadow monitor`."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import NamedTuple

from rich.text import Text

from ...core.addresses import parse_url
from ...core.checks import Check
from ...core.errors import CallError, Problem, RefoldError, RunOwnedError
from ...replay.pid_file import Holder, PidFile, holder_of
from ...replay.shadow_sanity import health_of
from ..loopback import url_of
from ..monitor_place import MONITOR_LOG, MONITOR_PID, last_result
from ..settings import webhook_secret
from .checks_told import tell_checks
from .faults import FAILED, OK
from .output import console, duration, plain, write_json
from .shadow_looking import checked, seen_in
from .signals import run_until_drained
from .streams import note

WEBHOOK = "REFOLD_SHADOW_WEBHOOK"
"""The environment variable that names the URL to be told of changes, which may be a secret."""

_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.05


class MonitorWords(NamedTuple):
    """What `monitor start` was given."""

    folder: str
    interval: float
    stale: float
    webhook: str | None
    metrics: str | None
    foreground: bool


def start(words: MonitorWords, json: bool) -> int:
    """Start a monitor, or be it; returns the exit code."""
    folder = seen_in(words.folder).folder
    url = words.webhook or os.environ.get(WEBHOOK) or None
    secret = webhook_secret()
    if url is not None:
        parse_url(url)
    if words.foreground:
        return _be(folder, words, url, secret)
    holder = _holder(folder)
    if holder is not None and holder.lives:
        raise RunOwnedError(f"a monitor watches {folder} already: pid {holder.pid} on {holder.host}")
    pid = _started(folder, words, url)
    if json:
        write_json({"folder": str(folder), "pid": pid, "interval_seconds": words.interval})
    else:
        console().print(f"monitor {pid} watches {plain(str(folder))} every {words.interval:g} s", soft_wrap=True)
    return OK


def _started(folder: Path, words: MonitorWords, url: str | None) -> int:
    """Start the process, and wait for its first look. Raises RefoldError with what it said if there was none."""
    given = ["--folder", str(folder), "--interval", str(words.interval), "--stale", str(words.stale)]
    given += ["--metrics", words.metrics] if words.metrics else []
    command = [sys.executable, "-P", "-m", "refold", "shadow", "monitor", "start", "--foreground", *given]
    environment = {name: value for name, value in os.environ.items() if name != WEBHOOK}
    if url is not None:
        environment[WEBHOOK] = url  # Everybody could read it in a command.
    try:
        with open(folder / MONITOR_LOG, "ab") as log:
            begins = log.tell()
            process = Popen(
                command, stdin=DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True, close_fds=True
            )
    except OSError as error:
        reason = f"{folder / MONITOR_LOG} cannot be written: {error.strerror}"
        raise CallError(Problem("", reason, "make room, or name another folder by --folder")) from None
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        result, _ = last_result(folder)
        if result is not None and result.get("pid") == process.pid:
            break
        time.sleep(_PAUSE_SECONDS)
    if process.poll() is None:
        # Even if it cannot write its result: it tells the webhook and /metrics nevertheless.
        process.returncode = 0  # It is to outlive us, and Popen would complain of that.
        return process.pid
    with open(folder / MONITOR_LOG, "rb") as log:
        log.seek(begins)
        said = log.read(10_000).decode(errors="replace").strip().splitlines() or ["nothing"]
    raise RefoldError(f"the monitor ended with {process.returncode}: {said[-1]}")


def _be(folder: Path, words: MonitorWords, url: str | None, secret: bytes | None) -> int:
    """Watch until a signal asks for an end."""
    from ...api.metrics_text import Metrics
    from ..metrics.server import MetricsServer, metrics_socket
    from ..monitor_metrics import MonitorMetrics
    from ..shadow_monitor import Monitor, Watch

    bound = None if words.metrics is None else metrics_socket(words.metrics)
    metrics = MonitorMetrics()
    more = {} if bound is None else {"metrics": url_of(bound)}
    try:
        held = PidFile(folder / MONITOR_PID, "monitor", more)
    except OSError as error:
        reason = f"{folder / MONITOR_PID} cannot be written: {error.strerror}"
        raise CallError(Problem("", reason, "make room, or name another folder by --folder")) from None
    monitor = Monitor(Watch(folder, words.interval, words.stale, url, secret), lambda line: note(plain(line)), metrics)
    at = f", metrics at {more['metrics']}" if more else ""
    with nullcontext() if bound is None else MetricsServer(bound, Metrics([metrics])):
        run_until_drained(
            monitor.run, monitor.stop, lambda: note(f"monitor {os.getpid()} watches {plain(str(folder))}{at}")
        )
    held.close()
    return OK


def status(folder: str, json: bool) -> int:
    """Write the monitor's last result and its age; returns the exit code."""
    path = seen_in(folder).folder
    holder, (result, age) = _holder(path), last_result(path)
    running = holder is not None and holder.lives
    state = None if result is None else result["state"]
    late = running and result is not None and (age or 0) > 2 * float(result.get("interval_seconds") or 0) + 60
    good = running and not late and state in ("HEALTHY", "WARNING")
    if json:
        about = {"folder": str(path), "running": running, "pid": holder.pid if holder is not None and running else None}
        seconds = None if age is None else round(age, 3)
        kept = ("since", "at", "told", "webhook", "interval_seconds", "stale_seconds", "checks")
        told = {name: (result or {}).get(name) for name in kept}
        write_json({**about, "state": state, "age_seconds": seconds, "late": late, **told})
        return OK if good else FAILED
    screen = console()
    what = f"monitor {holder.pid} on {holder.host} lives" if running and holder is not None else "no monitor runs"
    screen.print(Text(plain(what), "" if running else "bold red"), soft_wrap=True)
    if result is None or age is None:
        screen.print("  it has found nothing yet", soft_wrap=True)
        return FAILED
    when = f"{duration(int(age * 1_000_000))} ago{', which is late' if late else ''}"
    screen.print(plain(f"  {state} since {result.get('since')}; it looked last {when}"), soft_wrap=True)
    for each in result.get("checks") or ():
        if isinstance(each, dict) and each.get("state") != "ok":  # pyright: ignore[reportUnknownMemberType]
            screen.print(plain(f"  {each.get('name')}: {each.get('detail')}"), soft_wrap=True)  # pyright: ignore[reportUnknownMemberType]
    return OK if good else FAILED


def check(folder: str, stale: float, json: bool) -> int:
    """Look once, now; returns the exit code."""
    path = Path(folder).absolute()
    checks: list[Check] = checked(path, stale)
    state = health_of(checks)
    if not json:
        style = {"HEALTHY": "bold green", "WARNING": "bold yellow"}.get(state, "bold red")
        console().print(Text(state, style), soft_wrap=True)
    tell_checks(checks, json, {"folder": str(path), "state": state})
    return OK if state == "HEALTHY" else FAILED


def stop(folder: str, json: bool) -> int:
    """End the monitor, and wait until it has ended; returns the exit code."""
    path = seen_in(folder).folder
    holder = _holder(path)
    if holder is None or not holder.lives:
        if json:
            write_json({"folder": str(path), "stopped": None})
        else:
            note("no monitor runs")
        return OK
    if not _terminated(holder):
        raise RunOwnedError(f"the monitor is process {holder.pid} on {holder.host}: stop it there")
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while (now := _holder(path)) is not None and now.lives and now.pid == holder.pid:
        if time.monotonic() > give_up:
            raise RefoldError(f"monitor {holder.pid} does not end; at worst: kill -9 {holder.pid}")
        time.sleep(_PAUSE_SECONDS)
    if json:
        write_json({"folder": str(path), "stopped": holder.pid})
    else:
        console().print(f"monitor {holder.pid} has ended", soft_wrap=True)
    return OK


def _terminated(holder: Holder) -> bool:
    """Send SIGTERM to the process, and to no other that has its number by now; whether there was one."""
    with suppress(OSError):
        handle = os.pidfd_open(holder.pid)
        try:
            # From here on the handle cannot come to stand for another process.
            if holder.is_here:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
                return True
        finally:
            os.close(handle)
    return False


def _holder(folder: Path) -> Holder | None:
    try:
        return holder_of(folder / MONITOR_PID)
    except OSError as error:
        reason = f"{folder / MONITOR_PID} cannot be read: {error.strerror or error}"
        raise CallError(Problem("", reason, "look what lies there")) from None
