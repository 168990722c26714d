"""Outputs that are full, closed or read by nobody: no traceback, and what happened keeps its meaning."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from refold.tests.cli.driver import COMMAND, Done, Refold

PATIENCE_SECONDS = 60


def shell(words: str, streams: str) -> Done:
    """The command line with its streams redirected as a shell does it."""
    line = f"{shlex.join(COMMAND)} {words} {streams}"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("streams", [">/dev/full", ">&-"])
@pytest.mark.parametrize("words", ["list --json", "show a", "events a --json", "skills", "--help", "--version"])
def test_an_output_that_cannot_be_written_is_told_in_one_line(refold: Refold, words: str, streams: str) -> None:
    refold("run", "hello.json", "--run-id", "a")
    done = shell(words, streams)
    assert done.code == 1
    assert done.err.count("the output cannot be written: ") == 1
    assert len(done.err.splitlines()) == 1, done.err


@pytest.mark.parametrize("streams", [">/dev/full", ">&-"])
@pytest.mark.parametrize("options", ["", "--json"])
def test_a_run_whose_result_cannot_be_written_is_completed(refold: Refold, streams: str, options: str) -> None:
    done = shell(f"run hello.json --run-id a {options}", streams)
    assert done.code == 1
    assert "the output cannot be written: " in done.err and "the run is completed. See: refold show a" in done.err
    assert "Traceback" not in done.err and "Exception ignored" not in done.err
    assert refold("show", "a", "--json").lines[0]["status"] == "completed"
    assert refold("verify", "a").code == 0


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_without_stderr_all_goes_on(refold: Refold, streams: str) -> None:
    done = shell("run hello.json --run-id a", streams)
    assert done.code == 0 and done.out.startswith("completed")
    assert shell("show nobody", streams) == Done(2, "", "")
    assert shell("run hello.json --run-id b --json", f">&- {streams}").code == 1
    assert refold("show", "b", "--json").lines[0]["status"] == "completed"


def test_a_closed_stdin_is_told_as_what_cannot_be_read(refold: Refold) -> None:
    done = shell("run -", "<&-")
    assert done.code == 2 and "the spec cannot be read" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", ["--help", "run --help", "--version", ""])
def test_help_that_nobody_reads_is_no_fault(words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *words.split()], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
