"""Sensitive data in real processes: in nothing that is stored, exported, shown or logged, before and after erasure."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from refold.tests.secrecy.test_canaries import dumped

pytestmark = pytest.mark.timeout(240)

CANARY = b"Albatross-4711"
SPEC = {
    "workflow_type": "visit",
    "sensitive_inputs": ["name"],
    "steps": [
        {"step_id": "letter", "skill_id": "echo", "inputs": {"text": "Dear ${inputs.name}", "city": "${inputs.city}"}},
        {"step_id": "digest", "skill_id": "hash", "inputs": {"of": "${letter.text}"}},
        {
            "step_id": "wrong",
            "skill_id": "transform",
            "inputs": {"expression": "${letter.text}"},
            "on_error": "continue",
        },
        {"step_id": "map", "skill_id": "echo", "inputs": {"of": "${inputs.city}"}},
    ],
    "output": {"letter": "${letter}", "map": "${map.of}"},
}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'place' / 'log.db'}"


def test_sensitive_data_are_found_nowhere_and_erased_for_good(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "visit.json").write_text(json.dumps(SPEC))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REFOLD_")},
        "REFOLD_DATABASE_URL": url,
        "REFOLD_DATA_KEYS": "data-keys.json",
        "REFOLD_GOLDEN_KEYS": "keys.json",
        "REFOLD_AUDIT_KEY": "log.pem",
        "REFOLD_ARCHIVE": str(folder / "archives"),
    }
    said: list[bytes] = []

    def refold(*words: str, expect: int = 0) -> str:
        command = [sys.executable, "-P", "-m", "refold", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120)
        said.append(done.stdout + done.stderr)
        assert done.returncode == expect, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout.decode()

    inputs = json.dumps({"name": CANARY.decode(), "city": "Paris"})
    refold("run", "visit.json", "--run-id", "none", "--inputs", inputs, expect=2)
    refold("data-keys", "rotate")
    refold("run", "visit.json", "--run-id", "r", "--inputs", inputs, "--subject", "ada@example.com", "--json")
    refold("golden", "rotate-key", "--by", "Ada")
    refold("golden", "write", "--all")
    golden = (folder / "goldens" / "default" / "r.steps.jsonl").read_bytes()
    refold("projections", "rebuild", "checkpoints")
    refold("audit", "keygen", "--name", "example.com/log", "-o", "log.pem")
    refold("audit", "head")
    refold("audit", "export", "r", "-o", "bundle.zip")
    refold("store", "export", "export.gz")
    refold("store", "archive", "--older-than", "0s")
    refold("erase", "--subject", "ada@example.com", "--by", "Grace", "--reason", "asked for")
    assert "[erased]" in refold("show", "r") and "[erased]" in refold("events", "r")
    verified = refold("verify", "r")
    assert "by Grace (asked for): inputs of event 1, output of event" in verified
    refold("verify", "--all")
    refold("replay", "r")
    refold("golden", "verify", "r")
    refold("audit", "verify", "bundle.zip", "--key", "log.pub.pem")
    assert (folder / "goldens" / "default" / "r.steps.jsonl").read_bytes() == golden
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any("archive-" in file.name for file in files)
    found = [file.name for file in files if CANARY in _content(file)]
    assert found == [] and not any(CANARY in text for text in said)
    if url.startswith("postgres"):
        assert CANARY not in dumped(url)


def _content(file: Path) -> bytes:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as bundle:
            return b"".join(bundle.read(name) for name in bundle.namelist())
    data = file.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
