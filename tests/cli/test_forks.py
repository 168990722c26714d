"""`refold fork` and `refold retry`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from refold import open_store
from refold.core.ports import EMPTY, Append, Unit
from refold.eventstore.log import EventLog
from refold.eventstore.sealing import Sealer
from refold.tests.cli.driver import Refold, Write

BREAKS = """
import os
from refold import skill, Failure, FailureCatalog

codes = FailureCatalog()
codes.register("BROKEN", "PERMANENT", "It has not been mended.", suggestion="Make the file `mended`")

@skill("fragile", deterministic=True, failures=codes)
def fragile(value: int) -> dict:
    if not os.path.exists("mended"):
        raise Failure("BROKEN", "not yet", retryable=False)
    return {"value": value}
"""


def test_a_fork_runs_here_and_shows_where_it_comes_from(refold: Refold) -> None:
    assert refold("run", "hello.json", "--run-id", "one").code == 0
    done = refold("fork", "one", "--from-step", "dice", "--set", '/inputs/name="Bob"', "--id", "two", "--by", "ann")
    assert done.code == 0 and done.out.startswith("completed")
    told = refold("show", "two").out
    assert "by ann from one after event 5" in told and "reused   0 outcomes" in told
    assert "Hello Bob" in told and "Hello Ada" in refold("show", "one").out
    assert refold("verify", "two").code == 0 and refold("verify", "--all").code == 0
    assert refold("replay", "two").code == 0


def test_a_given_output_is_shown_as_given(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "one")
    done = refold("fork", "one", "--set", '/steps/greet/output/text="Hi"', "--id", "two", "--by", "ann", "--json")
    assert done.code == 0
    assert json.loads(done.out.splitlines()[-1])["steps"][0]["output"] == {"text": "Hi"}
    assert "1 outcomes, 1 of them given another output by ann" in refold("show", "two").out


def test_a_fork_can_be_left_to_workers(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "one")
    done = refold("fork", "one", "--from-step", "dice", "--queue", "later", "--id", "two")
    assert (done.code, done.out) == (0, "two\n")
    rows = [json.loads(line) for line in refold("dispatch", "list", "--json").out.splitlines()]
    assert [(row["stream"], row["queue"]) for row in rows] == [("default/two", "later")]
    named = json.loads(refold("fork", "one", "--from-step", "dice", "--queue", "later", "--json").out)
    assert named["status"] in ("queued", "running") and named["run_id"] not in ("one", "two")


def test_a_failed_run_is_retried(refold: Refold, write: Write, folder: Path) -> None:
    (folder / "breaks.py").write_text(BREAKS)
    file = write(
        {"step_id": "a", "skill_id": "echo", "inputs": {"v": 1}},
        {"step_id": "b", "skill_id": "fragile", "inputs": {"value": "${a.v}"}},
    )
    assert refold("run", file, "--run-id", "one", "--skills", "breaks.py").code == 1
    (folder / "mended").touch()
    assert refold("retry", "one", "--id", "two", "--skills", "breaks.py").code == 0
    assert "1 outcomes" in refold("show", "two").out
    refused = refold("retry", "two", "--skills", "breaks.py")
    assert refused.code == 2 and "only a failed run" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "/inputs/name"], "gives no value"),
        (["--set", "/inputs/name=Bob"], "--set /inputs/name"),
        (["--set", "/nothing/name=1"], "nothing that a fork could change"),
        (["--set", "/inputs/name=1", "--set", "/inputs/name=2"], "given twice"),
        (["--from-step", "nobody"], "no step 'nobody'"),
        ([], "give either"),
    ],
)
def test_what_cannot_be_forked_is_an_invalid_call(words: list[str], said: str, refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "one")
    done = refold("fork", "one", *words)
    assert done.code == 2 and said in done.err
    assert len(refold("list", "--json").out.splitlines()) == 1


def test_verification_says_that_a_parent_is_not_here(refold: Refold) -> None:
    refold("run", "hello.json", "--run-id", "one")
    refold("fork", "one", "--from-step", "dice", "--id", "two")
    with closing(open_store("sqlite:///refold.db")) as store:
        events = EventLog(store, "").events("default/two")
    with closing(open_store("sqlite:///alone.db")) as store:
        unit = Unit((Append("default/two", EMPTY, events),))
        store.commit([Sealer("test").seal(unit)], "test")
    told = refold("verify", "two", "--database", "sqlite:///alone.db")
    assert told.code == 0 and "note   not verifiable: the parent is not here: 2 outcomes are of one" in told.out
    said = json.loads(refold("verify", "two", "--database", "sqlite:///alone.db", "--json").out)
    assert said["ok"] is True and len(said["notes"]) == 1


def test_a_run_that_is_not_there_cannot_be_forked(refold: Refold) -> None:
    assert refold("fork", "nobody", "--from-step", "a").code == 2
