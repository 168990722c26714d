"""`refold list`, `show`, `events`, `verify` and the small commands: what people and programs read."""

from __future__ import annotations

import json
import re
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from refold.ops.cli.faults import secrets_of
from refold.ops.cli.output import duration, excerpt, plain
from refold.projections.times import iso
from refold.tests.cli.driver import Refold, Write


@pytest.fixture
def runs(refold: Refold, write: Write) -> None:
    """Three runs: `first` and `third` completed, `second` failed."""
    broken = write(
        {"step_id": "wrong", "skill_id": "transform", "inputs": {"expression": "("}, "on_error": "skip"},
        {"step_id": "never", "skill_id": "echo", "depends_on": ["wrong"]},
        {"step_id": "last", "skill_id": "transform", "inputs": {"expression": ")"}},
    )
    refold("run", "hello.json", "--run-id", "first", "--seed", 7)
    refold("run", broken, "--run-id", "second")
    refold("run", "hello.json", "--run-id", "third")


def squeezed(text: str) -> list[str]:
    """Lines with times, durations and hashes taken out, and single blanks."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d\.\d{3}", "TIME", text)
    text = re.sub(r"\b\d+(\.\d)? m?s\b", "SPAN", text)
    text = re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{10,12})\b|\b[0-9a-f]{13,}(?=…)", "HASH", text)
    text = re.sub(r" *━+", " BAR", text)
    text = re.sub(r"0\.\d{5,}", "0.2", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip(" ─")]


def test_list_shows_the_latest_first(refold: Refold, runs: None) -> None:
    assert squeezed(refold("list").out) == [
        "run type status started (UTC) took events",
        "third hello completed TIME SPAN 5",
        "second test failed TIME SPAN 5",
        "first hello completed TIME SPAN 5",
    ]


def test_list_goes_by_pages_and_by_status(refold: Refold, runs: None) -> None:
    page = refold("list", "--limit", 2, "--json")
    assert [row["run_id"] for row in page.lines] == ["third", "second"]
    cursor = page.lines[-1]["cursor"]
    assert page.err == f"more: refold list --before {cursor}\n"
    rest = refold("list", "--before", cursor, "--json")
    assert [row["run_id"] for row in rest.lines] == ["first"] and not rest.err
    (failed,) = refold("list", "--status", "failed", "--json").lines
    assert {name: failed[name] for name in ("run_id", "workflow_type", "status", "events")} == {
        "run_id": "second",
        "workflow_type": "test",
        "status": "failed",
        "events": 5,
    }
    assert failed["started_at"] <= failed["ended_at"]
    assert refold("list", "--status", "done").code == 2


def test_tenants_do_not_see_each_other(refold: Refold, runs: None) -> None:
    done = refold("list", "--tenant", "other")
    assert (done.code, done.out, done.err) == (0, "", "no runs\n")
    assert refold("show", "first", "--tenant", "other").code == 2


def test_show_draws_the_steps_of_a_run(refold: Refold, runs: None) -> None:
    assert squeezed(refold("show", "first").out) == [
        "completed hello version 1",
        "run first",
        "started TIME UTC, took SPAN, seed 7, 5 events, cost –",
        "step skill tries when took cost hash output",
        '✓ greet echo 1 BAR SPAN HASH {"text":"Hello Ada"}',
        '✓ digest hash 1 BAR SPAN HASH {"sha256":"HASH…',
        '✓ dice random 1 BAR SPAN HASH {"value":0.2}',
        'output {"dice":{"value":0.2}}',
        "hash HASH",
    ]


def test_show_tells_why_a_run_failed(refold: Refold, runs: None) -> None:
    lines = squeezed(refold("show", "second").out)
    assert lines[0] == "failed test version 1"
    assert any(re.match(r"✗ wrong transform 1 .*\[TRANSFORM_FAILED\]", line) for line in lines)
    assert any(re.match(r"↷ never echo .*depends on wrong", line) for line in lines)
    assert any(line.startswith("error [TRANSFORM_FAILED]") for line in lines)


def test_show_json_is_the_result(refold: Refold, runs: None) -> None:
    (result,) = refold("show", "first", "--json").lines
    assert result == refold("run", "hello.json", "--run-id", "first", "--seed", 7, "--json").lines[-1]


def test_show_leaves_out_steps_beyond_the_limit_and_says_so(refold: Refold, runs: None) -> None:
    done = refold("show", "first", "--limit", 1)
    assert "digest" not in done.out.partition("output ")[0] and "… and 2 more steps: --limit 3" in done.out


def test_events_are_a_line_each(refold: Refold, runs: None) -> None:
    assert squeezed(refold("events", "first").out)[:3] == [
        '1 TIME run.started HASH hello inputs {"name":"Ada"}',
        '2 TIME step.completed HASH greet output {"text":"Hello Ada"}',
        '3 TIME step.completed HASH digest output {"sha256":"HASH"}',
    ]
    assert [line["version"] for line in refold("events", "first", "--after", 2, "--limit", 2, "--json").lines] == [3, 4]


def test_events_as_json_form_a_chain_that_anybody_can_check(refold: Refold, runs: None) -> None:
    events = refold("events", "first", "--json").lines
    assert [event["predecessor"] for event in events] == [None, *(event["hash"] for event in events[:-1])]
    assert [event["topic"] for event in events][::4] == ["run.started", "run.completed"]
    with sqlite3.connect("refold.db") as database:
        head = database.execute("SELECT hash FROM stream_heads WHERE stream = 'default/first'").fetchone()[0]
    assert events[-1]["hash"] == head


def test_verify_tells_both_verdicts(refold: Refold, runs: None) -> None:
    done = refold("verify", "first")
    assert done.code == 0
    assert squeezed(done.out) == [
        "intact first completed 5 events",
        "chain ok no byte was altered, none is missing",
        "fold ok folding again gives the recorded hashes",
        "hash HASH",
    ]
    (verdict,) = refold("verify", "first", "--json").lines
    assert verdict["ok"] and verdict["chain"]["ok"] and verdict["fold"]["ok"]


def tamper(statement: str) -> None:
    """Alter the database behind Refold's back."""
    database = sqlite3.connect("refold.db")
    with database:
        assert database.execute(statement).rowcount == 1
    database.close()


def test_one_altered_byte_is_found_and_the_event_named(refold: Refold, runs: None) -> None:
    tamper(
        "UPDATE stored_events SET state = CAST(replace(state, 'Hello Ada', 'Hello Eve') AS BLOB) "
        "WHERE originator_id = 'default/first' AND originator_version = 2"
    )
    done = refold("verify", "first")
    assert done.code == 4
    assert done.out.startswith("broken  first") and "event 2 of default/first: changed" in done.out
    verdict, total = refold("verify", "--all", "--json").lines[0], refold("verify", "--all", "--json").lines[-1]
    assert not verdict["ok"] and verdict["chain"]["findings"][0]["number"] == 2
    counts = {"runs": 3, "events": 15, "specs": 0, "golden_decisions": 0, "archives": 0}
    told = {"tenant": "default", "ok": False, **counts, "broken": 1}
    assert told.items() <= total.items()
    everything = refold("verify", "--all")
    assert everything.code == 4 and "third" not in everything.out and "not as recorded: 1" in everything.out
    assert refold("verify", "third").code == 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM stored_events WHERE originator_id = 'default/first' AND originator_version = 1",
        "DELETE FROM stored_events WHERE originator_id = 'default/first' AND originator_version = 5",
        "DELETE FROM stream_heads WHERE stream = 'default/first'",
        "UPDATE stored_events SET originator_id = 'default/../x' WHERE originator_id = 'default/first' "
        "AND originator_version = 5",
        "UPDATE stored_events SET state = x'00ff' WHERE originator_id = 'default/first' AND originator_version = 3",
        "UPDATE stored_events SET topic = 'step.vanished' WHERE originator_id = 'default/first' "
        "AND originator_version = 3",
    ],
    ids=["first event", "last event", "head", "moved away", "unreadable", "topic"],
)
def test_every_tampering_is_found_among_all_runs_and_none_gives_a_traceback(
    refold: Refold, runs: None, statement: str
) -> None:
    tamper(statement)
    assert refold("verify", "--all").code == 4
    assert refold("verify", "first").code == 4
    for words in (("list",), ("show", "first"), ("events", "first"), ("events", "first", "--json")):
        done = refold(*words)
        assert "Traceback" not in done.err and "INTERNAL_ERROR" not in done.err, words


def test_verifying_a_database_that_is_not_there_is_no_success(refold: Refold, folder: Path) -> None:
    assert refold("verify", "--all").code == 5
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize("words", [("show", "a"), ("events", "a"), ("resume", "a"), ("cancel", "a"), ("verify", "a")])
def test_an_unknown_run_is_said_to_be_unknown_and_nothing_is_created(
    refold: Refold, folder: Path, words: tuple[str, ...]
) -> None:
    done = refold(*words)
    assert done.code == 2 and "[RUN_NOT_FOUND]" in done.err and "there is no database" in done.err
    assert not list(folder.glob("*.db"))


def test_migrate_says_what_it_would_do_then_does_it_once(refold: Refold, folder: Path) -> None:
    assert refold("migrate", "--dry-run").out.startswith("would apply 0001 ")
    assert not (folder / "refold.db").exists()
    (applied, *_) = refold("migrate", "--json").lines
    assert applied["applied"] and applied["number"] == 1
    assert refold("migrate").out == "the schema is up to date\n"


def test_skills_lists_the_ready_ones_and_ours(refold: Refold) -> None:
    names = [skill["skill_id"] for skill in refold("skills", "--json", "--skills", "mine.py").lines]
    assert {"echo", "hash", "http_call", "drifting"} <= set(names)
    assert "Deterministic, it says." in refold("skills", "--skills", "mine.py").out


def test_terminals_are_not_obeyed_from_within_data(refold: Refold, write: Write) -> None:
    hostile = "\x1b[31m\u202e[red]\nnext"
    spec = write({"step_id": "a", "skill_id": "echo", "inputs": {"text": hostile}})
    refold("run", spec, "--run-id", "a")
    for words in (("show", "a"), ("events", "a"), ("run", spec, "--run-id", "a")):
        out = refold(*words).out
        assert "\x1b" not in out and "\u202e" not in out and "[red]" in out


def test_times_and_excerpts() -> None:
    assert iso(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"
    assert iso(-1) == "1969-12-31T23:59:59.999999Z"
    assert iso(10**30) == f"{10**30} µs"
    assert [duration(n) for n in (0, 999_400, 1_500_000, 61_000_000 * 2, 3_660_000_000)] == [
        "0 ms",
        "999 ms",
        "1.5 s",
        "2 min 02 s",
        "1 h 01 min",
    ]
    assert excerpt(b'"abc"', 5) == '"abc"' and excerpt(b'"abcd"', 5) == '"abc…'
    assert excerpt(json.dumps("ä" * 5000, ensure_ascii=False).encode(), 10) == '"' + "ä" * 8 + "…"
    assert plain("a\u009bb\u2066c\td") == "a\\x9bb\\u2066c d"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://a:b%40c@host/db", {"b%40c", "b@c"}),
        ("postgresql://a:b:c@d@host/db", {"b:c@d"}),
        ("postgresql://host/db?user=a&password=p%20q&x=1", {"p%20q", "p q"}),
        ("postgresql://host/db", set()),
        ("sqlite:///a:b@c.db", set()),
    ],
)
def test_the_secrets_of_a_url_are_found(url: str, secrets: set[str]) -> None:
    assert secrets_of(url) == secrets


def test_the_stored_hash_is_sha256_of_what_the_events_show(refold: Refold, runs: None) -> None:
    event = refold("events", "first", "--json").lines[1]
    output = json.dumps(event["data"]["output"], separators=(",", ":")).encode()
    assert event["data"]["output_hash"] == sha256(output).hexdigest()
