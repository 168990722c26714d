"""`refold serve` as a process: what it refuses, how it ends, and a walk with workers that are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from refold.tests.api.client import ECHO, WAIT

PATIENCE_SECONDS = 60

SKILLS = '''
import os, time
from refold import skill

@skill
def gate(folder: str) -> dict:
    """Say that it runs, and wait until somebody opens the gate."""
    open(f"{folder}/waiting", "w").close()
    while not os.path.exists(f"{folder}/open"):
        time.sleep(0.01)
    return {"passed": True}
'''

GATED = {
    "workflow_type": "gated",
    "steps": [
        {"step_id": "first", "skill_id": "hash", "inputs": {"n": 1}},
        {"step_id": "gate", "skill_id": "gate", "inputs": {"folder": "."}, "depends_on": ["first"]},
        {"step_id": "last", "skill_id": "echo", "inputs": {"passed": "${gate.passed}"}},
    ],
}

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts commands in an empty folder with `mine.py`; those still there at the end are killed."""
    (tmp_path / "mine.py").write_text(SKILLS)
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, **settings: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "refold", *words],
            cwd=tmp_path,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def listening(process: subprocess.Popen[str]) -> str:
    """The URL that the server says it listens on."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate(timeout=PATIENCE_SECONDS)[1]
    return json.loads(line)["listening"] if line.startswith("{") else line.removeprefix("listening on ").strip()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err


def eventually(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"did not come: {what}"
        time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'walk.db'}"


def test_a_run_started_over_http_survives_its_worker_and_is_proved(start: Start, database: str, tmp_path: Path) -> None:
    server = start("serve", "--port", "0", "--json", REFOLD_DATABASE_URL=database)
    with httpx2.Client(base_url=listening(server), timeout=90) as client:
        made = client.post("/v1/runs", json={"spec": GATED, "run_id": "walk"})
        assert made.status_code == 201 and made.json()["status"] == "queued"
        first = start("worker", "--skills", "mine.py", REFOLD_DATABASE_URL=database)
        eventually((tmp_path / "waiting").exists, "the first worker executes the gate")
        assert client.get("/v1/runs/walk").json()["held"]
        first.kill()
        first.wait()
        assert [worker["lost"] for worker in client.get("/v1/workers").json()["workers"]] == [True]
        assert client.get("/v1/runs/walk").json()["unserved"] == "no worker on queue default"
        (tmp_path / "waiting").unlink()
        start("worker", "--skills", "mine.py", REFOLD_DATABASE_URL=database)
        eventually((tmp_path / "waiting").exists, "the second worker takes the run over")
        (tmp_path / "open").touch()
        result = client.get("/v1/runs/walk/result", params={"wait": 60})
        assert result.status_code == 200 and result.json()["output"] == {"last": {"passed": True}}
        topics = [event["topic"] for event in client.get("/v1/runs/walk/events").json()["events"]]
        assert topics == ["run.started", *["step.completed"] * 3, "run.completed"]
        assert client.post("/v1/runs/walk/verify").json()["ok"]
    server.send_signal(signal.SIGTERM)
    assert ended(server) == (0, "", "")


def test_a_second_server_on_the_same_database_serves_the_same_runs(start: Start) -> None:
    urls = [listening(start("serve", "--port", "0")) for _ in range(2)]
    made = httpx2.post(f"{urls[0]}/v1/runs", json={"spec": WAIT, "run_id": "r"})
    assert made.status_code == 201
    assert httpx2.post(f"{urls[1]}/v1/runs", json={"spec": WAIT, "run_id": "r"}).status_code == 200
    assert httpx2.post(f"{urls[1]}/v1/runs/r/cancel", json={}).json()["status"] == "cancelled"
    assert httpx2.get(f"{urls[0]}/v1/runs/r/result").status_code == 200


def test_whoever_waits_for_a_result_is_answered_when_the_server_is_stopped(start: Start) -> None:
    server = start("serve", "--port", "0")
    url = httpx2.URL(listening(server))
    httpx2.post(url.join("/v1/runs"), json={"spec": ECHO, "run_id": "r", "inputs": {"text": "hi"}})
    with socket.create_connection((url.host, url.port or 0), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(b"GET /v1/runs/r/result?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # The server reads what comes in its order: once this is answered, the other one is under way.
        assert httpx2.get(url.join("/health")).status_code == 200
        server.send_signal(signal.SIGTERM)
        assert connection.recv(100).startswith(b"HTTP/1.1 202 ")
    assert ended(server) == (0, "", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "no-such-host.invalid", "a b"])
def test_a_host_that_others_can_reach_is_refused(start: Start, tmp_path: Path, host: str) -> None:
    code, out, err = ended(start("serve", "--host", host, "--port", "0"))
    assert (code, out) == (2, "")
    assert "loopback" in err or "is not known" in err
    assert not (tmp_path / "refold.db").exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_loopback_hosts_are_served(start: Start, host: str) -> None:
    url = listening(start("serve", "--host", host, "--port", "0"))
    assert url.startswith("http://127.0.0.1:")
    assert httpx2.get(f"{url}/health").json()["status"] == "healthy"


def test_a_port_that_is_taken_is_told_in_one_line(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, out, err = ended(start("serve", "--port", str(other.getsockname()[1])))
    assert (code, out, err.count("\n")) == (2, "", 1) and "cannot be had" in err


def test_without_a_database_there_is_no_server(start: Start) -> None:
    code, out, err = ended(start("serve", "--port", "0", REFOLD_DATABASE_URL="postgresql://u:secret@127.0.0.1:1/x"))
    assert (code, out) == (5, "") and "secret" not in err
