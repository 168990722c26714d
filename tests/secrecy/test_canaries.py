"""Twenty secrets that leak in every way, and turn up in nothing that is stored, exported, shown or logged."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from refold.tests.support.canaries import (
    CANARIES,
    environment,
    files_with_canaries,
    found_in,
    leaking,
    leaking_spec,
)
from refold.tests.support.sink import Sink, sink

pytestmark = pytest.mark.timeout(240)

MODULE = "refold.tests.support.canaries"


class Place:
    """A folder, a database and commands run there as real processes; all that they say is kept."""

    def __init__(self, folder: Path, url: str, collector: str):
        self.folder = folder
        self.said = b""
        (folder / "leaking.json").write_text(json.dumps(leaking_spec()))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REFOLD_")},
            **environment(),
            "REFOLD_DATABASE_URL": url,
            "REFOLD_GOLDEN_KEYS": "keys.json",
            "REFOLD_AUDIT_KEY": "log.pem",
            "REFOLD_TRACEBACK": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        }

    def refold(self, *words: str, expect: tuple[int, ...] = (0,)) -> str:
        """Run a command; it must end with one of these exit codes."""
        command = [sys.executable, "-P", "-m", "refold", *words]
        done = subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, timeout=120)
        self.said += done.stdout + done.stderr
        assert done.returncode in expect, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout.decode()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'place' / 'log.db'}"


def dumped(url: str) -> bytes:
    """All rows of all tables, as text and with their bytes."""
    rows: list[bytes] = []
    with closing(psycopg.connect(url)) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"
        ).fetchall()
        for (table,) in tables:
            for row in connection.execute(SQL("SELECT * FROM {}").format(Identifier(table))).fetchall():
                rows += [each if isinstance(each, bytes) else str(each).encode() for each in row]
    return b"\n".join(rows)


@pytest.fixture
def collector() -> Iterator[Sink]:
    with sink() as made:
        yield made


def test_no_canary_is_found_anywhere(tmp_path: Path, url: str, collector: Sink) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    place = Place(folder, url, collector.url(""))
    place.refold("golden", "rotate-key", "--by", "Ada")
    # While somebody has the file open, SQLite does not tidy its write-ahead log away.
    with closing(sqlite3.connect(folder / "log.db" if url.startswith("sqlite") else ":memory:")) as reader:
        reader.execute("SELECT name FROM sqlite_master").fetchall()
        for run_id, target in (("s", "leaking.json"), ("f", leaking.workflow_type)):
            place.refold("run", target, "--run-id", run_id, "--skills", MODULE, "--json")
            assert "[secret CANARY_" in place.refold("events", run_id, "--json")
            place.refold("show", run_id)
            place.refold("replay", run_id, "--skills", MODULE, "--json")
        (folder / "bad.json").write_text(json.dumps({**leaking_spec(), "output": "${secrets.CANARY_00}"}))
        place.refold("run", "bad.json", "--skills", MODULE, "--json", expect=(2,))
        place.refold("projections", "rebuild", "runs")
        place.refold("golden", "write", "--all")
        place.refold("audit", "keygen", "--name", "example.com/log", "-o", "log.pem")
        place.refold("audit", "head")
        place.refold("audit", "export", "s", "-o", "bundle.zip")
        place.refold("store", "export", "export.gz")
        if url.startswith("sqlite"):
            assert (folder / "log.db-wal").stat().st_size > 0
        else:
            assert found_in(dumped(url)) == [] and b"[secret CANARY_" in dumped(url)
        assert files_with_canaries(folder) == {}
    names = {file.name for file in folder.rglob("*") if file.is_file()}
    assert {"s.steps.jsonl", "bundle.zip", "export.gz"} <= names
    # Compressed files are searched as what they hold.
    with zipfile.ZipFile(folder / "bundle.zip") as bundle:
        assert [name for name in bundle.namelist() if found_in(bundle.read(name))] == []
    assert found_in(gzip.decompress((folder / "export.gz").read_bytes())) == []
    assert b"token see [secret CANARY_" in place.said and b"RuntimeError: see [secret CANARY_" in place.said
    assert found_in(place.said) == []
    sent = b"".join(taken.body for taken in collector.taken)
    assert found_in(sent) == [] and sent.count(b"with see [secret CANARY_") >= 2, "from the spec and the function"
    assert b"RuntimeError: see see [secret CANARY_" in sent and b"used see [secret CANARY_" in sent


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    import base64

    for name, value in CANARIES.items():
        for text in (value, json.dumps(value), base64.b64encode(b"12" + value.encode() + b"3").decode()):
            assert found_in(b"x" + text.encode() + b"y") == [name]
