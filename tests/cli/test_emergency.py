"""`refold emergency-stop`: what it prints, what it records, and what is refused under a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.tests.cli.driver import Refold
from refold.tests.cli.test_workers import StartWorker, comes_to, eventually, status_of, worker

__all__ = ["worker"]


@pytest.fixture(autouse=True)
def database(refold: Refold, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is there, and no stop by environment or file."""
    for name in ("WORKFLOW_EMERGENCY_STOP", "REFOLD_STOP_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert refold("start", "hello.json", "--run-id", "first").code == 0


def first_word(refold: Refold) -> str:
    done = refold("emergency-stop", "status")
    assert done.code == 0
    return done.out.split()[0]


def test_the_first_word_of_the_status_is_stopped_or_running(refold: Refold) -> None:
    assert first_word(refold) == "RUNNING"
    done = refold("emergency-stop", "enable", "--reason", "fire", "--by", "ada")
    assert (done.code, done.err) == (0, "") and "global" in done.out and "by ada" in done.out and "fire" in done.out
    assert first_word(refold) == "STOPPED"
    assert refold("emergency-stop", "disable").code == 0
    assert first_word(refold) == "RUNNING"


def test_the_status_of_a_database_that_is_not_there_is_not_that_nothing_is_stopped(refold: Refold) -> None:
    done = refold("emergency-stop", "status", "--database", "sqlite:///none.db", "--json")
    assert done.code == 5 and "none.db" in done.err and "RUNNING" not in done.out


def test_the_status_as_json_names_scopes_who_when_and_why(refold: Refold) -> None:
    refold("emergency-stop", "enable", "--tenant", "acme", "--cancel-running", "--reason", "leak", "--by", "ada")
    refold("emergency-stop", "enable", "--workflow", "hello")
    (told,) = refold("emergency-stop", "status", "--json").lines
    assert told["status"] == "STOPPED"
    tenant, workflow = told["stops"]
    assert tenant.pop("at") > 0
    assert tenant == {
        "scope": "tenant", "name": "acme", "running": "cancel", "reason": "leak", "by": "ada", "source": "log"
    }  # fmt: skip
    assert (workflow["scope"], workflow["name"], workflow["running"]) == ("workflow", "hello", "finish")


def test_a_release_without_a_stop_says_that_nothing_was_changed(refold: Refold) -> None:
    refold("emergency-stop", "enable", "--queue", "slow")
    done = refold("emergency-stop", "disable", "--tenant", "acme")
    assert done.code == 0 and done.out.startswith("STOPPED") and "no stop (tenant acme) was in force" in done.out
    (told,) = refold("emergency-stop", "disable", "--all", "--json").lines
    assert told["status"] == "RUNNING" and [each["name"] for each in told["released"]] == ["slow"]


def test_what_is_refused_because_of_a_stop_exits_with_6(refold: Refold) -> None:
    refold("emergency-stop", "enable", "--reason", "fire")
    done = refold("run", "hello.json", "--run-id", "r")
    assert done.code == 6 and "EMERGENCY_STOP" in done.err and "fire" in done.err
    assert refold("show", "r").code == 2
    assert refold("resume", "first").code == 6
    assert refold("start", "hello.json", "--run-id", "later").code == 0
    assert refold("cancel", "later").code == 0
    refold("emergency-stop", "disable")
    assert refold("resume", "first").code == 0


@pytest.mark.parametrize(
    "words",
    [("--tenant", "a", "--queue", "b"), ("--tenant", "no/tenant"), ("--workflow", "a#1"), ("--queue", "")],
    ids=" ".join,
)
def test_an_impossible_scope_is_refused(refold: Refold, words: tuple[str, ...]) -> None:
    assert refold("emergency-stop", "enable", *words).code == 2
    assert first_word(refold) == "RUNNING"


def test_a_database_that_is_not_there_is_not_stopped(refold: Refold) -> None:
    done = refold("emergency-stop", "enable", "--database", "sqlite:///elsewhere.db")
    assert done.code == 5 and not Path("elsewhere.db").exists()


def test_the_status_tells_of_stops_by_environment_and_file(refold: Refold, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("stop").write_text("the cellar is wet")
    monkeypatch.setenv("WORKFLOW_EMERGENCY_STOP", "1")
    monkeypatch.setenv("REFOLD_STOP_FILE", "stop")
    (told,) = refold("emergency-stop", "status", "--json").lines
    assert [(each["source"], each["reason"]) for each in told["stops"]] == [
        ("environment", "WORKFLOW_EMERGENCY_STOP=1"),
        ("file", "the cellar is wet"),
    ]
    assert refold("run", "hello.json").code == 6


def test_a_stop_is_proved_with_everything_else(refold: Refold) -> None:
    refold("emergency-stop", "enable")
    refold("emergency-stop", "disable")
    done = refold("verify", "--all", "--json")
    assert done.code == 0


def test_a_worker_says_that_it_is_stopped_and_goes_on_after_the_release(refold: Refold, worker: StartWorker) -> None:
    refold("emergency-stop", "enable", "--workflow", "hello", "--reason", "fire")
    process = worker()
    eventually(lambda: refold("workers", "--json").lines, "the worker reports itself")
    assert status_of(refold, "first") in ("queued", "waiting")
    refold("emergency-stop", "disable", "--workflow", "hello")
    comes_to(refold, "first", "completed")
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert "emergency stop (workflow hello)" in said and "no emergency stop is in force any more" in said
