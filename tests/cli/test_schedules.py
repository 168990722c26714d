"""`refold schedules`: definitions in files, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path

from refold.tests.cli.driver import Refold


def define(folder: Path, **fields: object) -> str:
    definition = {"schedule_id": "nightly", "workflow": "report", "cron": "0 2 * * *", **fields}
    (folder / "nightly.yaml").write_text(json.dumps(definition))
    return "nightly.yaml"


def test_a_schedule_is_created_listed_paused_resumed_triggered_and_deleted(refold: Refold, folder: Path) -> None:
    created = refold("schedules", "create", define(folder, timezone="Europe/Berlin"), "--paused")
    assert created.code == 0 and "nightly  paused  0 2 * * * Europe/Berlin, runs report" in created.out

    (listed,) = refold("schedules", "list", "--json").lines
    assert (listed["schedule"]["schedule_id"], listed["status"], listed["fired"]) == ("nightly", "paused", 0)
    assert "nightly" in refold("schedules", "list").out

    assert refold("schedules", "resume", "nightly").code == 0
    assert refold("schedules", "show", "nightly", "--json").lines[0]["status"] != "paused"
    assert refold("schedules", "pause", "nightly", "--reason", "holidays").code == 0
    assert refold("schedules", "show", "nightly", "--json").lines[0]["status"] == "paused"
    assert refold("schedules", "trigger", "nightly", "--key", "once").code == 0

    deleted = refold("schedules", "delete", "nightly", "--json")
    assert deleted.code == 0 and deleted.lines[0]["status"] == "cancelled"
    assert "no schedules" in refold("schedules", "list").err
    gone = refold("schedules", "trigger", "nightly")
    assert gone.code == 6 and "the schedule 'nightly' has ended (cancelled)" in gone.err


def test_a_wrong_definition_is_refused_with_pointers_before_anything_is_written(refold: Refold, folder: Path) -> None:
    refused = refold("schedules", "create", define(folder, cron="0 25 * * *", overlap="skipp"), "--json")
    assert refused.code == 2 and "did you mean 'skip'?" in refused.err
    assert [problem["pointer"] for problem in refused.lines[0]["error"]["problems"]] == ["/cron", "/overlap"]
    assert not (folder / "refold.db").exists()


def test_another_definition_under_the_same_id_is_refused(refold: Refold, folder: Path) -> None:
    assert refold("schedules", "create", define(folder)).code == 0
    assert refold("schedules", "create", define(folder)).code == 0
    conflict = refold("schedules", "create", define(folder, cron="0 3 * * *"))
    assert conflict.code == 2 and "exists with another definition" in conflict.err


def test_an_unknown_schedule_is_told_apart_from_a_run(refold: Refold) -> None:
    assert refold("run", "hello.json", "--run-id", "r").code == 0
    for name in ("r", "nobody"):
        shown = refold("schedules", "show", name)
        assert shown.code == 2 and f"no schedule '{name}' of tenant 'default'" in shown.err
