"""`refold verify --all`, `replay --all` and `certificate verify`: what they write, and how they end."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from refold.ops.cli import progress
from refold.replay.signing_keys import SigningKey
from refold.tests.cli.driver import Refold, Write

CERTIFICATE = "certificate.json"


@pytest.fixture
def runs(refold: Refold, write: Write) -> None:
    """Three runs of a spec of ready skills, and one of a skill of our own."""
    for number in range(3):
        refold("run", "hello.json", "--run-id", f"hello-{number}", "--seed", number)
    spec = write({"step_id": "shaky", "skill_id": "drifting"})
    refold("run", spec, "--run-id", "mine", "--skills", "mine.py")


@pytest.fixture
def keys(folder: Path) -> None:
    """`key.pem` and `key.pub.pem`, and another pair."""
    for name in ("key", "other"):
        key = SigningKey.generate(f"example.org/{name}")
        key.save(folder / f"{name}.pem")
        (folder / f"{name}.pub.pem").write_bytes(key.verifier.pem())


def test_a_fleet_is_proved_and_counted(refold: Refold, runs: None) -> None:
    done = refold("replay", "--all", "--skills", "mine.py")
    assert done.code == 0
    assert done.out.startswith("equal  4 runs, 18 events\n") and "equal 4" in done.out
    assert "10 steps executed again, 0 served from the log" in done.out
    lines = refold("replay", "--all", "--skills", "mine.py", "--json").lines
    assert len(lines) == 1 and lines[0]["equal"] == 4 and lines[0]["ok"]
    each = refold("replay", "--all", "--skills", "mine.py", "--json", "--each").lines
    assert [line["run_id"] for line in each[:-1]] == ["hello-0", "hello-1", "hello-2", "mine"]
    assert each[-1]["digest"] == lines[0]["digest"]


def test_a_divergence_of_one_run_fails_the_fleet_and_is_told_in_full(
    refold: Refold, runs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFT", "1")
    done = refold("replay", "--all", "--skills", "mine.py", "--junit", "report.xml", "--build", "b8")
    assert done.code == 3
    assert done.out.startswith("diverged  mine") and "event 2, step shaky: CODE_CHANGE" in done.out
    assert "not as recorded: 1" in done.out and "b8 proves; it wrote events of 0 of 4 runs" in done.out
    suites = {suite.get("name"): suite for suite in ElementTree.parse("report.xml").getroot()}
    assert {name: (s.get("tests"), s.get("failures")) for name, s in suites.items()} == {
        "hello": ("1", "0"),
        "test": ("1", "1"),
    }
    case = suites["test"][0]
    assert case.get("name") == "mine" and "CODE_CHANGE" in str(case[0].get("message"))
    assert refold("replay", "--all", "--skills", "mine.py", "--fail-on", "broken").code == 0


def test_runs_whose_code_is_gone_fail_only_when_asked_to(refold: Refold, runs: None) -> None:
    done = refold("replay", "--all")
    assert done.code == 0 and "not verifiable 1" in done.out and "drifting" in done.out
    assert refold("replay", "--all", "--fail-on", "diverged,broken,not_verifiable").code == 1
    assert refold("replay", "mine").code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("replay", "--all", "--sample", "0"),
        ("replay", "--all", "--sample", "200%"),
        ("replay", "--all", "--proof", "chain,magic"),
        ("replay", "--all", "--fail-on", "everything"),
        ("replay", "--all", "--status", "odd"),
        ("replay", "--all", "--since", "yesteryear"),
        ("replay", "--all", "--key", "key.pem"),
        ("replay", "--all", "--job", "no/such/folder/job"),
        ("replay", "--all", "--certificate", "no/such/folder/c.json"),
        ("replay", "--all", "--on", "nonsense"),
        ("replay",),
        ("certificate", "verify", "none.json", "--unsigned"),
        ("certificate", "verify", "hello.json"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(refold: Refold, runs: None, words: tuple[str, ...]) -> None:
    done = refold(*words)
    assert done.code in (2, 5) and "Traceback" not in done.err and "INTERNAL" not in done.err, done.err


def test_a_proof_against_another_version_names_what_it_would_do(refold: Refold, runs: None, write: Write) -> None:
    changed = json.loads(Path("hello.json").read_text())
    changed["steps"][1]["inputs"] = {"text": "changed ${greet.text}"}
    Path("two.json").write_text(json.dumps({**changed, "version": "2"}))
    assert refold("specs", "put", "two.json").code == 0
    done = refold("replay", "--all", "--proof", "decisions", "--against", "2", "--json", "--type", "hello")
    assert done.code == 3
    found = done.lines[0]["proofs"]["decisions"]["divergence"]
    assert found["step_id"] == "digest" and "other inputs" in found["now"]
    gone = refold("replay", "--all", "--proof", "decisions", "--against", "2", "--type", "test", "--skills", "mine.py")
    assert gone.code == 0 and "not verifiable 1" in gone.out and "no workflow 'test' is registered" in gone.out


def test_progress_is_told_in_lines_with_rate_and_time_left(
    refold: Refold, runs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "TELL_SECONDS", -1.0)
    assert re.search(r"replaying: \d+%, 4 runs, [\d,]+ runs/s, [\d,]+ events/s", refold("replay", "--all").err)


def certified(refold: Refold, *words: str) -> bytes:
    assert refold("verify", "--all", "--certificate", CERTIFICATE, *words).code == 0
    return Path(CERTIFICATE).read_bytes()


def test_equal_jobs_give_equal_bodies_whoever_works_on_them(refold: Refold, runs: None) -> None:
    one, two, three = (json.loads(certified(refold, *words)) for words in ((), ("--workers", "2"), ("--job", "j")))
    assert one["body"] == two["body"] == three["body"]
    assert list(one["unsigned"]) == ["made_at"] and "made_at" not in one["body"]
    assert one["body"]["verdicts"]["equal"] == 4 and one["body"]["code"]["skills"]["hash"]["source"]


def test_a_signed_certificate_is_valid_and_tells_what_it_is_about(refold: Refold, runs: None, keys: None) -> None:
    certified(refold, "--key", "key.pem")
    done = refold("certificate", "verify", CERTIFICATE, "--key", "key.pub.pem", "--log")
    assert done.code == 0 and done.out.startswith("valid  signed by example.org/key\n")
    (told,) = refold("certificate", "verify", CERTIFICATE, "--key", "key.pub.pem", "--json").lines
    assert told["ok"] and told["standing"] == "valid"


def standing(refold: Refold, *words: str) -> str:
    done = refold("certificate", "verify", CERTIFICATE, "--json", *words)
    (told,) = done.lines
    assert done.code == (0 if told["ok"] else 4) and "Traceback" not in done.err
    return told["standing"]


def test_every_altered_byte_of_what_is_signed_is_found(refold: Refold, runs: None, keys: None) -> None:
    data = certified(refold, "--key", "key.pem")
    end = data.index(b'"unsigned"')
    for place in range(0, end, max(1, end // 40)):
        Path(CERTIFICATE).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert standing(refold, "--key", "key.pub.pem") in ("altered", "malformed", "unknown_key"), place


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda told: told["body"]["verdicts"].update(equal=5), "inconsistent"),
        (lambda told: told["body"]["log"].update(head="0" * 64), "other_log"),
        (lambda told: told["body"]["log"].update(position=10**30), "malformed"),
        (lambda told: told["body"].update(digest="xyz"), "malformed"),
        (lambda told: told["body"].update(tally=7), "malformed"),
        (lambda told: told["body"].pop("query"), "malformed"),
        (lambda told: told.update(more=1), "malformed"),
        (lambda told: told.pop("body"), "malformed"),
    ],
)
def test_what_does_not_fit_has_a_verdict_of_its_own(
    refold: Refold, runs: None, change: Callable[[Any], Any], expected: str
) -> None:
    told = json.loads(certified(refold))
    change(told)
    text = json.dumps(told, separators=(",", ":"), sort_keys=True)
    Path(CERTIFICATE).write_text(text + "\n")
    assert standing(refold, "--unsigned", "--log") == expected


def test_an_unknown_key_and_a_missing_signature_are_told_apart(refold: Refold, runs: None, keys: None) -> None:
    certified(refold, "--key", "key.pem")
    assert standing(refold, "--key", "other.pub.pem") == "unknown_key"
    assert standing(refold, "--unsigned") == "unsigned"
    certified(refold)
    assert standing(refold, "--key", "key.pub.pem") == "unsigned"
    for nonsense in (b"", b"[]", b"\xff", b"{}", b"[" * 100_000, b'{"body":' * 50):
        Path(CERTIFICATE).write_bytes(nonsense)
        assert standing(refold, "--key", "key.pub.pem") == "malformed"


def test_the_log_of_a_certificate_may_have_gone_on_but_not_been_changed(refold: Refold, runs: None, keys: None) -> None:
    certified(refold, "--key", "key.pem")
    refold("run", "hello.json", "--run-id", "later")
    assert standing(refold, "--key", "key.pub.pem", "--log") == "valid"
    with closing(sqlite3.connect("refold.db")) as database, database:
        database.execute("UPDATE stored_events SET state = x'00' WHERE originator_id = 'default/mine'")
    assert standing(refold, "--key", "key.pub.pem", "--log") == "other_log"
    none = ("--log", "--database", "sqlite:///none.db")
    assert refold("certificate", "verify", CERTIFICATE, "--key", "key.pub.pem", *none).code == 5
