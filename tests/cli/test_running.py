"""`refold run`, `resume`, `replay`: what is printed, what is stored, and how a run survives being stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from refold import OwnershipLostError
from refold.tests.cli.driver import COMMAND, HELLO, Refold, Write, start

RESULT = """run_id workflow_type status success error_code message workflow_hash step_hashes steps output cost_cents
    continued_as"""
PATIENCE_SECONDS = 60


def test_json_gives_the_events_as_lines_and_last_the_result(refold: Refold) -> None:
    done = refold("run", "hello.json", "--run-id", "a", "--json", "--seed", "7")
    assert (done.code, done.err) == (0, "")
    *events, result = done.lines
    assert [event["event"] for event in events] == ["run.started", *["step.completed"] * 3, "run.completed"]
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5]
    assert all(set(event) == {"event", "run_id", "version", "at", "data"} for event in events)
    assert all(event["at"].endswith("Z") and event["run_id"] == "a" for event in events)
    assert events[0]["data"]["spec"]["workflow_type"] == "hello" and events[0]["data"]["seed"] == 7
    assert events[1]["data"]["output"] == {"text": "Hello Ada"}
    assert set(result) == set(RESULT.split())
    assert result["success"] is True and result["status"] == "completed" and result["error_code"] is None
    assert len(result["workflow_hash"]) == 64 and len(result["step_hashes"]) == 3
    assert result["workflow_hash"] == events[-1]["data"]["workflow_hash"]


def test_without_json_the_summary_says_what_to_type_next(refold: Refold) -> None:
    done = refold("run", "hello.json", "--run-id", "a")
    workflow_hash = refold("show", "a", "--json").lines[0]["workflow_hash"]
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines()[:4])
    assert lines["completed"] == "hello, run a"
    assert lines["steps"] == "3 of 3 ended"
    assert lines["hash"] == workflow_hash
    assert "refold show a" in done.out and "refold verify a" in done.out
    assert done.err.splitlines() == [
        "run a of hello: 3 steps",
        "1/3 greet completed",
        "2/3 digest completed",
        "3/3 dice completed",
    ]


def test_without_an_id_every_run_is_another_one(refold: Refold) -> None:
    ids = {refold("run", "hello.json", "--json").lines[-1]["run_id"] for _ in range(2)}
    assert len(ids) == 2


def test_the_same_id_again_gives_the_ended_run(refold: Refold) -> None:
    first = refold("run", "hello.json", "--run-id", "a", "--json")
    again = refold("run", "hello.json", "--run-id", "a", "--json")
    assert again.code == 0
    assert again.lines == first.lines[-1:]


def test_yaml_stdin_and_inputs_from_a_file(folder: Path) -> None:
    (folder / "inputs.yaml").write_text("name: Grace\n")
    spec = "workflow_type: greet\nsteps:\n- {step_id: a, skill_id: echo, inputs: {to: '${inputs.name}'}}\n"
    words = [*COMMAND, "run", "-", "--inputs", "@inputs.yaml", "--json"]
    done = subprocess.run(words, input=spec, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["output"] == {"a": {"to": "Grace"}}


def test_the_database_may_be_named_before_or_after_the_command_or_by_the_environment(
    refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refold("--database", "sqlite:///one.db", "run", "hello.json")
    refold("run", "hello.json", "--database", "sqlite:///two.db")
    refold("--database", "sqlite:///no.db", "run", "hello.json", "--database", "sqlite:///three.db")
    monkeypatch.setenv("REFOLD_DATABASE_URL", "sqlite:///four.db")
    refold("run", "hello.json")
    assert sorted(path.name for path in folder.glob("*.db")) == ["four.db", "one.db", "three.db", "two.db"]


def test_a_failed_run_exits_with_1_and_says_why(refold: Refold, write: Write) -> None:
    spec = write({"step_id": "a", "skill_id": "transform", "inputs": {"expression": "nope("}})
    done = refold("run", spec, "--run-id", "a")
    assert done.code == 1
    assert done.out.startswith("failed") and "[TRANSFORM_FAILED]" in done.out
    assert "0/1 a failed" not in done.err and "1/1 a failed: TRANSFORM_FAILED" in done.err
    assert refold("run", spec, "--run-id", "a", "--json").lines[-1]["error_code"] == "TRANSFORM_FAILED"
    assert refold("resume", "a").code == 1


def test_what_skills_print_does_not_get_among_the_json_lines(refold: Refold, write: Write) -> None:
    spec = write({"step_id": "a", "skill_id": "noisy"})
    done = refold("run", spec, "--skills", "mine.py", "--json")
    assert done.code == 0 and done.lines[-1]["success"]
    assert "noise" in done.err


@pytest.mark.parametrize("name", ["mine", "mine.py"])
def test_skills_come_from_a_module_or_a_file(write: Write, name: str) -> None:
    with start("run", write({"step_id": "a", "skill_id": "drifting"}), "--skills", name, "--json") as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["output"] == {"a": {"value": "0"}}


def test_replay_gives_the_same_hash_and_appends_nothing(refold: Refold) -> None:
    recorded = refold("run", "hello.json", "--run-id", "a", "--seed", 3, "--json").lines[-1]["workflow_hash"]
    told = refold("replay", "a").out
    assert told.startswith("equal  a  completed  5 events\n") and recorded in told
    assert all(f"  {proof} " in told for proof in ("chain", "fold", "decisions", "execution"))
    assert "3 executed again, 0 served from the log" in told
    verdict = {"run_id": "a", "verdict": "equal", "status": "completed", "workflow_hash": recorded}
    verdict |= {"executed": 3, "served": 0}
    (line,) = refold("replay", "a", "--json").lines
    assert verdict.items() <= line.items()
    assert len(refold("events", "a", "--json").lines) == 5


def test_a_replay_tells_what_it_executed_again_and_what_it_took_from_the_log(refold: Refold, write: Write) -> None:
    broken = {"step_id": "broken", "skill_id": "transform", "inputs": {"expression": "nope("}, "on_error": "skip"}
    spec = write(
        {"step_id": "steady", "skill_id": "echo"},
        {"step_id": "noise", "skill_id": "noisy"},
        broken,
        {"step_id": "skipped", "skill_id": "echo", "depends_on": ["broken"]},
    )
    refold("run", spec, "--run-id", "a", "--skills", "mine.py")
    told = refold("replay", "a", "--skills", "mine.py", "--json").lines[-1]
    assert (told["executed"], told["served"]) == (2, 1)
    assert "2 executed again, 1 served from the log" in refold("replay", "a", "--skills", "mine.py").out


def test_a_replay_that_diverges_exits_with_3_and_names_the_step(
    refold: Refold, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write({"step_id": "steady", "skill_id": "echo"}, {"step_id": "shaky", "skill_id": "drifting"})
    refold("run", spec, "--run-id", "a", "--skills", "mine.py")
    monkeypatch.setenv("DRIFT", "1")
    done = refold("replay", "a", "--skills", "mine.py", "--json")
    assert done.code == 3
    (told,) = done.lines
    found = told["proofs"]["execution"]["divergence"]
    assert told["verdict"] == "diverged" and found["step_id"] == "shaky" and found["event"] == 3
    assert (found["pointer"], found["recorded"], found["now"]) == ("/value", "'0'", "'1'")
    assert (refold("replay", "a", "--skills", "mine.py", "--fail-on", "broken")).code == 0


def test_a_divergence_is_told_to_a_person_with_all_there_is_to_know(
    refold: Refold, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write({"step_id": "shaky", "skill_id": "drifting"})
    refold("run", spec, "--run-id", "a", "--skills", "mine.py")
    monkeypatch.setenv("DRIFT", "1")
    done = refold("replay", "a", "--skills", "mine.py")
    assert done.code == 3 and done.out.startswith("diverged  a  completed  3 events\n")
    told = {line[2:13].strip(): line[13:] for line in done.out.splitlines()[1:] if line[2:13].strip()}
    assert told["first"] == "event 2, step shaky: CODE_CHANGE"
    assert told["recorded"] == "at /value  '0'" and told["now"] == "at /value  '1'"
    assert "mine.py:" in told["place"] and told["cause"] and told["to do"] and told["written by"] == "refold 0.1.0"
    assert len(re.findall(r"[0-9a-f]{64}", done.out)) == 2


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Returns when the file is there; fails if the process ends first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.01)


def gated(write: Write, folder: Path) -> str:
    """A spec whose second step waits for the file `open`, and says by `waiting` that it does."""
    before = {"step_id": "before", "skill_id": "echo"}
    gate = {"step_id": "gate", "skill_id": "gate", "inputs": {"folder": str(folder)}, "depends_on": ["before"]}
    return write(before, gate, {"step_id": "after", "skill_id": "echo", "inputs": {"x": "${gate.passed}"}})


@pytest.mark.parametrize(("number", "code", "said"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
@pytest.mark.parametrize("json_mode", [True, False])
def test_a_stopped_run_can_be_resumed_at_once(
    refold: Refold, write: Write, folder: Path, number: int, code: int, said: str, json_mode: bool
) -> None:
    options = ["--skills", "mine.py", *(["--json"] if json_mode else [])]
    with start("run", gated(write, folder), "--run-id", "a", *options) as process:
        wait_for(folder / "waiting", process)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, err
    assert f"stopped by {said}" in err and "refold resume a --skills mine.py" in err
    assert "Traceback" not in err
    assert "nobody works on it; go on with: refold resume a" in refold("show", "a").out
    (folder / "open").touch()
    done = refold("resume", "a", "--skills", "mine.py", "--json")
    assert done.code == 0, done.err
    assert [event["event"] for event in done.lines[:-1]] == ["step.completed", "step.completed", "run.completed"]
    assert done.lines[-1]["output"] == {"after": {"x": True}}
    assert refold("verify", "a").code == 0


def test_a_killed_run_goes_on_when_it_is_run_again(refold: Refold, write: Write, folder: Path) -> None:
    spec = gated(write, folder)
    with start("run", spec, "--run-id", "a", "--skills", "mine.py") as process:
        wait_for(folder / "waiting", process)
        process.kill()
    (folder / "open").touch()
    done = refold("run", spec, "--run-id", "a", "--skills", "mine.py")
    assert done.code == 0 and "2/3 gate completed" in done.err, done.err


def test_a_run_that_another_process_works_on_is_left_to_it_but_can_be_cancelled(
    refold: Refold, write: Write, folder: Path
) -> None:
    spec = gated(write, folder)
    with start("run", spec, "--run-id", "a", "--skills", "mine.py", "--json") as process:
        wait_for(folder / "waiting", process)
        held = refold("resume", "a", "--skills", "mine.py")
        assert held.code == 6 and "[RUN_OWNED]" in held.err
        assert f"held by process {process.pid} on " in held.err and "{" not in held.err
        assert re.search(r"Fix: wait \d+ s, or end it", held.err)
        assert "a live process works on it" in refold("show", "a").out
        asked = refold("cancel", "a", "--reason", "enough")
        assert asked.code == 0, asked.err
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1, err
    result = json.loads(out.splitlines()[-1])
    assert (result["status"], result["error_code"], result["message"]) == ("cancelled", "RUN_CANCELLED", "enough")
    late = refold("cancel", "a")
    assert late.code == 6 and "[RUN_ENDED]" in late.err


def test_a_run_that_another_process_took_over_is_told_as_such(refold: Refold, monkeypatch: pytest.MonkeyPatch) -> None:
    async def taken(*_: object, **__: object) -> None:
        raise OwnershipLostError("the head of default/a is no longer version 3")

    monkeypatch.setattr("refold.ops.cli.running.WorkflowEngine.run", taken)
    done = refold("run", "hello.json", "--run-id", "a")
    assert done.code == 6
    assert "[OWNERSHIP_LOST]" in done.err and "another process goes on with it: refold show a" in done.err


def test_a_reader_that_goes_away_does_not_stop_the_run(refold: Refold, write: Write, folder: Path) -> None:
    with start("run", gated(write, folder), "--run-id", "a", "--skills", "mine.py", "--json") as process:
        wait_for(folder / "waiting", process)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        (folder / "open").touch()
        err = process.stderr.read()
        assert process.wait(PATIENCE_SECONDS) == 0, err
    assert "nobody reads the output" in err and "Traceback" not in err
    assert refold("show", "a", "--json").lines[0]["status"] == "completed"


@pytest.mark.parametrize("words", [("events", "a", "--json"), ("events", "a"), ("list",), ("show", "a")])
def test_a_closed_pipe_is_no_fault(refold: Refold, words: tuple[str, ...]) -> None:
    refold("run", "hello.json", "--run-id", "a")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *words], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [("list",), ("run", "hello.json"), ("verify", "--all")])
def test_an_unreachable_database_exits_with_5_and_shows_no_password(refold: Refold, words: tuple[str, ...]) -> None:
    url = "postgresql://ada:s3cr%65t@127.0.0.1:1/nowhere"
    done = refold("--database", url, *words, "--json")
    assert done.code == 5
    assert done.lines[-1]["error"]["code"] == "STORE_UNREACHABLE"
    assert "s3cr" not in done.out + done.err


def test_a_password_in_what_the_driver_says_is_hidden(refold: Refold) -> None:
    done = refold("--database", "postgresql://ada:s3cr%zzt@127.0.0.1:1/nowhere", "run", "hello.json", "--json")
    assert done.code == 2 and "s3cr" not in done.out + done.err


def test_the_result_is_the_same_on_postgresql(refold: Refold, postgres_url: str) -> None:
    here = refold("run", "hello.json", "--run-id", "a", "--seed", 5, "--json").lines[-1]
    there = refold("run", "hello.json", "--run-id", "a", "--seed", 5, "--json", "--database", postgres_url).lines[-1]
    assert there == here
    for words in (("show", "a"), ("events", "a"), ("verify", "a"), ("verify", "--all"), ("list",), ("replay", "a")):
        assert refold("--database", postgres_url, *words).code == 0, words


def test_help_and_usage_are_short_and_complete(refold: Refold) -> None:
    done = refold("--help")
    assert done.code == 0
    commands = "run resume replay list show events verify cancel pause migrate skills"
    assert all(f" {command} " in done.out for command in commands.split())
    assert refold("--version").out == "refold 0.1.0\n"
    assert HELLO["workflow_type"] == "hello"


def test_the_words_of_the_commands_load_nothing_that_the_face_does_not() -> None:
    program = "import refold, sys; known = set(sys.modules); import refold.ops.cli; print(*(set(sys.modules) - known))"
    done = subprocess.run([*COMMAND[:2], "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "typer" in loaded
    assert not loaded & {"eventsourcing", "fastapi", "httpx2", "orjson", "psycopg", "pydantic", "rich", "sqlite3"}
