"""What cannot be run is refused before anything is written: exit code 2, one message with pointer, reason and fix."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from refold.tests.cli.driver import HELLO, Done, Refold, Write

ECHO = {"step_id": "a", "skill_id": "echo"}


def refused(done: Done, folder: Path, *words: str) -> dict[str, Any]:
    """Checks that the command was refused as it should, and returns the error."""
    error = done.lines[-1]["error"]
    assert done.code == 2, done
    assert len(done.out.splitlines()) == 1
    assert done.err.startswith(f"error [{error['code']}]: ")
    assert all(word in done.err for word in words), done.err
    assert "Traceback" not in done.err
    assert not list(folder.glob("*.db*")), "something was written"
    return error


@pytest.mark.parametrize(
    ("steps", "fields", "pointer", "reason", "fix"),
    [
        ([ECHO], {"stepz": 1}, "/stepz", "unknown field 'stepz'", "did you mean 'steps'?"),
        ([{**ECHO, "max_retries": "3"}], {}, "/steps/0/max_retries", "", ""),
        ([{**ECHO, "skill_id": "ecoh"}], {}, "/steps/0/skill_id", "unknown skill 'ecoh'", "did you mean 'echo'?"),
        ([{**ECHO, "inputs": {"x": "${b.y}"}}], {}, "/steps/0/inputs/x", "unknown step 'b'", "name a step"),
        ([{**ECHO, "inputs": {"x": "${inputs.y}"}}], {}, "", "unknown input 'y'", "pass it with inputs"),
        ([ECHO, ECHO], {}, "/steps/1/step_id", "", ""),
        ([{**ECHO, "depends_on": ["a"]}], {}, "/steps/0/depends_on/0", "", ""),
        ([], {}, "/steps", "at least one step", "add one"),
    ],
)
def test_a_wrong_spec_is_refused(
    refold: Refold, write: Write, folder: Path, steps: Any, fields: Any, pointer: str, reason: str, fix: str
) -> None:
    error = refused(refold("run", write(*steps, **fields), "--json"), folder, reason, fix)
    problem = error["problems"][0]
    assert set(problem) == {"pointer", "reason", "fix"}
    assert problem["pointer"] == pointer
    assert reason in problem["reason"] and fix in problem["fix"] and problem["reason"]


def test_a_cycle_is_named_step_by_step(refold: Refold, write: Write, folder: Path) -> None:
    ring = [{"step_id": name, "skill_id": "echo", "depends_on": [need]} for name, need in ("ab", "bc", "ca")]
    error = refused(refold("run", write(*ring), "--json"), folder, "a -> ")
    assert error["code"] == "SPEC_INVALID"


def test_all_problems_are_told_at_once_each_with_its_fix(refold: Refold, write: Write) -> None:
    done = refold("run", write({**ECHO, "skill_id": "ecoh"}, {**ECHO, "step_id": "b", "skill_id": "hsah"}))
    assert done.err.splitlines() == [
        "error [SPEC_INVALID]: 2 problems",
        "  /steps/0/skill_id: unknown skill 'ecoh'",
        "      fix: did you mean 'echo'?",
        "  /steps/1/skill_id: unknown skill 'hsah'",
        "      fix: did you mean 'hash'?",
    ]


@pytest.mark.parametrize(
    ("content", "pointer", "reason"),
    [
        (b'{"workflow_type": "x", "workflow_type": "y"}', "/workflow_type", "twice"),
        (b'{"a": NaN}', "/a", "NaN"),
        (b'{"a": 9007199254740993}', "/a", "2^53-1"),
        (b"[" * 100_000, "/0" * 128, "128 levels"),
        (b"\xff\xfe{}", "", "not UTF-8"),
        (b"", "", ""),
        (b"{", "", ""),
        (b"[]", "", "must be an object"),
        (b'{"a": "' + b"x" * 10_000_000 + b'"}', "", "larger than"),
    ],
    ids=["duplicate", "nan", "integer", "deep", "encoding", "empty", "cut off", "list", "large"],
)
@pytest.mark.parametrize("given_as", ["file", "stdin"])
def test_a_wrong_document_is_refused(
    refold: Refold,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    pointer: str,
    reason: str,
    given_as: str,
) -> None:
    (folder / "spec.json").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    source = "spec.json" if given_as == "file" else "-"
    error = refused(refold("run", source, "--json"), folder, "spec.json" if given_as == "file" else "stdin", reason)
    assert error["problems"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere.json", "No such file"), (".", "Is a directory"), ("a\0b", "null byte")]
)
def test_what_is_no_file_is_refused(refold: Refold, folder: Path, name: str, reason: str) -> None:
    refused(refold("run", name, "--json"), folder, "the spec cannot be read", reason)
    refused(refold("run", "hello.json", "--inputs", f"@{name}", "--json"), folder, "the inputs cannot be read", reason)


@pytest.mark.parametrize(
    ("inputs", "pointer"),
    [
        ("{", "/inputs"),
        ("[1]", ""),
        ('{"a": {"b": 1, "b": 2}}', "/inputs/a/b"),
        ('{"a": [0, NaN]}', "/inputs/a/1"),
        ('{"a": -9007199254740992}', "/inputs/a"),
        ('{"a": "\udc80"}', "/inputs"),
        ('{"a": "\\ud800"}', "/inputs/a"),
        ("{}{}", "/inputs"),
    ],
)
def test_wrong_inputs_are_refused(refold: Refold, folder: Path, inputs: str, pointer: str) -> None:
    error = refused(refold("run", "hello.json", "--inputs", inputs, "--json"), folder)
    assert error["problems"][0]["pointer"] == pointer


def test_ten_megabytes_of_inputs_are_refused(refold: Refold, folder: Path) -> None:
    (folder / "big.json").write_text(json.dumps({"text": "x" * 10_000_000}))
    refused(refold("run", "hello.json", "--inputs", "@big.json", "--json"), folder, "larger than 2000000 bytes")


def test_inputs_that_become_too_large_with_the_defaults_are_refused(refold: Refold, write: Write, folder: Path) -> None:
    spec = write(ECHO, inputs={"a": "x" * 1_500_000})
    (folder / "more.json").write_text(json.dumps({"b": "x" * 1_500_000}))
    error = refused(refold("run", spec, "--inputs", "@more.json", "--json"), folder, "more than 2000000")
    assert error["problems"][0]["pointer"] == "/inputs"


@pytest.mark.parametrize(
    "words",
    [
        ("--run-id", "../escape"),
        ("--run-id", "a/b"),
        ("--run-id", "a\0b"),
        ("--run-id", "\udcff"),
        ("--run-id", ""),
        ("--run-id", "x" * 201),
        ("--tenant", "a/b"),
        ("--seed", "-1"),
        ("--seed", str(2**53)),
        ("--seed", "9" * 5000),
        ("--seed", "one"),
        ("--skills", "no_such_module"),
        ("--skills", "no_such_file.py"),
        ("--skills", "hello.json"),
        ("--database", "mysql://host/database"),
        ("--colour",),
    ],
    ids=lambda words: " ".join(words)[:20].encode("ascii", "backslashreplace").decode().replace("\0", "NUL"),
)
def test_a_wrong_option_is_refused(refold: Refold, folder: Path, words: tuple[str, ...]) -> None:
    refused(refold("run", "hello.json", *words, "--json"), folder)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("host=x password=SECRET", "unknown form"),
        ("host=x PASSWORD = 'SECRET SECRET'", "unknown form"),
        ("postgresql:u:SECRET@h/d", "unknown form postgresql:…"),
        ("SECRET:x", "unknown form"),
        ("sqlite://SECRET.db", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("postgresql://u:SECRET@[bad/db", "cannot be read"),
        ("postgresql://u:SECRET@h/d?foo=bar", "invalid URI query parameter"),
        ("postgresql://u:SECRET/x@h/d", "cannot be read: the port is no number"),
        ("postgresql://u:SECRET%zz@h/d", "invalid percent-encoded token"),
    ],
)
@pytest.mark.parametrize("command", ["run hello.json", "list", "verify --all", "worker"])
def test_a_wrong_database_url_is_refused_and_repeats_no_secret(
    refold: Refold, folder: Path, url: str, reason: str, command: str
) -> None:
    words = [*command.split(), "--database", url]
    done = refold(*words)
    assert done.code == 2 and reason in done.err, done
    assert "sqlite:///file.db, postgresql://user:password@host/database" in done.err
    assert "SECRET" not in done.out + done.err
    assert "SECRET" not in str(refold(*words, "stray", "--json"))


def test_a_password_in_a_stray_word_is_hidden(refold: Refold) -> None:
    done = refold("list", "host=x password=SECRET", "--json")
    assert done.code == 2 and "password=***" in done.err and "SECRET" not in done.out + done.err


@pytest.mark.parametrize(
    "words",
    [
        ("events", "a", "--after"),
        ("events", "a", "--limit"),
        ("list", "--before"),
        ("list", "--limit"),
        ("show", "a", "--limit"),
        ("worker", "--concurrency"),
        ("start", "hello.json", "--priority"),
    ],
)
@pytest.mark.parametrize("number", [2**63, 99999999999999999999])
def test_a_number_that_no_database_counts_to_is_refused(
    refold: Refold, folder: Path, words: tuple[str, ...], number: int
) -> None:
    refused(refold(*words, number, "--json"), folder)


def test_the_largest_numbers_are_taken(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "a")
    most = 2**63 - 1
    calls = [("events", "a", "--after", most), ("events", "a", "--limit", most), ("show", "a", "--limit", most)]
    for words in [*calls, ("list", "--before", most), ("list", "--limit", most)]:
        done = refold(*words)
        assert done.code == 0 and "error" not in done.err, done


def test_a_skills_module_that_breaks_is_the_users_problem(refold: Refold, folder: Path) -> None:
    (folder / "broken.py").write_text("import sys\nsys.exit(7)\n")
    refused(refold("run", "hello.json", "--skills", "broken.py", "--json"), folder, "broken.py cannot be imported")


def test_a_wrong_patience_is_refused(refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOLD_STORE_PATIENCE", "soon")
    refused(refold("run", "hello.json", "--json"), folder, "REFOLD_STORE_PATIENCE is 'soon'")


@pytest.mark.parametrize("words", [("frobnicate",), ("run",), ("show",), ("verify",), ("verify", "a", "--all")])
def test_a_wrong_command_is_refused_and_says_where_help_is(
    refold: Refold, folder: Path, words: tuple[str, ...]
) -> None:
    error = refused(refold(*words, "--json"), folder, "--help")
    assert error["code"] == "INPUT_INVALID"


def test_a_reason_that_cannot_be_stored_is_refused(refold: Refold, folder: Path) -> None:
    refused(refold("cancel", "a", "--reason", "\udcff", "--json"), folder, "--reason holds half a character")
    refused(refold("cancel", "a", "--reason", "x" * 2001, "--json"), folder, "at most 2000 characters")


def test_another_seed_or_other_inputs_for_the_same_id_are_refused(refold: Refold) -> None:
    assert refold("run", "hello.json", "--run-id", "a").code == 0
    for words, what in ((("--seed", 1), "another seed"), (("--inputs", '{"name": "Eve"}'), "another inputs")):
        done = refold("run", "hello.json", "--run-id", "a", *words)
        assert done.code == 2 and "[RUN_CONFLICT]" in done.err and what in done.err
    assert len(refold("events", "a", "--json").lines) == len(HELLO["steps"]) + 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--agent", "x" * 201], ["agent_id must be text of at most 200 characters"]),
        (["--source", "planet"], ["there is no source 'planet'"]),
    ],
)
def test_a_run_for_nobody_or_from_nowhere_is_refused(
    refold: Refold, write: Write, folder: Path, options: list[str], words: list[str]
) -> None:
    write(ECHO, name="s.json")
    refused(refold("run", "s.json", *options, "--json"), folder, *words)


@pytest.mark.parametrize("command", [["run", "s.json"], ["worker"], ["dev", "--port", "0"]])
def test_a_process_whose_policy_is_none_does_not_begin(
    refold: Refold, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    write(ECHO, name="s.json")
    (folder / "p.yaml").write_text('policy: p\nversion: "1"\nrulz: []\n')
    monkeypatch.setenv("REFOLD_POLICY", "p.yaml")
    done = refold(*command)
    assert done.code == 2 and "at /rulz: p.yaml: unknown field 'rulz'" in done.err
    assert not list(folder.glob("*.db*")), "something was written"
