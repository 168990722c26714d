"""`refold verify` and `refold replay` ask what else knows of a run: its checkpoint and its golden."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from refold import open_store
from refold.core.state import fold
from refold.eventstore.log import EventLog
from refold.projections.checkpoints import CheckpointsProjection
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_lines import golden_of
from refold.projections.golden_recorder import GoldenRecorder
from refold.tests.cli.driver import Refold
from refold.tests.support.projected import caught_up


@pytest.fixture
def witnessed(refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoldenRecorder]:
    """Two runs with checkpoints and goldens; the golden of the second can be written anew, with any bytes."""
    for name in ("one", "two"):
        assert refold("run", "hello.json", "--run-id", name).code == 0
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")
    GoldenKeys("k1", {"k1": bytes(range(32))}).save(Path("keys.json"))
    recorder = GoldenRecorder("goldens", GoldenKeys.load(Path("keys.json")))
    with closing(open_store()) as store:
        caught_up(store, CheckpointsProjection())
        log = EventLog(store, "")
        recorder.write([golden_of(fold(log.events(f"default/{name}"))) for name in ("one", "two")])
    yield recorder


def verdicts(refold: Refold) -> dict[str, list[int]]:
    """The exit codes of verifying and replaying each run, and all."""
    return {
        name: [refold(command, *words).code for command in ("verify", "replay")]
        for name, words in (("one", ["one"]), ("two", ["two"]), ("all", ["--all"]))
    }


def test_runs_whose_checkpoints_and_goldens_agree_are_equal(refold: Refold, witnessed: GoldenRecorder) -> None:
    assert verdicts(refold) == {"one": [0, 0], "two": [0, 0], "all": [0, 0]}


def test_a_golden_altered_and_signed_again_is_found(refold: Refold, witnessed: GoldenRecorder) -> None:
    with closing(open_store()) as store:
        golden = golden_of(fold(EventLog(store, "").events("default/two")))
    Path("goldens/default/two.steps.jsonl").unlink()
    witnessed.write([golden._replace(data=golden.data.replace(b"Hello", b"Hallo"))])
    assert verdicts(refold) == {"one": [0, 0], "two": [4, 4], "all": [4, 4]}
    assert "the golden" in refold("verify", "two").out
    assert "TAMPERED" in refold("replay", "two").out


@pytest.mark.parametrize(
    "attack", ["UPDATE p_checkpoints_1 SET state_json = '{}'", "DELETE FROM p_checkpoints_1"], ids=["edited", "dropped"]
)
def test_a_checkpoint_that_was_edited_or_dropped_is_found(
    refold: Refold, witnessed: GoldenRecorder, attack: str
) -> None:
    with closing(sqlite3.connect("refold.db")) as attacker, attacker:
        attacker.execute(f"{attack} WHERE run_id = 'two'")
    assert verdicts(refold) == {"one": [0, 0], "two": [4, 4], "all": [4, 4]}
    assert "the checkpoint" in refold("verify", "two").out
