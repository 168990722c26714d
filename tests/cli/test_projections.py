"""`refold projector` and `refold projections`, as processes."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from refold import open_store
from refold.projections.projector import known_projections
from refold.tests.cli.driver import HELLO, Refold, Write, start
from refold.tests.support.units import Writer

SOON_SECONDS = 30

NAMES = sorted(known_projections())

Three = list[str]


@pytest.fixture
def three(refold: Refold, write: Write) -> Three:
    """Three runs in the current folder's database."""
    spec = write(*HELLO["steps"], inputs=HELLO["inputs"])
    names = ["one", "two", "three"]
    for name in names:
        assert refold("run", spec, "--run-id", name, "--json").code == 0
    return names


@pytest.fixture
def projector() -> Iterator[Popen[str]]:
    """A projector that is stopped after the test."""
    process = start("projector")
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON_SECONDS)


def wait_until_followed(refold: Refold) -> list[dict[str, object]]:
    deadline = time.monotonic() + SOON_SECONDS
    lines: list[dict[str, object]] = []
    while time.monotonic() < deadline:
        lines = refold("projections", "list", "--json").lines
        if len(lines) == len(NAMES) and all(each["state"] == "following" and each["lag_events"] == 0 for each in lines):
            return lines
    raise AssertionError(f"the projections were not brought up: {lines}")


@pytest.mark.parametrize(
    "words",
    [
        ["projector"],
        *(
            ["projections", each]
            for each in ["list", "status", "rebuild", "pause", "resume", "drop-old", "parked", "retry"]
        ),
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(refold: Refold, words: list[str]) -> None:
    shown = refold(*words, "--help")
    assert shown.code == 0 and "--database" in shown.out and "Usage: refold" in shown.out


def test_a_projector_follows_the_log_and_is_drained_by_sigterm(refold: Refold, three: Three) -> None:
    process = start("projector")
    lines = wait_until_followed(refold)
    assert [each["name"] for each in lines] == NAMES
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SOON_SECONDS)
    assert (
        process.returncode == 0
        and "keeps runs, checkpoints, " in err
        and f"is drained: {15 * len(NAMES)} events" in err
    ), err
    states = {each["name"]: each["state"] for each in refold("projections", "list", "--json").lines}
    assert states == dict.fromkeys(NAMES, "idle")


def test_a_projector_can_keep_a_single_projection(refold: Refold, three: Three) -> None:
    process = start("projector", "--only", "runs")
    deadline = time.monotonic() + SOON_SECONDS
    while not refold("projections", "list", "--json").lines and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SOON_SECONDS)
    told = refold("projections", "list", "--json")
    assert [each["name"] for each in told.lines] == ["runs"] and "not built yet: checkpoints, " in told.err


def test_the_list_is_the_same_with_and_without_an_index(
    refold: Refold, three: Three, request: pytest.FixtureRequest
) -> None:
    without = [refold("list", *words, "--json") for words in ([], ["--limit", "2"], ["--status", "completed"])]
    request.getfixturevalue("projector")
    wait_until_followed(refold)
    through = [refold("list", *words, "--json") for words in ([], ["--limit", "2"], ["--status", "completed"])]
    assert [(each.code, each.out, each.err) for each in through] == [
        (each.code, each.out, each.err) for each in without
    ]
    assert [line["run_id"] for line in through[0].lines] == ["three", "two", "one"]
    cursor = str(through[1].lines[-1]["cursor"])
    assert [line["run_id"] for line in refold("list", "--before", cursor, "--json").lines] == ["one"]


def test_a_rebuild_is_told_and_what_it_replaced_is_dropped(refold: Refold, three: Three) -> None:
    first = refold("projections", "rebuild", "runs", "--json")
    assert first.lines[0]["generation"] == 1 and first.lines[0]["events"] == 15
    (second,) = refold("projections", "rebuild", "runs", "--compare", "--json").lines
    assert (second["generation"], second["compared"], second["switched"]) == (2, True, True)
    shadow = refold("projections", "rebuild", "runs", "--shadow")
    assert shadow.code == 0 and "equal to the one that is read; it is thrown away again" in shadow.out
    assert [each["generation"] for each in refold("projections", "status", "runs", "--json").lines] == [1, 2]
    assert refold("projections", "drop-old", "runs", "--json").lines == [{"name": "runs", "dropped": [1]}]
    assert "nothing dropped" in refold("projections", "drop-old", "runs").out


def test_rows_that_differ_end_with_exit_code_3(refold: Refold, three: Three) -> None:
    assert refold("projections", "rebuild", "runs").code == 0
    with sqlite3.connect("refold.db") as connection:
        connection.execute("UPDATE p_runs_1 SET status = 'forged' WHERE run_id = 'two'")
    connection.close()
    told = refold("projections", "rebuild", "runs", "--compare")
    assert told.code == 3 and "the rows of runs differ" in told.err


def test_a_paused_projection_is_not_rebuilt_until_it_is_resumed(refold: Refold, three: Three) -> None:
    assert refold("projections", "pause", "runs").code == 2, "it is not built yet"
    refold("projections", "rebuild", "runs")
    assert refold("projections", "pause", "runs", "--json").lines == [{"name": "runs", "paused": True}]
    assert [each["state"] for each in refold("projections", "list", "--json").lines] == ["paused"]
    refused = refold("projections", "rebuild", "runs")
    assert refused.code == 6 and "refold projections resume runs" in refused.err
    assert refold("projections", "resume", "runs").out == "runs goes on\n"
    assert refold("projections", "rebuild", "runs").code == 0


def test_a_run_left_aside_is_listed_and_retried(refold: Refold, three: Three) -> None:
    with sqlite3.connect("refold.db") as connection:
        connection.execute(
            "UPDATE stored_events SET state = 'x' WHERE originator_id = 'default/two' AND originator_version = 3"
        )
    connection.close()
    refold("projections", "rebuild", "runs")
    (parked,) = refold("projections", "parked", "--json").lines
    assert (parked["projection"], parked["stream"], parked["version"]) == ("runs", "default/two", 3)
    assert "default/two" in refold("projections", "parked", "runs").out
    assert refold("projections", "retry", "runs", "one").code == 2
    assert refold("projections", "retry", "runs", "two", "--json").lines == [{"name": "runs", "retried": 1}]
    assert "to be tried again" in refold("projections", "parked").out


def test_a_stopped_projection_is_told_by_an_exit_code(refold: Refold, three: Three) -> None:
    with sqlite3.connect("refold.db") as connection:
        connection.execute("UPDATE stored_events SET state = 'x' WHERE rowid = 8")
    connection.close()
    stopped = refold("projections", "rebuild", "checkpoints")
    assert stopped.code == 4 and "at position 8 cannot be taken in" in stopped.err
    process = start("projector")
    deadline = time.monotonic() + SOON_SECONDS
    while (told := refold("projections", "status", "checkpoints")).code == 0 and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON_SECONDS)
    assert told.code == 1 and "stands still: event 3 of default/two at position 8" in told.err


@pytest.mark.parametrize("command", ["status", "rebuild", "pause", "resume", "drop-old", "parked", "retry"])
def test_a_projection_that_does_not_exist_is_refused(refold: Refold, command: str, three: Three) -> None:
    told = refold("projections", command, "nope")
    assert told.code == 2 and "no projection is called 'nope'. Fix: use one of approvals, checkpoints, " in told.err


@pytest.mark.parametrize("command", ["rebuild", "pause", "resume", "drop-old", "retry"])
def test_nothing_is_made_where_there_is_no_database(refold: Refold, command: str) -> None:
    assert refold("projections", command, "runs").code == 5 and not Path("refold.db").exists()


@pytest.fixture
def many(folder: Path) -> int:
    """So many runs that a rebuild is divided; told is how many."""
    count, writer = 60_000, Writer()
    with closing(open_store()) as store:
        for first in range(0, count, 1000):
            store.commit([writer.run(f"r{n}") for n in range(first, first + 1000)], "w")
    return count


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_rebuild_that_is_killed_leaves_no_process_and_goes_on(refold: Refold, many: int, number: int) -> None:
    process = start("projections", "rebuild", "checkpoints", "--processes", "2")
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + SOON_SECONDS
    helpers: list[psutil.Process] = []
    while len(helpers) < 2 and process.poll() is None and time.monotonic() < deadline:
        helpers = parent.children()
    assert len(helpers) == 2, "the log was not divided"
    assert not any("refold.db" in word for helper in helpers for word in helper.cmdline())
    process.send_signal(number)
    process.communicate(timeout=SOON_SECONDS)
    _, alive = psutil.wait_procs(helpers, SOON_SECONDS)
    assert alive == []
    done = refold("projections", "rebuild", "checkpoints", "--processes", "3", "--json")
    assert done.code == 0, done.err
    (told,) = done.lines
    assert told["generation"] == 1 and told["position"] == many and told["switched"]
    assert sqlite3.connect("refold.db").execute("SELECT count(*) FROM p_checkpoints_1").fetchone() == (many,)
