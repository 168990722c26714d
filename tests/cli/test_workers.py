"""`refold start`, `worker`, `signal`, `workers`, `dispatch`: runs are recorded here and worked on elsewhere."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from refold.compose import open_store
from refold.core.ports import NEVER
from refold.eventstore.dispatch import DispatchRow, seconds_of
from refold.eventstore.rebuild import compare
from refold.tests.cli.driver import Done, Refold, Write, start

PATIENCE_SECONDS = 60

GATE = {"step_id": "gate", "skill_id": "gate", "inputs": {"folder": "."}}
AFTER = {"step_id": "after", "skill_id": "echo", "inputs": {"passed": "${gate.passed}"}}
ASK = {"step_id": "ask", "skill_id": "wait_signal", "inputs": {"name": "go"}}

StartWorker = Callable[..., subprocess.Popen[str]]


def eventually(holds: Callable[[], Any], what: str) -> None:
    """Wait until `holds` does; fails with `what` when it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"did not come: {what}"
        time.sleep(0.05)


@pytest.fixture
def worker() -> Iterator[StartWorker]:
    """Starts workers that work when it returns; those still there at the end are killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = start("worker", *words)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def status_of(refold: Refold, run_id: str) -> str:
    return refold("show", run_id, "--json").lines[0]["status"]


def comes_to(refold: Refold, run_id: str, status: str) -> None:
    eventually(lambda: status_of(refold, run_id) == status, f"{run_id} is {status}")


def drained(process: subprocess.Popen[str]) -> Done:
    """Ask the worker to end, and wait until it has."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return Done(process.returncode, out, err)


def rows(path: str = "refold.db") -> list[tuple[Any, ...]]:
    return change("SELECT stream, queue, priority, needs, due_at FROM dispatch ORDER BY stream", path=path)


def change(sql: str, *parameters: Any, path: str = "refold.db") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, parameters).fetchall()


def test_a_started_run_is_queued_until_a_worker_completes_it(refold: Refold, worker: StartWorker) -> None:
    done = refold("start", "hello.json", "--run-id", "a")
    assert (done.code, done.out, done.err) == (0, "a\n", "")
    assert status_of(refold, "a") == "queued"
    assert [row["run_id"] for row in refold("list", "--status", "queued", "--json").lines] == ["a"]
    process = worker()
    comes_to(refold, "a", "completed")
    assert refold("list", "--json").lines[0]["status"] == "completed"
    end = drained(process)
    assert (end.code, end.out) == (0, "")
    hello, goodbye = end.err.splitlines()
    assert f"worker {process.pid} serves queue default of sqlite:///refold.db with " in hello and " skills" in hello
    assert goodbye.startswith(f"worker {process.pid} is drained: 1 runs ended here")
    assert refold("verify", "a").code == 0


def test_start_as_json_is_the_result_and_again_changes_nothing(refold: Refold) -> None:
    words = "start hello.json --run-id a --json --queue slow --priority 7"
    first, again = refold(*words.split()), refold(*words.split())
    assert first.lines == again.lines and first.code == again.code == 0
    assert (first.lines[0]["run_id"], first.lines[0]["status"]) == ("a", "queued")
    (row,) = refold("dispatch", "list", "--json").lines
    assert (row["stream"], row["queue"], row["priority"], row["held_by"]) == ("default/a", "slow", 7, None)
    assert refold("start", "hello.json", "--run-id", "a", "--seed", "1").code == 2


def test_skills_need_not_be_known_where_a_run_is_started(refold: Refold, write: Write, worker: StartWorker) -> None:
    Path("open").touch()
    assert refold("start", write(GATE, AFTER), "--run-id", "a").code == 0
    process = worker()
    eventually(lambda: refold("workers", "--json").lines, "the worker reports itself")
    assert "no worker serves it: skill gate is missing" in refold("show", "a").out
    second = worker("--app", "mine")
    comes_to(refold, "a", "completed")
    assert [drained(process).code, drained(second).code] == [0, 0]


def test_show_says_that_nobody_serves_a_queue(refold: Refold, worker: StartWorker) -> None:
    refold("start", "hello.json", "--run-id", "a", "--queue", "slow")
    assert "no worker on queue slow" in refold("show", "a").out
    worker("--queue", "quick")
    eventually(lambda: refold("workers", "--json").lines, "the worker reports itself")
    assert "no worker on queue slow" in refold("show", "a").out
    worker("--queue", "quick", "--queue", "slow")
    comes_to(refold, "a", "completed")
    assert "workers" not in refold("show", "a").out


def test_a_worker_killed_in_the_middle_is_replaced_by_another(
    refold: Refold, write: Write, worker: StartWorker
) -> None:
    refold("start", write(GATE, AFTER), "--run-id", "a")
    first = worker("--skills", "mine.py")
    eventually(Path("waiting").exists, "the first worker executes the step")
    assert "a live process works on it" in refold("show", "a").out
    first.kill()
    first.wait()
    assert [each["lost"] for each in refold("workers", "--json").lines] == [True]
    assert "lost" in refold("workers").out
    assert "no worker on queue default" in refold("show", "a").out
    Path("waiting").unlink()
    second = worker("--skills", "mine.py")
    eventually(Path("waiting").exists, "the second worker executes the step again")
    Path("open").touch()
    comes_to(refold, "a", "completed")
    assert refold("verify", "a").code == 0
    assert drained(second).code == 0


def test_sigterm_lets_the_running_step_end_and_leaves_the_rest_to_others(
    refold: Refold, write: Write, worker: StartWorker
) -> None:
    refold("start", write(GATE, AFTER), "--run-id", "a")
    first = worker("--skills", "mine")
    eventually(Path("waiting").exists, "the worker executes the step")
    first.send_signal(signal.SIGTERM)
    eventually(lambda: refold("workers", "--json").lines[0]["draining"], "the worker drains")
    Path("open").touch()
    first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == 0
    assert [event["topic"] for event in refold("events", "a", "--json").lines] == ["run.started", "step.completed"]
    assert [row["held_by"] for row in refold("dispatch", "list", "--json").lines] == [None]
    assert refold("dispatch", "rebuild", "--check").code == 0
    worker("--skills", "mine")
    comes_to(refold, "a", "completed")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_a_worker_at_once(
    refold: Refold, write: Write, worker: StartWorker, number: signal.Signals, code: int
) -> None:
    refold("start", write(GATE), "--run-id", "a")
    process = worker("--skills", "mine")
    eventually(Path("waiting").exists, "the worker executes the step")
    process.send_signal(number)
    eventually(lambda: any(each["draining"] for each in refold("workers", "--json").lines), "the worker drains")
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code


def test_workers_are_listed_and_gone_when_they_have_left(refold: Refold, worker: StartWorker) -> None:
    assert refold("migrate").code == 0
    assert "no workers" in refold("workers").err
    process = worker("--queue", "a", "--queue", "b", "--concurrency", "3")
    eventually(lambda: refold("workers", "--json").lines, "the worker reports itself")
    (told,) = refold("workers", "--json").lines
    assert (told["pid"], told["queues"], told["concurrency"], told["running"]) == (process.pid, ["a", "b"], 3, 0)
    assert told["lost"] is False and told["draining"] is False and told["beat_seconds_ago"] < PATIENCE_SECONDS
    assert "echo" in told["skills"] and told["version"].startswith("refold ")
    shown = refold("workers").out
    assert str(process.pid) in shown and "a, b" in shown and "0/3" in shown and "lost" not in shown
    assert drained(process).code == 0
    assert refold("workers", "--json").lines == []


def test_a_worker_silent_for_long_is_lost(refold: Refold) -> None:
    refold("migrate")
    report = {"version": "r", "queues": [], "skills": [], "workflows": [], "pins": {}, "concurrency": 1, "running": 1}
    for pid, silent in ((1, 11), (2, 0)):
        told = json.dumps({**report, "host": "elsewhere", "pid": pid, "draining": False})
        change("INSERT INTO workers VALUES (?, ?, ?)", f"owner {pid}", told, time.time() - silent)
    assert [(each["pid"], each["lost"]) for each in refold("workers", "--json").lines] == [(1, True), (2, False)]
    shown = [line for line in refold("workers").out.splitlines() if "elsewhere" in line]
    assert ["lost" in line for line in shown] == [True, False]


def test_a_signal_ends_a_wait_with_its_payload(refold: Refold, write: Write, worker: StartWorker) -> None:
    waits = {**ASK, "inputs": {"name": "go", "timeout_seconds": 3600}}
    nap = {"step_id": "nap", "skill_id": "sleep", "inputs": {"seconds": 3600}}
    refold("start", write(waits), "--run-id", "a")
    refold("start", write(ASK, nap), "--run-id", "b")
    worker()
    for run_id in "ab":
        comes_to(refold, run_id, "waiting")
    shown = refold("show", "b").out
    assert "waits for signal go, for ever" in shown and "waits until 2" in shown
    assert "waits for signal go, until 2" in refold("show", "a").out
    assert "a worker takes it up when it is due" in refold("show", "a").out
    done = refold("signal", "a", "go", "--payload", '{"by": "Ada"}')
    assert (done.code, done.out) == (0, "signal go sent to a\n")
    comes_to(refold, "a", "completed")
    assert refold("show", "a", "--json").lines[0]["output"] == {"ask": {"by": "Ada"}}


def test_a_signal_sent_before_the_wait_is_kept_and_a_key_makes_it_one(
    refold: Refold, write: Write, worker: StartWorker
) -> None:
    Path("body.json").write_text('["from a file"]')
    second = {**ASK, "step_id": "second", "depends_on": ["ask"]}
    refold("start", write(ASK, second), "--run-id", "a")
    for _ in range(2):
        done = refold("signal", "a", "go", "--payload", "@body.json", "--key", "k", "--json")
        assert (done.code, done.lines[0]["status"]) == (0, "queued")
    worker()
    comes_to(refold, "a", "waiting")
    steps = refold("show", "a", "--json").lines[0]["steps"]
    assert steps[0]["output"] == ["from a file"], steps
    assert refold("signal", "a", "go").code == 0
    comes_to(refold, "a", "completed")
    assert refold("show", "a", "--json").lines[0]["output"] == {"second": None}
    assert refold("signal", "a", "go").code == 6


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("start missing.json", 2, "cannot be read"),
        ("start hello.json --run-id /", 2, "run id"),
        ("start hello.json --queue a,b", 2, "a queue is"),
        ("start hello.json --priority 1000001", 2, "priority"),
        ("start hello.json --inputs [", 2, "--inputs"),
        ("start hello.json --seed -1", 2, "seed"),
        ("signal nobody go", 2, "no run 'nobody'"),
        ("signal a go --payload {", 2, "--payload"),
        ("signal a go --payload @missing.json", 2, "the payload cannot be read"),
        ("signal / go", 2, "run id"),
        ("worker --queue a,b", 2, "a queue is"),
        ("worker --queue a --queue a", 2, "twice"),
        ("worker --concurrency 0", 2, "concurrency"),
        ("worker --skills missing_module", 2, "missing_module"),
        ("worker --database redis://x", 2, "unknown form"),
        ("worker --database sqlite:///no/such/folder/x.db", 5, "no/such/folder"),
        ("dispatch rebuild --database sqlite:///missing.db", 5, "there is no database missing.db"),
        ("dispatch nonsense", 2, "nonsense"),
    ],
)
def test_what_cannot_be_done_is_refused(refold: Refold, words: str, code: int, said: str) -> None:
    done = refold(*words.split())
    assert done.code == code, done.err
    assert said in done.err and "Traceback" not in done.err
    assert not Path("refold.db").exists() or words.startswith("signal")


def test_a_worker_without_its_database_ends_with_code_5(refold: Refold) -> None:
    done = refold("worker", "--database", "postgresql://me:hidden@127.0.0.1:1/none")
    assert done.code == 5 and "hidden" not in done.err


@pytest.mark.parametrize("words", ["worker --app", "start --priority", "signal --payload", "workers --json"])
def test_every_command_has_a_help_text(refold: Refold, words: str) -> None:
    command, option = words.split()
    done = refold(command, "--help")
    assert done.code == 0 and option in done.out


def test_the_commands_on_the_dispatch_table_have_help_texts(refold: Refold) -> None:
    assert "rebuild" in refold("dispatch", "--help").out
    assert "--database" in refold("dispatch", "list", "--help").out
    assert "--check" in refold("dispatch", "rebuild", "--help").out


def test_a_database_named_before_the_command_counts_for_dispatch_too(refold: Refold) -> None:
    other = ("--database", "sqlite:///other.db")
    refold(*other, "start", "hello.json", "--run-id", "a")
    assert [row["stream"] for row in refold(*other, "dispatch", "list", "--json").lines] == ["default/a"]
    assert "default/a" in refold("dispatch", "list", *other).out


@pytest.fixture
def mixed(refold: Refold, write: Write, worker: StartWorker) -> list[tuple[Any, ...]]:
    """The dispatch rows of runs that are queued, signalled, paused and waiting; an ended one has none."""
    refold("start", write(ASK), "--run-id", "waiting")
    refold("start", write(ASK), "--run-id", "timed", "--queue", "never")
    refold("run", "hello.json", "--run-id", "ended")
    process = worker()
    comes_to(refold, "waiting", "waiting")
    assert drained(process).code == 0
    refold("start", "hello.json", "--run-id", "queued", "--tenant", "other", "--queue", "slow", "--priority", "3")
    refold("start", write(ASK), "--run-id", "signalled")
    refold("signal", "signalled", "go")
    refold("start", write(ASK), "--run-id", "paused")
    assert refold("pause", "paused").code == 0
    there = rows()
    assert [row[0] for row in there] == [
        *(f"default/{run_id}" for run_id in ("paused", "signalled", "timed", "waiting")),
        "other/queued",
    ]
    return there


def test_an_undisturbed_table_is_what_the_log_says(refold: Refold, mixed: list[tuple[Any, ...]]) -> None:
    done = refold("dispatch", "rebuild", "--check", "--json")
    assert done.code == 0
    assert done.lines == [
        {"open_runs": 5, "equal": True, "missing": 0, "extra": 0, "different": 0, "repaired": False, "unreadable": []}
    ]
    assert rows() == mixed


def test_a_damaged_table_is_found_and_repaired(
    refold: Refold, mixed: list[tuple[Any, ...]], worker: StartWorker
) -> None:
    change("DELETE FROM dispatch WHERE stream = 'default/signalled'")
    change("UPDATE dispatch SET needs = '[]' WHERE stream = 'other/queued'")
    change("UPDATE dispatch SET due_at = ? WHERE stream = 'default/timed'", seconds_of(NEVER))
    change("INSERT INTO dispatch VALUES ('default/ended', 'default', 0, '[]', 0, NULL, 0)")
    damaged = rows()
    for option, code in (("--check", 1), ("--dry-run", 0)):
        done = refold("dispatch", "rebuild", option)
        assert (done.code, done.out) == (code, "not as the log says: 1 missing, 1 extra, 2 different; 5 open runs\n")
        assert rows() == damaged
    done = refold("dispatch", "rebuild")
    assert (done.code, done.out) == (0, "repaired: 1 missing, 1 extra, 2 different; 5 open runs\n")
    assert rows() == mixed
    assert refold("dispatch", "rebuild", "--check").code == 0
    worker()
    comes_to(refold, "signalled", "completed")


def test_the_same_commands_work_on_postgres(
    refold: Refold, write: Write, worker: StartWorker, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFOLD_DATABASE_URL", postgres_url)
    refold("start", write(ASK), "--run-id", "a")
    assert status_of(refold, "a") == "queued"
    process = worker()
    comes_to(refold, "a", "waiting")
    assert [each["pid"] for each in refold("workers", "--json").lines] == [process.pid]
    with closing(open_store(postgres_url)) as store:
        (right,) = store.dispatch.rows()
        store.dispatch.replace([right._replace(needs='["lost"]')])
        assert refold("dispatch", "rebuild", "--check").code == 1
        assert refold("dispatch", "rebuild").out == "repaired: 0 missing, 0 extra, 1 different; 1 open runs\n"
        assert store.dispatch.rows() == [right]
    refold("signal", "a", "go")
    comes_to(refold, "a", "completed")
    assert refold("dispatch", "rebuild", "--check").code == drained(process).code == 0


def test_a_run_that_cannot_be_read_keeps_its_row(refold: Refold, mixed: list[tuple[Any, ...]]) -> None:
    change("UPDATE stored_events SET state = CAST('{' AS BLOB) WHERE originator_id = 'default/timed'")
    change("DELETE FROM dispatch WHERE stream = 'other/queued'")
    done = refold("dispatch", "rebuild", "--json")
    assert done.code == 4 and "default/timed cannot be read" in done.err
    assert (done.lines[0]["repaired"], done.lines[0]["unreadable"]) == (True, ["default/timed"])
    assert rows() == mixed


def test_a_table_is_not_called_wrong_for_a_run_that_is_being_worked_on(
    refold: Refold, write: Write, worker: StartWorker
) -> None:
    refold("start", write(GATE), "--run-id", "a")
    worker("--skills", "mine")
    eventually(Path("waiting").exists, "the worker executes the step")
    change("UPDATE dispatch SET due_at = ?", seconds_of(NEVER))
    assert refold("dispatch", "rebuild", "--check").code == 0
    Path("open").touch()
    comes_to(refold, "a", "completed")


def test_due_times_that_are_past_say_the_same_and_others_do_not() -> None:
    row = DispatchRow("t/a", "default", 0, "[]", 50.0)
    wanted = {"t/a": row}
    assert not any(compare(wanted, [row._replace(due_at=0)], now=60.0))
    for other, now in (({"due_at": 0}, 40.0), ({"due_at": 70}, 60.0), ({"priority": 1}, 60.0)):
        assert compare(wanted, [row._replace(**other)], now).different == ("t/a",)
    never = row._replace(due_at=seconds_of(NEVER))
    assert not any(compare({"t/a": never}, [never], now=60.0))
    assert compare(wanted, [], now=0).missing == compare({}, [row], now=0).extra == ("t/a",)
