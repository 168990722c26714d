"""`refold store`: archives, exports and imports, as operators call them."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from refold.eventstore.archiving import Archiving, Progress
from refold.eventstore.exporting import Exporting
from refold.ops.cli.archives import Archives
from refold.ops.cli.transfers import export_store
from refold.tests.cli.driver import COMMAND, Refold, Write


@pytest.fixture
def three(refold: Refold, write: Write, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three runs in the current folder's database, of which one waits."""
    monkeypatch.delenv("REFOLD_ARCHIVE", raising=False)
    spec = write({"step_id": "a", "skill_id": "echo", "inputs": {"n": 1}})
    for name in ("one", "two"):
        assert refold("run", spec, "--run-id", name).code == 0
    assert refold("start", spec, "--run-id", "open").code == 0
    return ["one", "two"]


def archived(refold: Refold, *words: str) -> list[dict[str, object]]:
    done = refold("store", "archive", "--older-than", "0s", "--json", *words)
    assert done.code == 0, done.err
    return done.lines


def test_ended_runs_are_archived_and_shown_as_before(refold: Refold, three: list[str]) -> None:
    commands = [
        ("show", "one", "--json"),
        ("events", "one"),
        ("state", "one", "--at", "2"),
        ("list",),
        ("verify", "one", "--json"),
    ]
    before = [refold(*words).out for words in commands]
    assert refold("store", "archive", "--older-than", "1h").err == "no run is that old\n"
    assert archived(refold, "--dry-run") == [
        {"runs": 2, "events": 6},
        {"archives": 0, "runs": 0, "left": 0, "dry_run": True},
    ]
    made, total = archived(refold, "--limit", "1", "--by", "Ada", "--reason", "space")
    assert total == {"archives": 1, "runs": 1, "left": 0, "dry_run": False}
    archived(refold)
    assert [refold(*words).out for words in commands] == before
    first, second = refold("store", "archives", "--json").lines
    assert (first["archive"], first["sha256"]) == (made["archive"], made["sha256"])
    assert (first["runs"], first["by"], first["reason"]) == (1, "Ada", "space")
    assert second["reason"] == "older than 0s"
    assert str(made["archive"]) in refold("store", "archives").out
    assert {path.name for path in Path("refold.db-archive").iterdir()} == {first["archive"], second["archive"]}
    assert refold("verify", "--all", "--json").lines[-1]["archives"] == 2


def test_runs_come_back_by_name_or_by_archive(refold: Refold, three: list[str]) -> None:
    made, _ = archived(refold)
    assert refold("store", "bring-back", "one", "--json").lines == [{"brought_back": 1, "runs": ["default/one"]}]
    again = refold("store", "bring-back", "one")
    assert again.code == 2 and "in no archive: one" in again.err
    assert refold("store", "bring-back", "--archive", made["archive"]).out == "brought back: 1 runs\n"
    assert refold("store", "bring-back", "--archive", made["archive"]).code == 2
    assert refold("store", "bring-back").code == 2
    assert refold("store", "bring-back", "one", "--archive", "x").code == 2
    assert [line["runs"] for line in refold("store", "archives", "--json").lines] == [0]
    assert refold("verify", "--all").code == 0


def test_a_missing_archive_ends_with_exit_code_4(refold: Refold, three: list[str]) -> None:
    made, _ = archived(refold)
    (Path("refold.db-archive") / str(made["archive"])).unlink()
    for words in (["store", "archives"], ["verify", "one"], ["verify", "--all"], ["store", "bring-back", "one"]):
        done = refold(*words)
        assert done.code == 4 and str(made["archive"]) in done.out + done.err, words
    assert refold("verify", "open").code == 0
    elsewhere = refold("store", "archives", "--archives", "nowhere")
    assert elsewhere.code == 4


def test_two_who_archive_at_once_share_the_work(
    refold: Refold, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    due = Archiving.due

    def other_first(self: Archiving, *given: Any) -> Any:
        found = due(self, *given)
        monkeypatch.setattr(Archiving, "due", due)
        assert subprocess.run([*COMMAND, "store", "archive", "--older-than", "0s"], capture_output=True).returncode == 0
        return found

    monkeypatch.setattr(Archiving, "due", other_first)
    done = refold("store", "archive", "--older-than", "0s")
    assert done.code == 0, done
    assert refold("verify", "--all").code == 0 and refold("show", "one").code == 0


def test_an_altered_run_is_left_with_exit_code_4(refold: Refold, three: list[str]) -> None:
    with sqlite3.connect("refold.db") as connection:
        connection.execute("UPDATE stored_events SET topic = 'step.failed' WHERE originator_version = 2 AND rowid < 4")
    connection.close()
    done = refold("store", "archive", "--older-than", "0s", "--json")
    assert done.code == 4
    assert done.lines[-2]["left"] == "default/one" and "does not follow" in done.lines[-2]["reason"]
    assert done.lines[-1] == {"archives": 1, "runs": 1, "left": 1, "dry_run": False}


@pytest.mark.parametrize(
    "words", [["archive", "--older-than", "0s"], ["archives"], ["bring-back", "a"], ["export", "f"]]
)
def test_a_database_that_is_not_there_is_told(refold: Refold, words: list[str]) -> None:
    assert refold("store", *words).code == 5
    assert refold("--database", "memory:", "store", *words).code == 2


def test_archiving_needs_an_age(refold: Refold, three: list[str]) -> None:
    assert refold("store", "archive").code == 2
    assert refold("store", "archive", "--older-than", "soon").code == 2


def test_a_store_is_exported_and_imported(refold: Refold, three: list[str]) -> None:
    archived(refold)
    done = refold("store", "export", "all.gz", "--json")
    assert done.code == 0 and done.lines == [{"file": "all.gz", "events": 8, "heads": 4, "payloads": 0}]
    assert refold("store", "export", "all.gz").code == 2, "it exists"
    other = ["--database", "sqlite:///other.db"]
    done = refold(*other, "store", "import", "all.gz", "--json")
    assert done.lines == [{"events": 8, "heads": 4, "payloads": 0, "open_runs": 1, "unreadable": {}}]
    again = refold(*other, "store", "import", "all.gz")
    assert again.code == 6 and "not empty" in again.err
    assert refold(*other, "verify", "--all").code == 0
    assert refold(*other, "store", "export", "again.gz").out == "exported: 8 events, 4 heads, 0 payloads\n"
    assert Path("again.gz").read_bytes() == Path("all.gz").read_bytes()
    assert refold(*other, "resume", "open").code == 0


def test_two_exports_to_one_file_do_not_mix(refold: Refold, three: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def other_first(self: Exporting, progress: Progress) -> Iterator[bytes]:
        with monkeypatch.context() as alone:
            alone.setattr(Exporting, "lines", alone_lines)
            with ThreadPoolExecutor(1) as thread:
                thread.submit(export_store, Archives(None, None, False), "all.gz").result()
        yield from alone_lines(self, progress)

    alone_lines = Exporting.lines
    monkeypatch.setattr(Exporting, "lines", other_first)
    monkeypatch.setattr("refold.ops.cli.transfers.stopping", nullcontext)  # it handles signals, in the main thread only
    done = refold("store", "export", "all.gz")
    assert done.code == 2 and "all.gz exists" in done.err
    assert json.loads(gzip.decompress(Path("all.gz").read_bytes()).splitlines()[-1])["events"] == 7
    assert not list(Path().glob("*.part"))


def test_an_archive_of_a_strange_name_is_none(refold: Refold, three: list[str]) -> None:
    done = refold("store", "bring-back", "--archive", "a\udc80")
    assert done.code == 2 and "no runs lie in an archive 'a\\udc80'" in done.err


def test_an_export_goes_through_a_pipe(refold: Refold, three: list[str]) -> None:
    exported = subprocess.run([*COMMAND, "store", "export", "-"], capture_output=True, check=True)
    assert exported.stderr == b"exported: 7 events, 3 heads, 0 payloads\n"
    assert gzip.decompress(exported.stdout).startswith(b'{"refold_store":1}\n')
    words = ["--database", "sqlite:///other.db", "store", "import", "-"]
    cut = subprocess.run([*COMMAND, *words], input=exported.stdout[:-20], capture_output=True)
    assert cut.returncode == 4 and b"line " in cut.stderr
    assert refold("--database", "sqlite:///other.db", "list", "--json").out == ""
    whole = subprocess.run([*COMMAND, *words], input=exported.stdout, capture_output=True)
    assert whole.returncode == 0, whole.stderr
    assert refold("--database", "sqlite:///other.db", "verify", "--all").code == 0


def test_what_is_no_export_is_refused(refold: Refold, folder: Path) -> None:
    (folder / "text").write_text("hello\n")
    done = refold("store", "import", "text")
    assert done.code == 2 and "line 1: this is no export" in done.err
    assert refold("store", "import", "nothing").code == 2
    assert refold("store", "export", "-", "--json", "--database", "sqlite:///refold.db").code == 2
