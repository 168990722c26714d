"""SIGKILL while goldens are archived, signed anew, or their retention is set: nothing is lost, and it can go on."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from refold.tests.cli.driver import Refold
from refold.tests.support.golden_projection import command_and_die, goldens_below

_processes = multiprocessing.get_context("forkserver")

RUNS = ["a", "b", "c"]


@pytest.fixture
def kept(refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Refold:
    """Three runs with goldens."""
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", str(folder / "keys.json"))
    refold("golden", "rotate-key")
    for run_id in RUNS:
        refold("run", "hello.json", "--run-id", run_id, "--seed", "3")
    assert refold("golden", "write", "--all").code == 0
    return refold


def killed(folder: Path, words: list[str], point: str, count: int) -> None:
    place = ["--keys", str(folder / "keys.json"), "--database", f"sqlite:///{folder / 'refold.db'}"]
    if words[0] != "retention":
        place += ["--goldens", str(folder / "goldens")]
    else:
        del place[:2]
    arguments = (["golden", *words, *place], point, count)
    child = _processes.Process(target=command_and_die, args=arguments, daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == -9, (words, point, count)


def where(refold: Refold) -> list[tuple[str, bool]]:
    """Which runs have goldens, and whether these lie in an archive only."""
    return sorted((row["run_id"], bool(row["archive"])) for row in refold("golden", "list", "--json").lines)


def nothing_is_lost(refold: Refold) -> bool:
    *verdicts, total = refold("golden", "verify", "--all", "--complete", "--json").lines
    unsigned = [each for each in verdicts if not each["ok"]]
    assert all({fault["kind"] for fault in each["faults"]} == {"unsigned"} for each in unsigned), verdicts
    return [run_id for run_id, _ in where(refold)] == RUNS and not total["control"]


ARCHIVING = [
    ("archive opened", 1), ("archive written", 1), ("archive renamed", 1), ("archive durable", 1),
    ("deciding", 1), ("decided", 1), ("original removed", 1), ("original removed", 2), ("original removed", 5),
]  # fmt: skip


@pytest.mark.parametrize(("point", "count"), ARCHIVING)
def test_archiving_can_be_killed_and_goes_on(kept: Refold, folder: Path, point: str, count: int) -> None:
    before = goldens_below(folder)
    killed(folder, ["archive", "--older", "0s"], point, count)
    assert nothing_is_lost(kept)
    assert kept("golden", "archive", "--older", "0s").code == 0
    assert where(kept) == [(run_id, True) for run_id in RUNS]
    assert kept("golden", "verify", "--all", "--complete").code == 0 and not goldens_below(folder)
    archives = [path.name for path in (folder / "goldens/default").glob("archive-*")]
    assert len(archives) == 1, "the same goldens are in no archive twice"
    assert kept("golden", "restore", archives[0]).code == 0 and goldens_below(folder) == before


RESIGNING = [
    ("half written", 1), ("archive opened", 1), ("archive written", 1), ("archive durable", 1),
    ("deciding", 1), ("decided", 1), ("archive removed", 1), ("deciding", 2), ("decided", 2),
]  # fmt: skip


@pytest.mark.parametrize(("point", "count"), RESIGNING)
def test_resigning_can_be_killed_and_goes_on(kept: Refold, folder: Path, point: str, count: int) -> None:
    kept("golden", "archive", "--older", "0s")
    (first,) = (folder / "goldens/default").glob("archive-*")
    kept("golden", "restore", first.name, "a")
    kept("golden", "rotate-key")
    killed(folder, ["resign"], point, count)
    assert nothing_is_lost(kept)
    assert kept("golden", "resign").code == 0
    # Nothing depends on the old key any more.
    keys = json.loads((folder / "keys.json").read_text())
    del keys["keys"]["k1"]
    (folder / "keys.json").write_text(json.dumps(keys))
    done = kept("golden", "verify", "--all", "--complete")
    assert done.code == 0 and not done.err, done
    assert len(list((folder / "goldens/default").glob("archive-*"))) == 1


@pytest.mark.parametrize(("point", "seconds"), [("deciding", 604800), ("decided", 60)])
def test_setting_the_retention_is_done_or_not(kept: Refold, folder: Path, point: str, seconds: float) -> None:
    killed(folder, ["retention", "1m"], point, 1)
    assert kept("golden", "retention", "--json").lines[0]["seconds"] == seconds
    assert nothing_is_lost(kept) and kept("golden", "retention", "2m").code == 0


@pytest.mark.parametrize("point", ["deciding", "decided"])
def test_rotating_can_be_killed_and_called_again(kept: Refold, folder: Path, point: str) -> None:
    words = ["golden", "rotate-key", "--keys", str(folder / "keys.json")]
    database = ["--database", f"sqlite:///{folder / 'refold.db'}"]
    child = _processes.Process(target=command_and_die, args=([*words, *database], point, 1), daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == -9 and nothing_is_lost(kept)
    assert kept("golden", "rotate-key").code == 0 and kept("golden", "resign").code == 0 and nothing_is_lost(kept)
