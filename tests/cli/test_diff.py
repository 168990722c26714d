"""`refold diff`: two runs, two goldens, two folders, and the classes of what differs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from refold.tests.cli.driver import Refold, Write

DRIFTS = """
import os
from refold import StepContext, skill

@skill("seedless", deterministic=True)
def seedless() -> dict:
    return {"value": os.environ.get("DRIFT", "0")}

@skill("seedless_v2", deterministic=True)
def seedless_v2() -> dict:
    return {"value": "1"}

@skill("outer")
def outer() -> dict:
    return {"value": os.environ.get("DRIFT", "0")}

@skill("stamped", deterministic=True)
def stamped() -> dict:
    return {"value": 1, "finished": "2026-01-02T03:04:0" + os.environ.get("DRIFT", "0") + "Z"}
"""


@pytest.fixture
def drifts(folder: Path) -> str:
    """The file of skills whose outputs depend on the environment."""
    (folder / "drifts.py").write_text(DRIFTS)
    return "drifts.py"


def found(refold: Refold, *words: str, code: int = 3) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    done = refold("diff", *words, "--json")
    assert done.code == code, (done.out, done.err)
    *differences, last = [json.loads(line) for line in done.out.splitlines()]
    return differences, last


def drifted(refold: Refold, write: Write, drifts: str, skill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs `one` and `two` of a spec with this skill, between which the environment has changed."""
    file = write(
        {"step_id": "a", "skill_id": skill},
        {"step_id": "b", "skill_id": "echo", "inputs": {"v": "${a}"}},
    )
    for run_id, drift in (("one", "0"), ("two", "1")):
        monkeypatch.setenv("DRIFT", drift)
        assert refold("run", file, "--run-id", run_id, "--skills", drifts).code == 0


def test_two_runs_that_did_the_same_are_equal(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "one")
    refold("run", "hello.json", "--run-id", "two")
    done = refold("diff", "one", "two")
    assert (done.code, done.out) == (0, "equal\n")


@pytest.mark.parametrize(
    ("skill", "kind", "code"),
    [
        ("seedless", "UNSEEDED_RANDOMNESS", 3),
        ("outer", "EXTERNAL_VARIATION", 3),
        ("stamped", "VOLATILE_LEAK", 0),
    ],
)
def test_an_output_that_drifted_is_classed_by_its_skill(
    skill: str, kind: str, code: int, drifts: str, refold: Refold, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    drifted(refold, write, drifts, skill, monkeypatch)
    differences, last = found(refold, "one", "two", "--skills", drifts, code=code)
    first = differences[0]
    assert (first["event"], first["step_id"], first["kind"], first["follows"]) == ("step 0", "a", kind, None)
    assert first["pointer"].startswith("/output/") and first["left"] != first["right"]
    assert {each["follows"] for each in differences[1:]} == {"step 0"}
    assert set(last["kinds"]) == {kind} and last["equal"] is False


def test_classes_can_be_accepted_and_names_be_called_volatile(
    drifts: str, refold: Refold, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    drifted(refold, write, drifts, "outer", monkeypatch)
    assert refold("diff", "one", "two", "--accept", "EXTERNAL_VARIATION").code == 0
    assert found(refold, "one", "two", "--volatile", "value", code=0)[1]["kinds"].keys() == {"VOLATILE_LEAK"}
    wrong = refold("diff", "one", "two", "--accept", "ALL")
    assert wrong.code == 2 and "TAMPERED" in wrong.err


def test_seeds_inputs_and_specs_that_differ_are_classed(refold: Refold, write: Write, folder: Path) -> None:
    refold("run", "hello.json", "--run-id", "one")
    refold("run", "hello.json", "--run-id", "seed", "--seed", "5")
    refold("run", "hello.json", "--run-id", "inputs", "--inputs", '{"name": "Bob"}')
    changed = json.loads((folder / "hello.json").read_text())
    changed["steps"].append({"step_id": "more", "skill_id": "echo"})
    (folder / "more.json").write_text(json.dumps(changed))
    refold("run", "more.json", "--run-id", "spec")
    for run_id, kind in (("seed", "SEED_DRIFT"), ("inputs", "EXTERNAL_VARIATION"), ("spec", "CODE_CHANGE")):
        differences, _ = found(refold, "one", run_id)
        assert {each["kind"] for each in differences} == {kind}, run_id
    told = refold("diff", "one", "seed").out
    assert "SEED_DRIFT  run_start /seed: 0 | 5" in told and "differences: SEED_DRIFT" in told


def test_an_altered_run_is_tampered(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "one")
    refold("run", "hello.json", "--run-id", "two")
    with sqlite3.connect("refold.db") as database:
        database.execute(
            "UPDATE stored_events SET state = replace(state, 'Ada', 'Eve') "
            "WHERE originator_id = 'default/two' AND originator_version = 2"
        )
    database.close()
    differences, _ = found(refold, "one", "two")
    assert [each["kind"] for each in differences] == ["TAMPERED"]
    assert differences[0]["left"] == "intact" and "event 2 of default/two" in differences[0]["right"]


def test_goldens_are_compared_as_files_and_folders(refold: Refold, folder: Path) -> None:
    for run_id in ("one", "two"):
        refold("run", "hello.json", "--run-id", run_id)
    refold("golden", "rotate-key", "--keys", "keys.json")
    assert refold("golden", "write", "--all", "--goldens", "left", "--keys", "keys.json").code == 0
    shutil.copytree(folder / "left", folder / "right")
    one = next((folder / "right").rglob("one.steps.jsonl"))
    both = ("left/default/one.steps.jsonl", "left/default/two.steps.jsonl")
    assert refold("diff", *both).code == 0
    assert "signatures of goldens are not verified" in refold("diff", *both).err
    assert found(refold, "left", "right", "--keys", "keys.json", code=0)[1] == {
        "compared": 2,
        "equal": 2,
        "kinds": {},
        "failing": 0,
        "only_left": [],
        "only_right": [],
    }
    assert refold("diff", "one", "left/default/two.steps.jsonl").code == 0, "a run beside a golden"
    one.write_bytes(one.read_bytes().replace(b"Ada", b"Eve"))
    two = one.with_name("two.steps.jsonl.sig")
    two.write_bytes(two.read_bytes().replace(b'"hmac":"', b'"hmac":"0')[:-1])
    differences, last = found(refold, "left", "right", "--keys", "keys.json")
    assert {(each["file"], each["kind"]) for each in differences} == {
        ("default/one.steps.jsonl", "TAMPERED"),
        ("default/two.steps.jsonl", "TAMPERED"),
    }
    assert last["kinds"] == {"TAMPERED": 2} and last["failing"] == 2


def test_goldens_on_one_side_only_are_listed_and_fail_unless_told_otherwise(refold: Refold, folder: Path) -> None:
    for run_id in ("one", "two"):
        refold("run", "hello.json", "--run-id", run_id)
    refold("golden", "rotate-key", "--keys", "keys.json")
    refold("golden", "write", "--all", "--goldens", "left", "--keys", "keys.json")
    shutil.copytree(folder / "left", folder / "right")
    next((folder / "right").rglob("one.steps.jsonl")).unlink()
    done = refold("diff", "left", "right")
    assert done.code == 3 and "only in left: default/one.steps.jsonl" in done.out and "1 of 1 equal" in done.out
    assert refold("diff", "left", "right", "--partial").code == 0


def test_what_cannot_be_compared_is_an_invalid_call(refold: Refold, folder: Path) -> None:
    refold("run", "hello.json", "--run-id", "one")
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    for words in (["one", "nobody"], ["one", "empty"], ["empty", "other"], ["no/such", "one"]):
        assert refold("diff", *words).code == 2, words


def test_a_fork_differs_from_its_parent_by_what_was_given_and_what_follows(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "one")
    refold("fork", "one", "--set", '/steps/greet/output/text="Hi"', "--id", "two")
    differences, _ = found(refold, "one", "two")
    assert (
        differences[0]["event"] == "step 0" and differences[0]["reason"] == "the outcome came from outside of the skill"
    )
    assert {each["kind"] for each in differences} == {"EXTERNAL_VARIATION"}
