"""Owners of leases: a process of this host that has ended is known to be dead; nobody else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refold.eventstore import owner
from refold.eventstore.owner import is_dead, this_process

ASK = "from refold.eventstore.owner import this_process; print(this_process('child'), flush=True); input()"


@pytest.fixture
def child() -> Any:
    """A process, and its name as an owner."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_the_process_that_asks_is_alive() -> None:
    assert not is_dead(this_process("me"))


def test_two_engines_of_one_process_have_two_names() -> None:
    assert this_process("a") != this_process("b")


def test_a_process_is_alive_until_it_has_ended(child: Any) -> None:
    process, name = child
    assert not is_dead(name)
    process.kill()
    process.wait()
    assert is_dead(name)


def test_a_zombie_is_dead(child: Any) -> None:
    process, name = child
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(name)


def test_another_process_of_the_same_number_does_not_count() -> None:
    name = json.loads(this_process("me"))
    assert is_dead(json.dumps({**name, "start": name["start"] - 1}))


@pytest.mark.parametrize(
    "change", [{"host": "elsewhere"}, {"pid": "7"}, {"pid": None}, {"pid": 2**80}, {"pid": True}], ids=str
)
def test_what_cannot_be_known_is_not_dead(change: dict[str, Any]) -> None:
    assert not is_dead(json.dumps({**json.loads(this_process("me")), **change}))


@pytest.mark.parametrize("name", ["", "worker-7", "null", "[]", "{}", '"x"', '{"host":1}', "{", "\0"])
def test_a_name_that_is_none_of_ours_is_not_dead(name: str) -> None:
    assert not is_dead(name)


def test_a_process_that_proc_hides_is_not_dead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With hidepid, /proc shows nobody else's processes."""
    monkeypatch.setattr(owner, "_host", lambda: "here")
    name = this_process("me")
    monkeypatch.setattr(owner, "_PROC", tmp_path)
    assert not is_dead(name)


def test_without_proc_a_process_is_known_by_its_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: Any
) -> None:
    process, _ = child
    monkeypatch.setattr(owner, "_PROC", tmp_path)
    name = {**json.loads(this_process("me")), "pid": process.pid}
    assert name["start"] is None
    assert not is_dead(json.dumps(name))
    process.kill()
    process.wait()
    assert is_dead(json.dumps(name))
