"""What operators decide about goldens is recorded before it takes effect, and proved afterwards."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from refold.core.events import Event, GoldenArchiveResigned
from refold.eventstore.log import EventLog
from refold.eventstore.sqlite import SQLiteStore
from refold.ops.cli import progress
from refold.ops.cli.goldens import Place
from refold.projections.golden_keys import GoldenKeys
from refold.tests.cli.driver import COMMAND, Refold

FOLDER = Path("goldens/default")


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the current folder; goldens where they are by default."""
    monkeypatch.delenv("REFOLD_GOLDENS", raising=False)
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")


@pytest.fixture
def archived(refold: Refold, folder: Path) -> dict[str, Any]:
    """Two runs whose goldens lie in an archive, and what was said of it."""
    refold("golden", "rotate-key")
    for run_id in ("a", "b"):
        refold("run", "hello.json", "--run-id", run_id, "--seed", "3")
    assert refold("golden", "write", "--all").code == 0
    (told,) = refold("golden", "archive", "--older", "0s", "--json").lines
    return told


def decisions() -> list[Event]:
    store = SQLiteStore(Path("refold.db"))
    try:
        return EventLog(store, "").events("control/goldens/default")
    finally:
        store.close()


def test_an_archive_that_is_not_the_recorded_one_is_named(refold: Refold, archived: dict[str, Any]) -> None:
    path = FOLDER / archived["archive"]
    data = bytearray(path.read_bytes())
    data[4:8] = b"\1\2\3\4"  # the time in gzip's header, of which the content knows nothing
    path.write_bytes(data)
    assert refold("golden", "verify", "--all", "--offline").code == 0
    done = refold("golden", "verify", "--all")
    assert done.code == 4 and f"broken  {archived['archive']}" in done.out
    assert f"by the record of decisions to {archived['sha256'][:16]}" in done.out
    for words in (["write", "--all"], ["restore", archived["archive"]], ["resign"]):
        refused = refold("golden", *words)
        assert refused.code == 4 and "is not the one that was recorded" in refused.err, words


def test_an_archive_that_was_removed_is_missed(refold: Refold, archived: dict[str, Any]) -> None:
    (FOLDER / archived["archive"]).unlink()
    done = refold("golden", "verify", "--all")
    assert done.code == 4 and "missing: it was recorded, and is not there" in done.out


def test_an_archive_signed_anew_is_recorded_in_the_place_of_the_old_one(
    refold: Refold, archived: dict[str, Any]
) -> None:
    refold("golden", "rotate-key")
    assert refold("golden", "resign", "--by", "Ada").out == "signed with k2: 2\n"
    (there,) = FOLDER.glob("archive-*.tgz")
    resigned = decisions()[-2]
    assert isinstance(resigned, GoldenArchiveResigned) and resigned.by == "Ada"
    assert (resigned.replaced, resigned.archive, resigned.runs) == (archived["archive"], there.name, 2)
    assert refold("golden", "verify", "--all").code == 0
    assert refold("golden", "restore", there.name, "a").code == 0


def test_verify_all_proves_the_decisions_on_goldens(refold: Refold, archived: dict[str, Any]) -> None:
    assert "2 decisions on goldens" in refold("verify", "--all").out
    *_, of_goldens, of_keys, total = refold("verify", "--all", "--json").lines
    assert of_goldens["about"] == "the decisions on goldens" and of_keys["about"] == "the keys of goldens"
    assert total["golden_decisions"] == 2 and total["ok"]
    with sqlite3.connect("refold.db") as database:
        database.execute(
            "UPDATE stored_events SET state = CAST(replace(state, 'k1', 'k7') AS BLOB) "
            "WHERE originator_id = 'control/golden_keys'"
        )
    database.close()
    done = refold("verify", "--all")
    assert done.code == 4 and "broken  the keys of goldens  1 events" in done.out
    assert "event 1 of control/golden_keys: changed" in done.out


def test_a_key_whose_recorder_died_before_saving_it_is_not_made_again(
    refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refold("golden", "rotate-key")
    before = Path("keys.json").read_bytes()
    refold("golden", "rotate-key")
    Path("keys.json").write_bytes(before)
    assert refold("golden", "rotate-key").out == "current key: k3\n"
    assert refold("golden", "rotate-key", "--key-id", "k2").code == 2
    assert refold("golden", "verify", "--all").code == 0


def test_progress_is_told_in_lines_where_there_is_no_terminal(
    refold: Refold, archived: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "TELL_SECONDS", -1.0)
    assert "2 runs, " in refold("verify", "--all").err
    assert "verifying: 1 of 1, " in refold("golden", "verify", "--all").err
    refold("golden", "restore", archived["archive"])
    assert "writing: 2 of 2, " in refold("golden", "write", "--all").err
    assert "signing: 3 of 3, " in refold("golden", "resign").err


def test_a_restored_golden_goes_back_into_the_archive_it_came_from(refold: Refold, archived: dict[str, Any]) -> None:
    refold("golden", "restore", archived["archive"])
    assert "removed" not in refold("golden", "archive").err and len(list(FOLDER.glob("*.jsonl"))) == 2
    done = refold("golden", "archive", "--older", "0s")
    assert done.code == 0 and done.err == "in an archive already, and removed: 2\n"
    assert [path.name for path in FOLDER.iterdir()] == [archived["archive"]]


def test_two_who_rotate_the_key_at_once_both_keep_theirs(
    refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refold("golden", "rotate-key")
    others: list[subprocess.Popen[bytes]] = []
    load = Place.load

    def overtaken(self: Place) -> GoldenKeys:
        found = load(self)
        others.append(subprocess.Popen([*COMMAND, "golden", "rotate-key", "--key-id", "other"]))
        with suppress(subprocess.TimeoutExpired):
            others[0].wait(3)  # It ends by then if it does not wait for us.
        return found

    monkeypatch.setattr(Place, "load", overtaken)
    assert refold("golden", "rotate-key").code == 0
    assert others[0].wait(30) == 0
    assert set(GoldenKeys.load(folder / "keys.json").ids) == {"k1", "k2", "other"}
