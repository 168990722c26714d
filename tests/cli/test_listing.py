"""`refold list` with every option, from the log and from the index, and what is read from the projections that grow."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from refold import WorkflowEngine, open_store, set_attribute, workflow
from refold.core.events import RunStarted
from refold.eventstore.owner import this_process
from refold.eventstore.store import Store
from refold.projections.projector import known_projections
from refold.projections.runner import Runner, generation_for
from refold.tests.cli.driver import Refold
from refold.tests.support.grown import add_busy, shop_skills, spec_of
from refold.tests.support.units import Writer, started

URL = "sqlite:///refold.db"


def said(value: object) -> str:
    """The name of a case: its words."""
    texts = [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
    return " ".join(texts) or "-"


@workflow("marked", version="7")
async def marked(n: int) -> int:
    """A run with an attribute."""
    set_attribute("n", n)
    return n


async def add_runs(store: Store) -> None:
    """b0 (priced), b1 (completed), b2 (cancelled), b3 (waits), their children, and m1, m2 with attributes."""
    await add_busy(store, 4, 1)
    skills = shop_skills()
    skills.add_workflow(marked)
    async with WorkflowEngine(store, skills) as engine:
        for n in (1, 2):
            await engine.run(marked, f"m{n}", inputs={"n": n}, agent_id="marker")
        failing = {**spec_of("priced", 1), "version": "9"}
        failing["steps"] = [{**failing["steps"][1], "step_id": "only", "depends_on": [], "on_error": "abort"}]
        await engine.run(failing, "f1")


def keep(store: Store) -> None:
    """Bring the projections that leave runs aside up to date; their leases stay with this process."""
    for projection in (each for each in known_projections().values() if not each.strict):
        of = generation_for(store, projection)
        assert of is not None
        runner = Runner(store, projection, this_process("test"), of, lease_seconds=1000)
        while runner.step():
            pass


@pytest.fixture
def runs(folder: object) -> Iterator[Store]:
    """The runs of `add_runs`, and one queued on the queue `slow` that began in 2023."""
    with closing(open_store(URL)) as store:
        asyncio.run(add_runs(store))
        writer = Writer()
        old = started("old")
        fields = {name: getattr(old, name) for name in old.__slots__}
        store.commit([writer.unit(("default/old", [RunStarted(**{**fields, "queue": "slow"})]))], "w")
        yield store


@pytest.fixture(params=["log", "index"])
def either(runs: Store, request: pytest.FixtureRequest) -> Store:
    """The runs without an index, and with one that is kept."""
    if request.param == "index":
        keep(runs)
    return runs


CHILDREN = ["b1~2", "b2~2", "b3~2"]
ALL = {"old", "f1", "m2", "m1", "b0", "b1", "b2", "b3", *CHILDREN}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ALL),
        (["--status", "queued"], {"old"}),
        (["--status", "waiting"], {"b3"}),
        (["--status", "waiting", "--status", "queued"], {"b3", "old"}),
        (["--prefix", "m"], {"m1", "m2"}),
        (["--forked-from", "b1"], set[str]()),
        (["--type", "priced"], {"b0", "f1"}),
        (["--type", "priced", "--version", "9"], {"f1"}),
        (["--version", "7"], {"m1", "m2"}),
        (["--agent", "marker"], {"m1", "m2"}),
        (["--agent", "nobody"], set[str]()),
        (["--queue", "slow"], {"old"}),
        (["--queue", "default", "--type", "busy", "--status", "cancelled"], {"b2"}),
        (["--error-code", "SKILL_ERROR"], {"f1"}),
        (["--error-code", "RUN_CANCELLED"], {"b2"}),
        (["--attribute", "n=2"], {"m2"}),
        (["--attribute", "n=2", "--agent", "marker", "--status", "completed"], {"m2"}),
        (["--started-since", "1h"], ALL - {"old"}),
        (["--started-since", "2023-01-01", "--started-until", "2024-01-01"], {"old"}),
        (["--started-until", "1h"], {"old"}),
        (["--ended-since", "1h", "--type", "busy"], {"b1", "b2"}),
        (["--ended-until", "1h"], set[str]()),
    ],
    ids=said,
)
def test_every_filter_finds_its_runs(refold: Refold, either: Store, words: list[str], found: set[str]) -> None:
    told = refold("list", *words, "--json")
    assert told.code == 0 and {row["run_id"] for row in told.lines} == found
    counted = refold("list", *words, "--count", "--json")
    assert counted.lines == [{"runs": len(found), "left_aside": 0, "unknown": 0}]


def test_bounds_are_with_since_and_without_until(refold: Refold, either: Store) -> None:
    (row,) = refold("list", "--agent", "marker", "--attribute", "n=1", "--json").lines
    for side in ("started", "ended"):
        at = str(row[f"{side}_at"])
        since = {each["run_id"] for each in refold("list", f"--{side}-since", at, "--json").lines}
        until = {each["run_id"] for each in refold("list", f"--{side}-until", at, "--json").lines}
        assert "m1" in since and "m1" not in until


def test_limit_and_before_go_page_by_page_through_a_filter(refold: Refold, either: Store) -> None:
    seen: list[object] = []
    cursor: list[object] = []
    for number in range(3):
        page = refold("list", "--type", "small", "--limit", 1, *cursor, "--json")
        seen += [row["run_id"] for row in page.lines]
        cursor = ["--before", page.lines[-1]["cursor"]]
        assert ("more: " in page.err) is (number < 2)
    assert seen == CHILDREN[::-1]


def test_a_row_tells_all_that_runs_are_filtered_by(refold: Refold, either: Store) -> None:
    (row,) = refold("list", "--error-code", "SKILL_ERROR", "--json").lines
    assert row["started_at"] < row["ended_at"]
    assert {name: row[name] for name in row if name not in ("started_at", "ended_at", "cursor")} == {
        "run_id": "f1",
        "workflow_type": "priced",
        "workflow_version": "9",
        "status": "failed",
        "agent_id": None,
        "queue": "default",
        "error_code": "SKILL_ERROR",
        "parent": None,
        "forked_from": None,
        "events": 5,
        "left_aside": False,
    }


def test_runs_are_counted_by_what_is_named(refold: Refold, either: Store) -> None:
    by_type = refold("list", "--by", "type", "--by", "status", "--json").lines
    assert {(row["type"], row["status"]): row["runs"] for row in by_type} == {
        ("busy", "cancelled"): 1,
        ("busy", "completed"): 1,
        ("busy", "waiting"): 1,
        ("made-by-hand", "queued"): 1,
        ("marked", "completed"): 2,
        ("priced", "completed"): 1,
        ("priced", "failed"): 1,
        ("small", "completed"): 3,
    }
    assert refold("list", "--by", "error-code", "--status", "failed", "--json").lines == [
        {"error_code": "SKILL_ERROR", "runs": 1, "left_aside": 0}
    ]
    days = [row["day"] for row in refold("list", "--by", "day", "--json").lines]
    assert days == ["2023-11-14T00:00:00.000000Z", f"{datetime.now(UTC):%Y-%m-%d}T00:00:00.000000Z"]
    assert refold("list", "--count").out == "11\n"
    shown = refold("list", "--by", "queue").out.split()
    assert shown[-4:] == ["default", "10", "slow", "1"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--status", "done"], "no status is called"),
        (["--by", "colour"], "nothing is counted by"),
        (["--by", "type", "--by", "type"], "given twice"),
        (["--count", "--before", "7"], "nowhere to go on"),
        (["--started-since", "yesterday"], "--started-since 'yesterday' is no time"),
        (["--ended-until", "99999-01-01"], "--ended-until '99999-01-01' is no time"),
        (["--attribute", "n"], "says no value"),
        (["--tenant", "a/b"], "tenant"),
        (["--colour", "red"], "No such option"),
    ],
    ids=said,
)
def test_what_cannot_be_served_is_refused(refold: Refold, runs: Store, words: list[str], reason: str) -> None:
    told = refold("list", *words, "--json")
    assert told.code == 2 and reason in told.err
    assert [[*line] for line in told.lines] == [["error"]], "no run is listed"


def test_runs_that_the_index_left_aside_are_listed_and_told(refold: Refold, runs: Store) -> None:
    with closing(sqlite3.connect("refold.db")) as connection, connection:
        connection.execute("UPDATE stored_events SET state = 'x' WHERE originator_id = 'default/m1'")
    keep(runs)
    told = refold("list", "--limit", 30, "--json")
    assert {row["run_id"]: row["status"] for row in told.lines if row["left_aside"]} == {"m1": "unreadable"}
    assert len(told.lines) == len(ALL) and "1 runs are parked by the index and read from the log" in told.err
    counted = refold("list", "--count", "--json")
    assert counted.lines == [{"runs": len(ALL), "left_aside": 1, "unknown": 0}]
    missed = refold("list", "--type", "marked", "--json")
    assert [row["run_id"] for row in missed.lines] == ["m2"] and "1 runs cannot be read" in missed.err
    assert refold("list", "--type", "marked", "--count", "--json").lines[0]["unknown"] == 1


@pytest.mark.parametrize("words", [["failures", "list"], ["failures", "counts"], ["costs"]], ids=said)
def test_what_is_not_built_yet_is_said(refold: Refold, runs: Store, words: list[str]) -> None:
    told = refold(*words)
    assert told.code == 2 and "is not built yet. Fix: start: refold projector" in told.err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], [("f1", "run"), ("f1", "step"), ("f1", "attempt"), ("f1", "attempt"), ("b2", "run"), ("b1", "step")]),
        (["--kind", "run"], [("f1", "run"), ("b2", "run")]),
        (["--error-code", "MADE_UP"], [("b1", "step")]),
        (["--category", "PERMANENT"], [("b2", "run")]),
        (["--type", "busy"], [("b2", "run"), ("b1", "step")]),
        (["--version", "9", "--kind", "step"], [("f1", "step")]),
        (["--skill", "paid"], [("b1", "step")]),
        (["--agent", "nobody"], []),
        (["--run", "b2"], [("b2", "run")]),
        (["--since", "1h", "--run", "b1"], [("b1", "step")]),
        (["--until", "1h"], []),
        (["--tenant", "other"], []),
    ],
    ids=said,
)
def test_failures_are_listed_by_every_option(
    refold: Refold, runs: Store, words: list[str], found: list[tuple[str, str]]
) -> None:
    keep(runs)
    told = refold("failures", "list", *words, "--json")
    rows = [(row["run_id"], row["kind"]) for row in told.lines if row["run_id"] != "b0"]
    assert told.code == 0 and rows[:4] == found[:4] and set(rows) == set(found)


def test_failures_go_by_pages(refold: Refold, runs: Store) -> None:
    keep(runs)
    whole = refold("failures", "list", "--limit", 100, "--json").lines
    page = refold("failures", "list", "--limit", 5, "--json")
    cursor = page.err.split()[-1]
    rest = refold("failures", "list", "--limit", 100, "--before", cursor, "--json")
    assert page.lines + rest.lines == whole and not rest.err
    assert refold("failures", "list", "--before", "nonsense").code == 2
    assert "MADE_UP" in refold("failures", "list").out


def test_failures_are_counted(refold: Refold, runs: Store) -> None:
    keep(runs)
    counted = refold("failures", "counts", "--type", "priced", "--version", "9", "--json").lines
    assert counted == [
        {"kind": kind, "code": "SKILL_ERROR", "failures": n} for kind, n in (("attempt", 2), ("run", 1), ("step", 1))
    ]
    words = ["--by", "category", "--by", "workflow", "--by", "skill", "--by", "day", "--kind", "step", "--json"]
    rows = refold("failures", "counts", *words).lines
    assert [(row["category"], row["workflow"], row["skill"], row["failures"]) for row in rows] == [
        (None, "busy", "paid", 1),
        ("TRANSIENT", "priced", "stubborn", 2),
    ]
    assert "RUN_CANCELLED" in refold("failures", "counts", "--category", "PERMANENT", "--since", "1h").out
    assert refold("failures", "counts", "--until", "1h").err == "there are none\n"
    assert refold("failures", "counts", "--by", "colour").code == 2
    assert refold("failures", "counts", "--kind", "colour").code == 2


def test_costs_are_added_up(refold: Refold, runs: Store) -> None:
    keep(runs)
    (row,) = refold("costs", "--run", "f1", "--by", "skill", "--by", "agent", "--json").lines
    assert row == {"skill": "stubborn", "agent": None, "attempts": 3, "cost_cents": 6.0}
    rows = refold("costs", "--by", "tenant", "--all-tenants", "--skill", "paid", "--json").lines
    assert rows == [{"tenant": "default", "attempts": 10, "cost_cents": 1.0}], "ten times a tenth is one"
    assert {row["workflow"] for row in refold("costs", "--json").lines} == {"busy", "priced", "small"}
    assert refold("costs", "--tenant", "other").err == "there are none\n"
    assert refold("costs", "--by", "kind").code == 2
    assert "cost_cents" in refold("costs", "--type", "priced", "--version", "9", "--since", "1h").out


def test_what_is_behind_the_log_says_so(refold: Refold, runs: Store) -> None:
    keep(runs)
    runs.commit([Writer().run("late")], "w")
    for words in (["costs"], ["failures", "counts"]):
        assert "1 events, " in refold(*words).err and "behind the log" in refold(*words).err
    assert "the index of runs is 1 events" in refold("list", "--count").err


def test_a_timeline_is_drawn_and_told(refold: Refold, runs: Store) -> None:
    shown = refold("timeline", "b1")
    assert shown.code == 0 and "█" in shown.out and "━" in shown.out and "▲" in shown.out
    lines = [line.split() for line in shown.out.splitlines() if line.strip()]
    names = [line[0] for line in lines[2:]]
    assert names[:4] == ["run", "paid#0.0.0", "paid#0.1.0", "sleep#1"] and "MADE_UP" in shown.out
    told = refold("timeline", "b1", "--json").lines
    assert [row["kind"] for row in told[4:8]] == ["timer", "step", "child", "step"]
    assert told[0]["took_seconds"] > 0 and told[0]["started_at"] < told[0]["ended_at"]
    short = refold("timeline", "b1", "--limit", 2, "--json")
    assert len(short.lines) == 2 and "more spans" in short.err
    assert "…" in refold("timeline", "b3").out
    assert refold("timeline", "nobody").code == 2
    assert refold("timeline", "b1", "--tenant", "other").code == 2


@pytest.mark.parametrize(
    "words", [["list"], ["timeline"], ["failures", "list"], ["failures", "counts"], ["costs"]], ids=said
)
def test_every_command_explains_itself(refold: Refold, words: list[str]) -> None:
    shown = refold(*words, "--help")
    assert shown.code == 0 and "--database" in shown.out and "Usage: refold" in shown.out
