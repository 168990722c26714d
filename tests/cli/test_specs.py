"""`refold specs`, and runs that are started by the name of a registered spec."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
from pathlib import Path

import pytest

from refold.core.canonical import canonical_json
from refold.tests.cli.driver import HELLO, Refold, Write, start

ECHO = {"step_id": "a", "skill_id": "echo"}


def tamper(statement: str) -> None:
    """Alter the database behind Refold's back."""
    database = sqlite3.connect("refold.db")
    with database:
        assert database.execute(statement).rowcount == 1
    database.close()


def test_specs_are_put_listed_and_shown(refold: Refold, write: Write) -> None:
    second = write(ECHO, name="two.json", version="2", metadata={"note": "second"})
    put = refold("specs", "put", "hello.json", write(ECHO), second, "--by", "Ada")
    assert put.code == 0 and [line.split()[:2] for line in put.out.splitlines()] == [
        ["registered", "hello#1"],
        ["registered", "test#1"],
        ["registered", "test#2"],
    ]
    assert refold("specs", "put", "hello.json").out.split()[:2] == ["unchanged", "hello#1"]
    listed = refold("specs", "list", "--json").lines
    assert [(each["workflow_type"], each["version"], each["latest"], each["by"]) for each in listed] == [
        ("hello", "1", True, "Ada"),
        ("test", "1", False, "Ada"),
        ("test", "2", True, "Ada"),
    ]
    assert [each["version"] for each in refold("specs", "list", "--type", "test", "--json").lines] == ["1", "2"]
    table = refold("specs", "list", "--type", "hello").out
    assert "hello" in table and "latest" in table and listed[0]["spec_hash"][:16] in table and "\n test" not in table
    assert all(line.split()[2] == each["spec_hash"] for line, each in zip(put.out.splitlines(), listed, strict=True))


def test_show_prints_what_was_hashed_and_what_can_be_registered_again(
    refold: Refold, folder: Path, write: Write
) -> None:
    refold("specs", "put", write({**ECHO, "inputs": {"text": "é \u202e\u0007 # no comment"}}), "--by", "Ada")
    shown = refold("specs", "show", "test", "--json")
    (listed,) = refold("specs", "list", "--json").lines
    assert hashlib.sha256(shown.out.removesuffix("\n").encode()).hexdigest() == listed["spec_hash"]
    assert canonical_json(shown.lines[0]).decode() + "\n" == shown.out
    document = refold("specs", "show", "test#1").out
    assert document.startswith("# test, version 1, the latest\n# registered 20") and " UTC by Ada\n" in document
    assert f"# sha256 {listed['spec_hash']}\n" in document and "é \\u202e\\u0007 #" in document
    (folder / "again.yaml").write_text(document)
    assert refold("specs", "put", "again.yaml", "--json").lines == [{**listed, "new": False}]


def test_who_registers_is_the_login_name_unless_said(refold: Refold, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "grace")
    assert refold("specs", "put", "hello.json", "--json").lines[0]["by"] == "grace"


def test_other_content_for_a_version_is_refused_with_what_differs(refold: Refold, write: Write) -> None:
    assert refold("specs", "put", write(ECHO)).code == 0
    done = refold("specs", "put", write({**ECHO, "skill_id": "hash"}), "--json")
    error = done.lines[-1]["error"]
    assert done.code == 2 and error["code"] == "SPEC_CONFLICT" and "spec.json" in error["message"]
    assert [problem["pointer"] for problem in error["problems"]] == ["/version", "/steps/0/skill_id"]
    assert "version '1' of 'test' is registered with another content" in done.err
    assert "'echo' is registered, 'hash' is given" in done.err and "a version of its own" in done.err


def test_of_several_files_none_is_registered_if_one_is_wrong(refold: Refold, folder: Path, write: Write) -> None:
    wrong = write({**ECHO, "inputs": {"x": "${b}"}})
    done = refold("specs", "put", "hello.json", wrong, "--json")
    assert done.code == 2 and "unknown step 'b'" in done.err and "spec.json" in done.err
    assert not list(folder.glob("*.db*"))
    for words in (("nowhere.json",), ("hello.json", "--tenant", "control"), ("hello.json", "--by", "x" * 201), ()):
        assert refold("specs", "put", *words).code == 2
    assert not list(folder.glob("*.db*"))


def test_a_spec_comes_from_stdin_too(refold: Refold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(HELLO).encode())))
    assert refold("specs", "put", "-").code == 0
    assert refold("specs", "show", "hello").code == 0


def test_runs_are_started_by_name(refold: Refold, write: Write) -> None:
    for version in ("2", "1"):
        step = {**ECHO, "inputs": {"version": version}}
        refold("specs", "put", write(step, version=version))
    calls = {"a": ["test"], "b": ["test#2"], "c": ["test", "--version", "2"]}
    for run_id, words in calls.items():
        assert refold("run", *words, "--run-id", run_id).code == 0
        assert refold("start", *words, "--run-id", f"{run_id}-started").out == f"{run_id}-started\n"
    outputs = {run_id: refold("show", run_id, "--json").lines[0]["output"] for run_id in calls}
    assert outputs == {"a": {"a": {"version": "1"}}, "b": {"a": {"version": "2"}}, "c": {"a": {"version": "2"}}}


def test_a_file_goes_before_a_name_and_a_folder_does_not(refold: Refold, folder: Path, write: Write) -> None:
    refold("specs", "put", write({**ECHO, "inputs": {"from": "registry"}}, workflow_type="hello"))
    write({**ECHO, "inputs": {"from": "file"}}, name="hello", workflow_type="hello")
    refold("run", "hello", "--run-id", "file")
    refold("run", "hello", "--version", "1", "--run-id", "version")
    (folder / "hello").unlink()
    (folder / "hello").mkdir()
    refold("run", "hello", "--run-id", "folder")
    found = {name: refold("show", name, "--json").lines[0]["output"]["a"] for name in ("file", "version", "folder")}
    assert found == {
        "file": {"from": "file"},
        "version": {"from": "registry"},
        "folder": {"from": "registry"},
    }


@pytest.mark.parametrize("command", ["run", "start"])
def test_what_is_neither_a_file_nor_a_name_is_told_as_both(refold: Refold, folder: Path, command: str) -> None:
    if command == "run":
        nothing = refold(command, "helo", "--json")
        assert nothing.code == 2 and "No such file or directory, and there is no database refold.db" in nothing.err
        assert not list(folder.glob("*.db*"))
    refold("specs", "put", "hello.json")
    done = refold(command, "helo", "--json")
    assert done.code == 2 and done.lines[-1]["error"]["code"] == "SPEC_NOT_FOUND"
    assert "no workflow 'helo' is registered for tenant 'default'" in done.err
    assert command == "start" or "No such file or directory, and" in done.err
    assert "did you mean 'hello'?" in done.err
    version = refold(command, "hello", "--version", "2")
    assert version.code == 2 and "'hello' has no version '2'. Fix: latest first, there are 1" in version.err
    assert "No such file" not in version.err
    assert "give it once" in refold(command, "hello#1", "--version", "1").err
    assert "is no name of a workflow" in refold(command, "hello", "--version", "a b").err
    assert refold(command, "hello", "--tenant", "control").code == 2
    assert refold(command, "hello", "--seed", "-1").code == 2
    assert refold("list", "--json").lines == []


def test_showing_what_is_not_there_is_refused(refold: Refold) -> None:
    assert "register its spec first" in refold("specs", "show", "hello").err
    refold("specs", "put", "hello.json")
    for words in (("helo",), ("hello#2",), ("hello", "--version", "2"), ("hello#1", "--version", "1"), ("a b",)):
        assert refold("specs", "show", *words).code == 2
    assert refold("specs", "list", "--type", "other").err == "no specs are registered\n"


def test_verify_all_proves_the_registered_specs(refold: Refold, write: Write) -> None:
    refold("specs", "put", "hello.json", write(ECHO))
    assert refold("verify", "--all").out.splitlines()[0] == "intact  0 runs, 0 events, 2 registered specs"
    specs, total = refold("verify", "--all", "--json").lines
    assert specs["stream"] == "control/specs/default" and specs["ok"] and specs["events"] == 2
    wanted = {"tenant": "default", "ok": True, "runs": 0, "events": 0, "specs": 2, "golden_decisions": 0, "broken": 0}
    assert total.items() >= wanted.items()
    tamper(
        "UPDATE stored_events SET state = CAST(replace(state, 'Hello $', 'Adieu $') AS BLOB) "
        "WHERE originator_id = 'control/specs/default' AND originator_version = 1"
    )
    done = refold("verify", "--all")
    assert done.code == 4 and "broken  the registered specs  2 events" in done.out
    assert "event 1 of control/specs/default: changed" in done.out and "the hash of hello#1 is" in done.out
    assert not refold("verify", "--all", "--json").lines[0]["ok"]
    for words in (("run", "hello"), ("start", "test"), ("specs", "show", "hello"), ("specs", "list")):
        altered = refold(*words)
        assert altered.code == 4 and "the hash of hello#1 is" in altered.err and "Traceback" not in altered.err, words
    assert refold("list", "--json").lines == []


def test_of_two_commands_that_register_a_version_at_once_one_is_told(refold: Refold, folder: Path) -> None:
    refold("migrate")
    for name in ("one", "two"):
        (folder / f"{name}.json").write_text(json.dumps({**HELLO, "metadata": {"name": name}}))
    commands = [start("specs", "put", f"{name}.json", env=dict(os.environ)) for name in ("one", "two")]
    ended = [(command.communicate(timeout=60), command.returncode) for command in commands]
    assert sorted(code for _, code in ended) == [0, 2], ended
    assert sum("SPEC_CONFLICT" in err and "/metadata/name" in err for (_, err), _ in ended) == 1
    assert len(refold("specs", "list", "--json").lines) == 1
