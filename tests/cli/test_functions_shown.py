"""What the command line shows and does of runs of functions: queries, pictures, attributes, and `refold dev`."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refold.tests.cli.driver import Refold, start

PATIENCE_SECONDS = 60

TRIP = """
from refold import gather, run_workflow, set_attribute, set_query, skill, wait_signal, workflow

@skill
async def look(where: str) -> str:
    return f"seen {where}"

@workflow
async def child(where: str) -> str:
    return await look(where)

@workflow("trip", version="2")
async def trip(where: str = "Rome", vip: bool = False) -> list[str]:
    set_attribute("where", where)
    set_attribute("vip", vip)
    asked = []
    set_query("status", lambda shout=False: "WAITING" if shout else {"asked": asked})
    seen = await gather(look(where), look(where + " again"), run_workflow(child, {"where": "home"}))
    asked.append(await wait_signal("go", timeout="2h"))
    return seen
"""

CHANGED = TRIP.replace('look(where + " again")', 'look(where + " never")')


@pytest.fixture(autouse=True)
def app(folder: Path) -> Path:
    (folder / "trip.py").write_text(TRIP)
    return folder / "trip.py"


def eventually(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"did not come: {what}"
        time.sleep(0.05)


def comes_to(refold: Refold, run_id: str, status: str) -> None:
    eventually(lambda: refold("show", run_id, "--json").lines[0]["status"] == status, f"{run_id} is {status}")


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts commands that are killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        started.append(start(*words))
        return started[-1]

    yield run
    for each in started:
        each.kill()
        each.communicate()


Start = Callable[..., "subprocess.Popen[str]"]


def test_a_query_is_answered_by_a_worker_or_by_code_that_is_named(refold: Refold, process: Start) -> None:
    refold("start", "trip", "--run-id", "a")
    unanswered = refold("query", "a", "status", "--timeout", "0.2")
    assert unanswered.code == 6
    assert "[QUERY_UNANSWERED]" in unanswered.err and "no worker serves workflow trip" in unanswered.err
    worker = process("worker", "--app", "trip.py")
    comes_to(refold, "a", "waiting")
    told = refold("query", "a", "status", "--json")
    assert told.lines == [{"run_id": "a", "query": "status", "answer": {"asked": []}}]
    assert refold("query", "a", "status", "--arguments", '{"shout": true}').out == "WAITING\n"
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE_SECONDS)
    here = start("query", "a", "status", "--app", "trip.py")
    out, err = here.communicate(timeout=PATIENCE_SECONDS)
    assert (here.returncode, out) == (0, '{"asked":[]}\n'), err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("a", "status", "--arguments", "[1]"), "the arguments must be an object"),
        (("a", "status", "--arguments", "{"), "--arguments"),
        (("none", "status"), "no run 'none'"),
        (("hello", "status"), "is a spec's, and answers no queries"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused(refold: Refold, words: tuple[str, ...], why: str) -> None:
    refold("start", "trip", "--run-id", "a")
    refold("start", "hello.json", "--run-id", "hello")
    done = refold("query", *words)
    assert done.code == 2 and why in done.err


def test_a_function_is_shown_with_its_branches_children_waits_and_attributes(refold: Refold, process: Start) -> None:
    refold("start", "trip", "--run-id", "a")
    worker = process("worker", "--app", "trip.py")
    eventually(lambda: "waits for signal go, until" in refold("show", "a").out, "it waits for the signal")
    shown = refold("show", "a").out
    assert "├ look#0.0.0" in shown and "├ look#0.1.0" in shown
    assert ': "seen home"' in shown and "run a" in shown
    assert "set      vip=false, where=Rome" in shown
    events = refold("events", "a").out
    for line in (
        "attributes.set",
        '{"where":"Rome"}',
        "child.ended",
        'completed  output "seen home"',
        "wait_signal#1  go",
    ):
        assert line in events
    assert [row["run_id"] for row in refold("list", "--attribute", "where=Rome", "--json").lines] == ["a"]
    assert [row["run_id"] for row in refold("list", "--attribute", "vip=false", "--json").lines] == ["a"]
    assert refold("list", "--attribute", "where=Rome", "--attribute", "vip=true", "--json").lines == []
    assert "says no value" in refold("list", "--attribute", "where").err
    refold("cancel", "a", "--force", "--reason", "enough")
    comes_to(refold, "a", "cancelled")
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE_SECONDS)


def test_a_parked_run_is_shown_with_what_was_recorded_and_what_to_do(refold: Refold, process: Start, app: Path) -> None:
    refold("start", "trip", "--run-id", "a")
    first = process("worker", "--app", "trip.py")
    eventually(lambda: "waits for signal go, until" in refold("show", "a").out, "it waits for the signal")
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=PATIENCE_SECONDS)
    app.write_text(CHANGED)
    refold("signal", "a", "go")
    process("worker", "--app", "trip.py")
    comes_to(refold, "a", "parked")
    shown = refold("show", "a").out
    assert "code and history disagree at event" in shown
    assert "differs  at /where: recorded 'Rome again', now 'Rome never'" in shown
    assert "if patched('name-of-the-change')" in shown
    assert "refold resume a" in shown
    assert "NONDETERMINISM" in refold("events", "a").out


def test_a_worker_takes_only_the_version_that_it_is_pinned_to(refold: Refold, process: Start) -> None:
    refold("start", "trip#1", "--run-id", "old")
    refold("start", "trip#2", "--run-id", "new")
    process("worker", "--app", "trip.py", "--pin", "trip=2")
    comes_to(refold, "new", "waiting")
    assert refold("show", "old", "--json").lines[0]["status"] == "queued"
    assert "workflow trip in version 1 is missing" in refold("show", "old").out
    assert refold("worker", "--pin", "trip").code == 2


def test_dev_serves_and_works_in_one_process_until_it_is_told_to_end(refold: Refold, process: Start) -> None:
    dev = process("dev", "--app", "trip.py", "--port", "0", "--json")
    assert dev.stdout is not None
    told = json.loads(dev.stdout.readline())
    assert told["workflows"] == ["child#1", "trip#2"] and told["skills"] == ["look"]
    body = json.dumps({"workflow": "trip", "run_id": "a", "inputs": {"where": "Oslo"}}).encode()
    request = urllib.request.Request(f"{told['listening']}/v1/runs", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        assert answer.status == 201 and json.load(answer)["workflow_version"] == "2"
    request.data = json.dumps({"workflow": "trip", "inputs": {"where": 7}}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS)
    with refused.value as answer:
        assert answer.status == 422 and "where" in json.load(answer)["detail"]
    comes_to(refold, "a", "waiting")
    dev.send_signal(signal.SIGINT)
    _, err = dev.communicate(timeout=PATIENCE_SECONDS)
    assert dev.returncode == 0 and err.endswith("drained\n"), err


def test_dev_says_to_people_where_it_listens_and_what_it_serves(process: Start) -> None:
    dev = process("dev", "--app", "trip.py", "--port", "0", "--queue", "q")
    assert dev.stdout is not None
    lines = [dev.stdout.readline() for _ in range(6)]
    assert lines[0].startswith("listening on http://127.0.0.1:")
    assert lines[1:5] == [
        "database   sqlite:///refold.db\n",
        "queues     q\n",
        "workflows  child#1, trip#2\n",
        "skills     look, and the ready ones (refold skills)\n",
    ]


@pytest.mark.parametrize("words", [("--queue", "q", "--queue", "q"), ("--host", "0.0.0.0"), ("--app", "none.py")])
def test_dev_refuses_what_it_cannot_do(refold: Refold, words: tuple[str, ...]) -> None:
    assert refold("dev", "--port", "0", *words).code == 2
