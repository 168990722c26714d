"""Looking at the folder of a shadow simulation, whatever lies there, and cron-check."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from refold.replay import shadow_sanity
from refold.replay.shadow_book import PID, RECORDS, SUMMARY
from refold.replay.shadow_look import LONGEST_LINE, look
from refold.replay.shadow_sanity import health_of, sanity
from refold.tests.cli.driver import Refold
from refold.tests.support.shadow_folders import add_cycle, book_of


def test_a_simulation_is_running_as_long_as_somebody_holds_its_folder(refold: Refold, folder: Path) -> None:
    book = book_of(folder / "kept")
    (told,) = refold("shadow", "status", "--folder", "kept", "--json").lines
    assert (told["state"], told["cycles"], told["workflows"], told["mismatches"]) == ("running", 2, 6, 0)
    assert told["pid"] == os.getpid() and told["age_seconds"] < 60
    sane = refold("shadow", "sanity", "--folder", "kept", "--json")
    assert [each["name"] for each in sane.lines[:5]] == ["process", "mismatches", "disk", "activity", "metrics"]
    assert sane.code == 0 and sane.lines[5]["state"] == "HEALTHY", sane.lines
    book.close()
    dead = refold("shadow", "sanity", "--folder", "kept", "--json")
    assert dead.code == 1 and [each["state"] for each in dead.lines[:5]] == ["failed", "ok", "ok", "ok", "ok"]


def test_what_was_stopped_or_has_ended_is_told_apart_from_what_died(folder: Path) -> None:
    with closing(book_of(folder / "kept")) as book:
        book.summarise({**(look(folder / "kept").summary or {}), "state": "stopped"})
    assert look(folder / "kept").state == "stopped"
    with closing(book_of(folder / "done")) as book:
        book.add("end", {"stretch": 1})
    seen = look(folder / "done")
    assert seen.state == "ended" and health_of(sanity(seen, time.time() + 10_000)) == "HEALTHY"


def half(kept: Path) -> None:
    """A kill in the middle of a line."""
    with (kept / RECORDS).open("ab") as file:
        file.write(b'{"format":1,"type":"cyc')


def older(kept: Path) -> None:
    """A record of another release."""
    with (kept / RECORDS).open("ab") as file:
        file.write(b'{"format":2,"type":"cycle"}\n')


def hostile(kept: Path) -> None:
    """Whatever comes to mind."""
    with (kept / RECORDS).open("ab") as file:
        file.write(b"\xff\xfe\x00\n" + b"[" * 5_000 + b"\n" + b'{"format":1,"type":"cycle","at":"\x1b[2J"}\n[]\nnull\n')
        file.write(b'{"format":1,"type":"end","at":"2026-01-01"}\n{"format":1,"type":"x","at":9}\n')
    (kept / SUMMARY).write_bytes(b"\x00")
    (kept / PID).write_bytes(b'{"pid":"\xff')


def endless(kept: Path) -> None:
    """A line that no memory has room for."""
    with (kept / RECORDS).open("ab") as file:
        file.write(b"x" * (2 * LONGEST_LINE) + b"\n")


def piped(kept: Path) -> None:
    """Pipes, which nobody writes to."""
    for name in (RECORDS, PID, SUMMARY):
        (kept / name).unlink()
        os.mkfifo(kept / name)


@pytest.mark.parametrize(("spoil", "bad"), [(half, 0), (older, 1), (hostile, 7), (endless, 1), (piped, 1)])
def test_whatever_lies_there_is_told_in_clear_words(
    refold: Refold, folder: Path, spoil: Callable[[Path], None], bad: int
) -> None:
    book_of(folder / "kept").close()
    spoil(folder / "kept")
    (told,) = refold("shadow", "status", "--folder", "kept", "--json").lines
    assert told["unreadable_lines"] == bad and told["state"] == "dead"
    assert told["cycles"] == (0 if spoil is piped else 2)
    for words in (("status",), ("sanity",), ("debug", "full"), ("debug", "full", "--json"), ("monitor", "check")):
        done = refold("shadow", *words, "--folder", "kept")
        assert done.code == {"status": 0, "debug": 0}.get(words[0], 1), done
        assert "fault in Refold" not in done.err and "\x1b[2J" not in done.out + done.err
    mismatches = refold("shadow", "sanity", "--folder", "kept", "--json").lines[1]
    assert mismatches["state"] == ("failed" if bad else "ok"), "what cannot be read does not count as equal"


def test_a_folder_that_is_not_there_is_said_to_be_missing(refold: Refold) -> None:
    assert refold("shadow", "status", "--folder", "none").code == 2
    assert refold("shadow", "debug", "full", "--folder", "none").code == 2
    assert refold("shadow", "monitor", "start", "--folder", "none").code == 2
    done = refold("shadow", "sanity", "--folder", "none")
    assert done.code == 1 and "there is no folder" in done.out


def test_a_log_without_news_a_disk_that_fills_and_a_clock_set_back_are_warnings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(book_of(folder / "kept")):
        seen, now = look(folder / "kept"), time.time()
        assert health_of(sanity(seen, now)) == "HEALTHY"
        assert [each.name for each in sanity(seen, now + 601) if each.state == "warning"] == ["activity"]
        assert health_of(sanity(seen, now + 601, age=1.0)) == "HEALTHY", "a clock that jumps has fooled it"
        back = sanity(seen, now - 7200)
        assert health_of(back) == "WARNING" and "set back" in back[3].detail
        for used, health in ((89, "HEALTHY"), (91, "WARNING"), (100, "CRITICAL")):
            blocks = SimpleNamespace(
                f_frsize=2**20, f_blocks=10_000, f_bfree=10_000 - 100 * used, f_files=10, f_favail=1
            )
            blocks.f_bavail = blocks.f_bfree
            monkeypatch.setattr(shadow_sanity.os, "statvfs", lambda _path, told=blocks: told)
            assert health_of(sanity(seen, now)) == health


def test_cron_check_is_silent_until_something_is_wrong_and_then_tells_syslog(refold: Refold, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog, closing(book_of(folder / "kept")) as book:
        syslog.bind("log")
        syslog.settimeout(30)
        done = refold("shadow", "cron-check", "--folder", "kept", "--syslog", "log")
        assert (done.code, done.out, done.err) == (0, "", "")
        add_cycle(book, 3, "fold is broken\nsecond line")
        done = refold("shadow", "cron-check", "--folder", "kept", "--syslog", "log")
        assert (done.code, done.out, done.err) == (1, "", "")
        packet = syslog.recv(4096).decode()
    priority, _, text = packet.partition(">")
    assert int(priority[1:]) % 8 == 3 and text.startswith("refold[") and "\n" not in text
    assert "CRITICAL: mismatches" in text and "cycle-000003/chain" in text


def test_cron_check_gives_up_on_what_does_not_come_to_an_end(refold: Refold, folder: Path) -> None:
    book_of(folder / "kept").close()
    os.truncate(folder / "kept" / RECORDS, 2**42)
    done = refold("shadow", "cron-check", "--folder", "kept", "--limit", "1", "--syslog", "none")
    assert done.code == 1 and "within 1 s" in done.err
