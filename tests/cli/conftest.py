"""Fixtures: an empty folder, the command line in this process, and files of specs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from refold.ops.cli import main
from refold.tests.cli.driver import HELLO, SKILLS, Done, Refold, Write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder without settings; `hello.json` and `mine.py` (skills) lie in it."""
    for name in ("REFOLD_DATABASE_URL", "REFOLD_STORE_PATIENCE", "REFOLD_GOLDENS", "REFOLD_GOLDEN_KEYS", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("KEYS", "ALLOW", "HTTP", "CA", "SECRET"):
        monkeypatch.delenv(f"REFOLD_WEBHOOK_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "hello.json").write_text(json.dumps(HELLO))
    (tmp_path / "mine.py").write_text(SKILLS)
    return tmp_path


@pytest.fixture
def refold(capsys: pytest.CaptureFixture[str]) -> Refold:
    """Runs the command line with the given words, in this process."""

    def run(*words: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes a spec of the given steps (or any other value) to a file and returns the file's name."""

    def to_file(*steps: dict[str, Any], name: str = "spec.json", **fields: Any) -> str:
        (folder / name).write_text(json.dumps({"workflow_type": "test", "steps": steps, **fields}))
        return name

    return to_file
