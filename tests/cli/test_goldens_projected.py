"""`refold projector`, `refold dev` and `refold projections` keep goldens where a key file is named."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from refold.tests.cli.driver import Refold, start

SOON_SECONDS = 60

FOLDER = Path("goldens/default")


def soon(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def test_a_projector_without_keys_says_that_goldens_are_not_kept(refold: Refold, folder: Path) -> None:
    refold("run", "hello.json", "--run-id", "a")
    process = start("projector")
    soon(lambda: {each["lag_events"] for each in refold("projections", "list", "--json").lines} == {0})
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SOON_SECONDS)
    assert "goldens are not kept, for no key file is named by --keys or REFOLD_GOLDEN_KEYS" in err
    assert not Path("goldens").exists()
    for words in (
        ["projector", "--only", "goldens"],
        ["projector", "--goldens", "g"],
        ["projections", "rebuild", "goldens"],
        ["dev", "--goldens", "g", "--port", "0"],
    ):
        told = refold(*words)
        assert told.code == 2 and "no key file is named" in told.err, words


def test_a_projector_waits_for_its_keys_and_says_so(
    refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")
    refold("run", "hello.json", "--run-id", "a")
    process = start("projector", "--only", "goldens")
    soon(lambda: "refold golden rotate-key" in refold("projections", "status", "goldens").err)
    assert refold("projections", "list", "--json").lines[0]["state"] == "stopped"
    assert "not built yet: runs, checkpoints" in refold("projections", "list").err
    refold("golden", "rotate-key")
    soon((FOLDER / "a.steps.jsonl.sig").exists)
    assert refold("golden", "verify", "--all", "--complete").code == 0
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON_SECONDS)
    assert process.returncode == 0


def test_a_rebuild_of_goldens_compares_tells_and_replaces(refold: Refold, folder: Path) -> None:
    settings = ["--keys", "keys.json", "--goldens", "elsewhere"]
    refold("golden", "rotate-key", "--keys", "keys.json")
    for run_id in ("a", "b"):
        refold("run", "hello.json", "--run-id", run_id)
    first = refold("projections", "rebuild", "goldens", *settings)
    assert first.code == 0 and first.out.endswith("equal 0, in archives 0, missing 2; written 2\n")
    (again,) = refold("projections", "rebuild", "goldens", "--compare", *settings, "--json").lines
    assert again["compared"] and again["files"] == {
        "equal": 2, "archived": 0, "missing": 0, "differing": [], "changed": 0
    }  # fmt: skip
    golden = Path("elsewhere/default/b.steps.jsonl")
    right = golden.read_bytes()
    golden.write_bytes(right.replace(b"Ada", b"Eve"))
    for words in (["--shadow"], ["--compare"]):
        told = refold("projections", "rebuild", "goldens", *words, *settings)
        assert told.code == 3 and "1 are not what the log says: b of tenant default" in told.err
    done = refold("projections", "rebuild", "goldens", *settings)
    assert done.code == 0 and "differing 1; written 1" in done.out and golden.read_bytes() == right
    assert refold("golden", "verify", "--all", *settings).code == 0
    assert refold("projections", "drop-old", "goldens").code == 0


def test_dev_keeps_goldens_and_serves_on_when_it_cannot(
    refold: Refold, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFOLD_GOLDEN_KEYS", "keys.json")
    refold("golden", "rotate-key")
    Path("goldens").write_text("no folder")
    dev = start("dev", "--port", "0", "--json")
    assert dev.stdout is not None
    told = json.loads(dev.stdout.readline())
    assert {"runs", "checkpoints", "goldens"} <= set(told["projections"])
    refold("start", "hello.json", "--run-id", "a")
    soon(lambda: "Not a directory" in refold("projections", "status", "goldens").err)
    with urllib.request.urlopen(f"{told['listening']}/v1/runs/a", timeout=SOON_SECONDS) as answer:
        assert json.load(answer)["status"] == "completed"
    Path("goldens").unlink()
    soon((FOLDER / "a.steps.jsonl.sig").exists)
    soon(lambda: {each["state"] for each in refold("projections", "list", "--json").lines} == {"following"})
    dev.send_signal(signal.SIGTERM)
    _, err = dev.communicate(timeout=SOON_SECONDS)
    assert dev.returncode == 0 and err.endswith("drained\n"), err
    assert {each["owner"] for each in refold("projections", "list", "--json").lines} == {None}
