"""The demo does what it shows, and fails when something is not as claimed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from refold.examples import demo
from refold.tests.support.root_package import ROOT


def test_every_claim_of_the_demo_holds(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/demo.py"), "demo", "--picture", "demo.svg"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("✓") == 12 and "✗" not in result.stdout
    assert (tmp_path / "demo/report-store/source-report.html").exists()
    assert "http://" not in (tmp_path / "demo.svg").read_text().replace("http://www.w3.org/2000/svg", "")


def test_a_claim_that_does_not_hold_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "run", lambda at, screen: screen.claim(False, "the sky is green"))
    monkeypatch.setattr(sys, "argv", ["demo.py", str(tmp_path / "new")])
    assert demo.main() == 1
    shown = capsys.readouterr().out
    assert "NOT SO: the sky is green" in shown and "1 claims do not hold" in shown
