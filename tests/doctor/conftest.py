"""Fixtures: an empty folder without settings, the doctor, and the command line in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from refold.compose import open_store
from refold.ops.cli import main
from refold.tests.support.doctored import Seen

Ask = Callable[..., Seen]
"""Asks the doctor."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no setting but the database's patience."""
    for name in [name for name in os.environ if name.startswith("REFOLD_") and not name.startswith("REFOLD_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refold(capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """Runs a command in this process; tells its exit code."""

    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        capsys.readouterr()
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Asks the doctor in this process; of port 0 unless another is named."""

    def ask(*words: str) -> Seen:
        capsys.readouterr()
        port = () if "--port" in words else ("--port", "0")
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--json", "--timeout", "20", *port, *words])
        out, err = capsys.readouterr()
        assert out, err
        return Seen.of(int(ended.value.code or 0), out)

    return ask


@pytest.fixture
def fresh(folder: Path) -> Path:
    """The file of a fresh store in the current folder."""
    with closing(open_store()):
        pass
    return folder / "refold.db"
