"""`refold golden`: goldens written from the log, proved, compared, kept."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest

from refold.core.events import GoldenArchived, GoldenKeyRotated
from refold.eventstore.log import EventLog
from refold.eventstore.sqlite import SQLiteStore
from refold.tests.cli.driver import Refold

GOLDEN = Path("goldens/default/a.steps.jsonl")


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the current folder; goldens where they are by default."""
    monkeypatch.delenv("REFOLD_GOLDENS", raising=False)
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")


@pytest.fixture
def written(refold: Refold, folder: Path) -> Refold:
    """Two runs with their goldens."""
    assert refold("golden", "rotate-key", "--by", "Ada").out == "current key: k1\n"
    for run_id in ("a", "b"):
        assert refold("run", "hello.json", "--run-id", run_id, "--seed", "3").code == 0
    assert refold("golden", "write", "--all").out == "goldens: 2\n"
    return refold


def test_goldens_are_written_listed_and_verified(written: Refold) -> None:
    assert stat.S_IMODE(Path("keys.json").stat().st_mode) == 0o600
    assert GOLDEN.read_bytes().startswith(b'{"event":"run_start"')
    rows = written("golden", "list", "--json").lines
    assert [(row["run_id"], row["archive"]) for row in rows] == [("a", None), ("b", None)]
    assert "a" in written("golden", "list").out and written("golden", "verify", "a").out == "intact  a  key k1\n"
    assert written("golden", "verify", "--all", "--complete").out == "intact  2 checked\n"
    *verdicts, total = written("golden", "verify", "--all", "--json").lines
    assert [verdict["ok"] for verdict in verdicts] == [True, True]
    assert total == {"tenant": "default", "ok": True, "log": True, "checked": 2, "broken": 0, "control": []}
    assert written("golden", "write", "a", "b", "--json").lines == [
        {"tenant": "default", "written": 2, "archived": 0, "broken": 0}
    ]


def test_an_altered_golden_is_named_by_line_and_cause(written: Refold) -> None:
    data = GOLDEN.read_bytes()
    GOLDEN.write_bytes(data.replace(b"Hello Ada", b"Hello Eve"))
    done = written("golden", "verify", "--all")
    assert done.code == 4 and "broken  a" in done.out and "line 2: hash: " in done.out
    assert "line 2: log: /output/text is 'Hello Eve', by the log it is 'Hello Ada'" in done.out
    assert "signature: these bytes are not those that were signed" in done.out
    assert done.out.endswith("broken  2 checked; not intact: 1\n")
    proved = written("verify", "a")
    assert proved.code == 4 and "log    intact: only what was made from it is wrong" in proved.out
    assert written("verify", "a", "--json").lines[0]["log_ok"] is True
    offline = written("golden", "verify", "a", "--offline", "--json")
    assert offline.code == 4 and [fault["line"] for fault in offline.lines[0]["faults"]] == [2, 0]
    assert written("golden", "write", "a").code == 0 and written("golden", "verify", "a").code == 0


def test_a_golden_that_the_log_does_not_know_or_a_log_that_was_altered_is_told(written: Refold) -> None:
    with sqlite3.connect("refold.db") as database:
        database.execute(
            "UPDATE stored_events SET state = CAST(replace(state, 'Hello Ada', 'Hello Eve') AS BLOB) "
            "WHERE originator_id = 'default/a'"
        )
    database.close()
    done = written("golden", "verify", "a")
    assert done.code == 4 and "line 2: log: /output/text is 'Hello Ada', by the log it is 'Hello Eve'" in done.out
    proved = written("verify", "a", "--json")
    assert proved.code == 4 and proved.lines[0]["log_ok"] is False
    assert "log    intact" not in written("verify", "a").out
    assert "log: the log was altered: event 3 of default/a does not follow from the one before it" in done.out
    assert written("golden", "verify", "a", "--offline").code == 0
    Path("refold.db").rename("other.db")
    without = written("golden", "verify", "a")
    assert without.code == 0 and "the log is not looked at" in without.err


def test_what_an_altered_log_says_is_never_signed(written: Refold) -> None:
    right = GOLDEN.read_bytes()
    with sqlite3.connect("refold.db") as database:
        alter = "UPDATE stored_events SET state = CAST(replace(state, ?, ?) AS BLOB) WHERE originator_id = ?"
        database.execute(alter, ("Hello Ada", "Hello Eve", "default/a"))
        last = f"{alter} AND topic = 'run.completed'"
        assert database.execute(last, ('"at":1', '"at":2', "default/b")).rowcount == 1
    database.close()
    for words in (["write", "a"], ["write", "--all"]):
        done = written("golden", *words)
        assert done.code == 4 and "event 3 of default/a does not follow from the one before it" in done.err, words
    assert "the head of default/b does not follow from its last event" in written("golden", "write", "b").err
    done = written("projections", "rebuild", "goldens")
    assert done.code == 4 and "the golden of run a of tenant default is kept, for its log was altered" in done.err
    assert GOLDEN.read_bytes() == right


def test_a_golden_that_verifies_is_not_replaced_by_what_another_log_says_unless_told_so(written: Refold) -> None:
    right, other = GOLDEN.read_bytes(), ["--database", "sqlite:///other.db"]
    assert written("run", "hello.json", "--run-id", "a", "--seed", "4", *other).code == 0
    for words in (["write", "a"], ["write", "--all"]):
        done = written("golden", *words, *other)
        assert done.code == 4 and "run a: its golden verifies and is not what the log says" in done.err, words
    assert GOLDEN.read_bytes() == right
    assert written("golden", "write", "a", "--replace", *other).out == "goldens: 1\n"
    assert GOLDEN.read_bytes() != right and written("golden", "verify", "a", *other).code == 0


def test_a_golden_that_is_gone_is_told(written: Refold) -> None:
    GOLDEN.unlink()
    assert written("golden", "verify", "--all").code == 0
    done = written("golden", "verify", "--all", "--complete")
    assert done.code == 4 and "broken  a" in done.out and "missing" in done.out
    assert written("golden", "verify", "a").code == 4


def test_differences_are_shown_by_pointer(written: Refold, folder: Path) -> None:
    assert written("golden", "diff", "a").out == "equal\n"
    spec = json.loads((folder / "hello.json").read_text())
    (folder / "hello.json").write_text(json.dumps({**spec, "inputs": {"name": "Eve"}}))
    written("run", "hello.json", "--run-id", "c", "--seed", "3")
    written("golden", "write", "c")
    done = written("golden", "diff", "c", "a")
    assert done.code == 3 and "step 0 /output/text: 'Hello Eve' is there, 'Hello Ada' was expected" in done.out
    *found, total = written("golden", "diff", "goldens/default/c.steps.jsonl", "a", "--json").lines
    assert total == {"equal": False, "differences": len(found)} and found[0]["event"] == "run_start"
    assert "/output/text" not in written("golden", "diff", "c", "a", "--volatile", "text").out
    (folder / "x.steps.jsonl").write_text("x")
    broken = written("golden", "diff", "x.steps.jsonl", "a")
    assert broken.code == 4 and "the actual golden: line 1" in broken.err
    assert written("golden", "diff", "none.steps.jsonl", "a").code == 2


def test_a_key_is_rotated_and_everything_signed_anew(written: Refold) -> None:
    done = written("golden", "rotate-key", "--overlap", "1h", "--by", "Ada")
    assert done.out == "current key: k2\n" and "k1 verifies for 1h more" in done.err
    assert written("golden", "verify", "a").out == "intact  a  key k1\n"
    assert written("golden", "resign", "--json").lines == [
        {"tenant": "default", "key_id": "k2", "signed": 2, "broken": []}
    ]
    assert written("golden", "verify", "a").out == "intact  a  key k2\n"
    store = SQLiteStore(Path("refold.db"))
    first, second = EventLog(store, "").events("control/golden_keys")
    store.close()
    assert isinstance(first, GoldenKeyRotated) and isinstance(second, GoldenKeyRotated)
    assert (first.key_id, first.replaced, second.key_id, second.replaced) == ("k1", None, "k2", "k1")
    assert second.by == "Ada" and second.retired_at is not None
    assert written("golden", "rotate-key", "--key-id", "k1").code == 2
    assert written("golden", "rotate-key", "--overlap", "0s").code == 0
    assert "the key 'k2' was retired" in written("golden", "verify", "a").out
    left = written("golden", "resign")
    assert left.code == 4 and "left as it is, for it does not verify: a.steps.jsonl" in left.err
    assert written("golden", "write", "--all").code == 0 and written("golden", "verify", "--all").code == 0


def test_secrets_are_shown_by_no_command(written: Refold) -> None:
    secret = json.loads(Path("keys.json").read_text())["keys"]["k1"]["secret"]
    Path("keys.json").chmod(0o644)
    done = written("golden", "verify", "a", "--json")
    assert done.code == 2 and "chmod 600" in done.err and secret not in done.out + done.err
    Path("keys.json").chmod(0o600)
    told = [written("golden", *words, "--json") for words in (["list"], ["verify", "a"], ["rotate-key"], ["resign"])]
    assert all(secret not in done.out + done.err for done in told)
    assert secret.encode() not in Path("refold.db").read_bytes()


def test_retention_is_recorded_and_archives_go_and_come(written: Refold) -> None:
    assert written("golden", "retention").out == "retention: 7 days\n"
    assert written("golden", "archive").err == "nothing is that old\n"
    assert written("golden", "retention", "0s", "--by", "Ada").out == "retention: 0 days\n"
    (archived,) = written("golden", "archive", "--json").lines
    assert archived["runs"] == 2 and not GOLDEN.exists()
    rows = written("golden", "list", "--json").lines
    assert [(row["run_id"], row["archive"]) for row in rows] == [(name, archived["archive"]) for name in "ab"]
    missing = written("golden", "verify", "a")
    assert missing.code == 4 and "it lies in an archive" in missing.err
    assert written("golden", "verify", "--all", "--complete").code == 0
    # A rebuild leaves archived what is archived.
    assert written("golden", "write", "--all").out == "goldens: 0; in archives: 2\n"
    assert written("golden", "restore", archived["archive"], "b").out == "restored: 1\n"
    assert written("golden", "verify", "b").code == 0 and not GOLDEN.exists()
    store = SQLiteStore(Path("refold.db"))
    events = EventLog(store, "").events("control/goldens/default")
    store.close()
    assert [event.topic for event in events] == ["golden.retention_set", "golden.archived", "golden.restored"]
    assert isinstance(events[1], GoldenArchived) and events[1].sha256 == archived["sha256"]
    archive = Path("goldens/default") / archived["archive"]
    archive.write_bytes(archive.read_bytes()[:-20])
    for words in (["verify", "--all"], ["restore", archived["archive"]]):
        assert written("golden", *words).code == 4


def test_altered_decisions_are_found(written: Refold) -> None:
    written("golden", "retention", "1d", "--by", "Ada")
    with sqlite3.connect("refold.db") as database:
        database.execute(
            "UPDATE stored_events SET state = CAST(replace(state, 'Ada', 'Eve') AS BLOB) "
            "WHERE originator_id = 'control/goldens/default'"
        )
    database.close()
    done = written("golden", "verify", "--all")
    assert done.code == 4 and "the record of decisions: event 1 of control/goldens/default: changed" in done.err


def test_wrong_calls_are_refused_before_anything_is_made(refold: Refold, folder: Path) -> None:
    for words in (
        ("write", "--all"),  # no keys
        ("write",),
        ("write", "a", "--all"),
        ("verify",),
        ("verify", "a", "--complete"),
        ("rotate-key", "--overlap", "soon"),
        ("list", "--tenant", "control"),
        ("retention", "x"),
    ):
        if words[0] == "rotate-key":
            refold("golden", "rotate-key", "--keys", "keys.json")
        assert refold("golden", *words).code == 2, words
    assert not (folder / "goldens").exists()


def test_a_run_that_goes_on_or_is_not_there_has_no_golden(written: Refold) -> None:
    written("start", "hello.json", "--run-id", "open")
    done = written("golden", "write", "open")
    assert done.code == 2 and "run 'open' has not ended" in done.err
    assert written("golden", "write", "none").code == 2
    assert written("golden", "write", "--all").out == "goldens: 2\n"


def test_a_folder_that_cannot_be_used_is_told(written: Refold, folder: Path) -> None:
    (folder / "file").write_text("x")
    done = written("golden", "write", "--all", "--goldens", "file")
    assert done.code == 5 and "GOLDEN_STORE" in done.err


def test_a_run_whose_log_is_broken_does_not_keep_the_others_from_being_written(written: Refold) -> None:
    with sqlite3.connect("refold.db") as database:
        database.execute(
            "UPDATE stored_events SET state = x'00' WHERE originator_id = 'default/a' AND originator_version = 2"
        )
    database.close()
    GOLDEN.with_name("b.steps.jsonl").unlink()
    done = written("golden", "write", "--all")
    assert done.code == 4 and done.out == "goldens: 1; left alone: 1\n" and "run a: " in done.err
    assert GOLDEN.with_name("b.steps.jsonl").exists()
