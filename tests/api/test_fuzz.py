"""Every operation of the served OpenAPI document, by all the checks of schemathesis, with a key and without any.

`make fuzz-api` is the long form. The seed is in the output of a failure.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

EXAMPLES = int(os.environ.get("REFOLD_FUZZ_EXAMPLES", "3"))
SEED = int(os.environ.get("REFOLD_FUZZ_SEED", random.randrange(2**32)))
DATABASE = os.environ.get("REFOLD_FUZZ_DATABASE")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def environment(folder: Path) -> dict[str, str]:
    """A server that was told of all the files that it can be told of."""
    places = {
        "REFOLD_DATABASE_URL": DATABASE or f"sqlite:///{folder / 'refold.db'}",
        "REFOLD_GOLDENS": str(folder / "goldens"),
        "REFOLD_GOLDEN_KEYS": str(folder / "golden-keys.json"),
        "REFOLD_WEBHOOK_KEYS": str(folder / "webhook-keys.json"),
        "REFOLD_CERTIFICATES": str(folder / "certificates"),
    }
    (folder / "certificates").mkdir()
    return {**os.environ, **places}


def refold(folder: Path, env: dict[str, str], *words: str) -> str:
    """What a command says."""
    command = [sys.executable, "-P", "-m", "refold", *words]
    return subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


@contextmanager
def developed(folder: Path, env: dict[str, str]) -> Generator[str]:
    """`refold dev`: server, worker and projector; its URL."""
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "refold", "dev", "--port", "0", "--json"],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            assert told, (folder / "stderr.txt").read_text()
            yield json.loads(told)["listening"]
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("keyed", [True, False], ids=["with a key", "without keys"])
def test_no_operation_does_otherwise_than_the_document_says(keyed: bool, tmp_path: Path) -> None:
    env = environment(tmp_path)
    refold(tmp_path, env, "golden", "rotate-key")
    headers: list[str] = []
    if keyed:
        scopes = [word for scope in ("run", "read", "audit", "operate", "admin") for word in ("--scope", scope)]
        made = json.loads(refold(tmp_path, env, "keys", "create", "fuzz", "--all-tenants", *scopes, "--json"))
        headers = ["--header", f"Authorization: Bearer {made['key']}"]
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program is not None, "schemathesis is not installed: make test does it"
    with developed(tmp_path, env) as url:
        document = f"{url}/v1/openapi.json"
        counts = ["--max-examples", str(EXAMPLES), "--seed", str(SEED), "--max-response-time", "75"]
        found = subprocess.run(
            [program, "--config-file", CONFIGURATION, "run", document, "--checks", "all", *counts, *headers],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        alive = httpx2.get(f"{url}/health").status_code
    assert found.returncode == 0, f"seed {SEED}\n{found.stdout[-20_000:]}\n{found.stderr[-2_000:]}"
    assert alive == 200 and "Traceback" not in (tmp_path / "stderr.txt").read_text()
