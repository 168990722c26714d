"""Each example of the gallery is killed in the middle, and another process finishes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from refold import open_store
from refold.core.events import RunParked
from refold.tests.support.root_package import ROOT
from refold.tests.support.workflows import events_of, topics_of

REFOLD = [sys.executable, "-P", "-m", "refold"]
DEADLINE_SECONDS = 60


class Case(NamedTuple):
    """An example, after which event it is killed, what is sent to it then or who grants it, and how it ends."""

    file: str
    workflow: str
    inputs: dict[str, Any]
    killed_after: int
    status: str
    output: Any
    signal: tuple[str, Any] | None = None
    granted_by: str | None = None


CASES = [
    Case("saga", "trip", {"sold_out": "car"}, 5, "failed", None),
    Case(
        "decision",
        "expense",
        {"who": "A", "cents": 1},
        3,
        "completed",
        "refused",
        ("decision", {"approved": False, "by": "B"}),
    ),
    Case(
        "purchase",
        "purchase",
        {"item": "lathe", "cents": 1},
        3,
        "completed",
        "lathe for 0.01, approved by bob",
        granted_by="bob",
    ),
    Case("fan_out", "primes", {}, 400, "completed", {"parts": 1_000, "primes": 9_592}),
    Case(
        "agent",
        "agent",
        {"goal": "buy a lamp"},
        6,
        "completed",
        "buy a lamp: paid 2975, r:pay#6",
        ("approval", {"approved": True}),
    ),
    Case("report", "report", {"day": "2026-01-01"}, 2, "completed", "reports/2026-01-01: 70 orders"),
    Case("children", "order", {}, 4, "completed", ["north: lamp", "south: chair, table", "west: rug"]),
    Case("trial", "trial", {"customer": "ada"}, 3, "completed", "yearly", ("upgrade", "yearly")),
    Case("versioning", "invoice", {}, 3, "completed", "1125 paid", ("paid", None)),
]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the test's own, which the commands find by themselves."""
    url = f"sqlite:///{tmp_path}/refold.db"
    monkeypatch.setenv("REFOLD_DATABASE_URL", url)
    monkeypatch.delenv("RELEASE", raising=False)
    return url


def refold(*words: str, release: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    settings = {**os.environ, **({} if release is None else {"RELEASE": release})}
    return subprocess.run([*REFOLD, *words], cwd=ROOT, env=settings, capture_output=True, text=True, timeout=100)


def file_of(case: Case) -> str:
    """The example's file, as a user names it."""
    return f"examples/gallery/{case.file}.py"


def killed(case: Case, url: str, release: str | None = None) -> None:
    """Begin the run `r` in a process that dies after so many events."""
    child = [sys.executable, "-P", "-m", "refold.tests.support.gallery_child", url, file_of(case), case.workflow, "r"]
    settings = {**os.environ, **({} if release is None else {"RELEASE": release})}
    command = [*child, json.dumps(case.inputs), str(case.killed_after)]
    died = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=100)
    assert died.returncode == -signal.SIGKILL, died.stderr


def shown(run_id: str = "r") -> dict[str, Any]:
    """The result of a run, as the command line shows it."""
    return json.loads(refold("show", run_id, "--json").stdout)


def check_ended(case: Case) -> None:
    """The run has ended as it should, and its log proves it."""
    result = shown()
    assert (result["status"], result["output"]) == (case.status, case.output), result
    assert refold("verify", "--all").returncode == 0
    again = refold("replay", "r", "--skills", file_of(case))
    assert again.returncode == 0 and again.stdout.startswith("equal"), again.stdout + again.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_a_killed_example_is_finished_by_another_process(case: Case, url: str) -> None:
    killed(case, url)
    with closing(open_store(url)) as store:
        before = events_of(store, "r")
        assert len(before) >= case.killed_after and "run.completed" not in topics_of(store, "r")
    if case.signal is not None:
        name, payload = case.signal
        assert refold("signal", "r", name, "--payload", json.dumps(payload)).returncode == 0
    if case.granted_by is not None:
        assert refold("approvals", "grant", "r", "--by", case.granted_by).returncode == 0
    inputs = json.dumps(case.inputs)
    again = refold("run", case.workflow, "--skills", file_of(case), "--run-id", "r", "--inputs", inputs)
    assert again.returncode == (0 if case.status == "completed" else 1), again.stdout + again.stderr
    with closing(open_store(url)) as store:
        assert events_of(store, "r")[: len(before)] == before, "what was recorded stays as it was"
    check_ended(case)


@contextmanager
def worker(file: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as a process; killed at the end."""
    process = subprocess.Popen([*REFOLD, "worker", "--skills", file], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for another process to bring something about."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.file in ("trial", "children")], ids=lambda case: case.file
)
def test_a_killed_worker_is_replaced_by_another(case: Case, url: str) -> None:
    with closing(open_store(url)) as store:
        started = refold("start", case.workflow, "--run-id", "r", "--inputs", json.dumps(case.inputs))
        assert started.returncode == 0, started.stderr
        with worker(file_of(case)):
            wait_for(lambda: len(topics_of(store, "r")) >= case.killed_after)
        if case.signal is not None:
            refold("signal", "r", case.signal[0], "--payload", json.dumps(case.signal[1]))
        with worker(file_of(case)):
            wait_for(lambda: "run.completed" in topics_of(store, "r"))
            if case.file == "children":  # workers also finish what nobody waits for
                wait_for(lambda: "run.completed" in topics_of(store, "r~1"))
    check_ended(case)


INVOICE = CASES[-1]


def test_a_run_of_old_code_is_parked_by_code_that_forgot_it_and_goes_on_with_code_that_did_not(url: str) -> None:
    killed(INVOICE, url, release="1")
    forgot = refold("resume", "r", "--skills", file_of(INVOICE), release="2")
    assert forgot.returncode == 1 and forgot.stdout.startswith("parked")
    assert "refold resume r --skills examples/gallery/versioning.py" in forgot.stdout
    with closing(open_store(url)) as store:
        parked = events_of(store, "r")[-1]
    assert isinstance(parked, RunParked)
    assert (
        "event 3 recorded wait_signal at path 1 (step.waiting); the code asks for discount at path 1" in parked.message
    )
    assert "patched" in parked.message and "gallery/versioning.py:" in parked.message
    refold("signal", "r", "paid")
    gone_on = refold("resume", "r", "--skills", file_of(INVOICE), release="3")
    assert gone_on.returncode == 0, gone_on.stdout + gone_on.stderr
    assert shown()["output"] == "1250 paid", "no discount was promised when it began"
