"""The monitor of a shadow simulation: real processes, real signals, a real receiver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from refold.core.webhook_signing import secret_text
from refold.ops.monitor_place import MONITOR_PID, MONITOR_RESULT
from refold.ops.shadow_monitor import LogAge
from refold.replay.shadow_look import look
from refold.tests.cli.driver import Refold
from refold.tests.support.shadow_folders import add_cycle, book_of
from refold.tests.support.sink import sink


@pytest.fixture(autouse=True)
def nothing_is_left(folder: Path) -> Iterator[None]:
    """No monitor outlives its test."""
    yield
    told = folder / "kept" / MONITOR_PID
    pid = json.loads(told.read_text())["pid"] if told.exists() else 0
    if pid and psutil.pid_exists(pid) and "monitor" in psutil.Process(pid).cmdline():
        os.kill(pid, signal.SIGKILL)


def test_a_change_of_state_and_nothing_else_is_told_once_and_signed(
    refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secret_text(b"s" * 32)
    monkeypatch.setenv("REFOLD_WEBHOOK_SECRET", secret)
    with sink() as receiver, closing(book_of(folder / "kept")) as book:
        receiver.answer(500, 204)
        words = ("--interval", "0.1", "--webhook", receiver.url(), "--metrics", "127.0.0.1:0")
        (told,) = start(refold, *words)
        healthy = result(folder)["at"]
        until(lambda: result(folder)["at"] != healthy, "another look")
        assert not receiver.taken, "it is healthy, as expected"
        add_cycle(book, 3, "fold is broken")
        until(lambda: result(folder)["told"] == "CRITICAL", "the webhook to be told")
        before = result(folder)["at"]
        until(lambda: result(folder)["at"] != before, "another look")
        first, again = receiver.taken
        assert first.id == again.id and again.is_signed_with(secret), "the first try got 500"
        assert (again.json["from"], again.json["to"]) == ("HEALTHY", "CRITICAL")
        assert [each["name"] for each in again.json["checks"]] == ["mismatches"]
        at = json.loads((folder / "kept" / MONITOR_PID).read_text())["metrics"]
        with urllib.request.urlopen(f"{at}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        assert {"refold_shadow_up 1.0", "refold_shadow_mismatches 1.0"} <= set(lines)
        assert any(line.startswith("refold_shadow_log_age_seconds ") for line in lines)
        for disk in ("refold_disk_free_ratio", "refold_disk_free_bytes"):
            assert any(line.startswith(f'{disk}{{folder="shadow"}} ') for line in lines), "DiskFull asks for both"
        assert refold("shadow", "sanity", "--folder", "kept", "--json").lines[4]["state"] == "ok"
        status = refold("shadow", "monitor", "status", "--folder", "kept", "--json")
        assert status.code == 1 and status.lines[0]["state"] == "CRITICAL" and status.lines[0]["running"]
        assert refold("shadow", "monitor", "stop", "--folder", "kept", "--json").lines[0]["stopped"] == told["pid"]
        start(refold, *words)
        until(
            lambda: result(folder)["at"] != before and result(folder)["pid"] != told["pid"], "the next monitor's look"
        )
        assert len(receiver.taken) == 2, "what had been told is told again by the next monitor"
        refold("shadow", "monitor", "stop", "--folder", "kept")


def test_a_killed_monitor_is_started_again_and_never_taken_for_another_process(refold: Refold, folder: Path) -> None:
    book_of(folder / "kept").close()
    (told,) = start(refold, "--interval", "60")
    assert refold("shadow", "monitor", "start", "--folder", "kept").code == 6, "two watch one folder"
    os.kill(told["pid"], signal.SIGKILL)
    until(lambda: not running(refold), "the end of the monitor")
    # The number is used again, by somebody who has nothing to do with it.
    with subprocess.Popen(["sleep", "600"]) as other:
        place = folder / "kept" / MONITOR_PID
        place.write_text(json.dumps({**json.loads(place.read_text()), "pid": other.pid}))
        assert not running(refold)
        assert refold("shadow", "monitor", "stop", "--folder", "kept").code == 0
        (again,) = start(refold, "--interval", "60")
        assert running(refold) and again["pid"] not in (told["pid"], other.pid)
        assert refold("shadow", "monitor", "stop", "--folder", "kept").code == 0
        assert other.poll() is None, "a process that is no monitor was ended"
        other.kill()


def test_what_keeps_a_monitor_from_watching_is_told_at_once(refold: Refold, folder: Path) -> None:
    book_of(folder / "kept").close()
    for words in (("--metrics", "nowhere"), ("--metrics", "127.0.0.1:99999"), ("--webhook", "ftp://example.com/")):
        done = refold("shadow", "monitor", "start", "--folder", "kept", *words)
        assert done.code in (1, 6) and done.err.count("\n") == 1, done
    assert not running(refold)


def test_a_clock_that_jumps_changes_no_age(folder: Path) -> None:
    with closing(book_of(folder / "kept")) as book:
        age, now = LogAge(), time.time()
        assert age.of(look(folder / "kept"), now + 5, 1000.0) < 60
        assert age.of(look(folder / "kept"), now + 90_000, 1010.0) < 70, "a day ahead"
        assert 300 < age.of(look(folder / "kept"), now - 90_000, 1310.0) < 370, "a day back"
        add_cycle(book, 3)
        assert age.of(look(folder / "kept"), now + 90_000, 1320.0) <= 10, "it has grown since the look before"


def start(refold: Refold, *words: str) -> list[dict[str, Any]]:
    """Start the monitor; what it says."""
    done = refold("shadow", "monitor", "start", "--folder", "kept", "--json", *words)
    assert done.code == 0, done.err
    return done.lines


def running(refold: Refold) -> bool:
    """Whether a monitor runs, as it is told."""
    return refold("shadow", "monitor", "status", "--folder", "kept", "--json").lines[0]["running"]


def result(folder: Path) -> dict[str, Any]:
    """The monitor's last result."""
    return json.loads((folder / "kept" / MONITOR_RESULT).read_text())


def until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition."""
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, f"waited in vain for {what}"
        time.sleep(0.05)
