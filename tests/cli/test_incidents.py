"""Everything about an incident in one archive, and runs proved again and again."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from refold.ops.incident_archive import IncidentArchive
from refold.tests.cli.driver import Refold, Write

WOBBLY = """
import os
from refold import skill

@skill(deterministic=True, inline=True)
def wobbly() -> str:
    return os.urandom(8).hex()
"""
"""A skill that says that it is deterministic."""

LOG = """worker 17 works with rfk_k1_abcdef and postgresql://ada:hunter2@db/refold
authorization: Bearer eyJhbGciOi, whsec_c2VjcmV0c2VjcmV0
"""


def test_an_archive_holds_all_about_a_run_each_file_by_its_hash_and_no_secret(refold: Refold, folder: Path) -> None:
    assert refold("run", "hello.json", "--run-id", "a").code == 0
    assert refold("emergency-stop", "enable", "--reason", "it differs", "--by", "ada").code == 0
    (folder / "worker.log").write_text(LOG)
    done = refold("incident", "collect", "a", "--log", "worker.log", "--out", "i.tgz", "--json")
    assert done.code == 0 and done.lines[0]["verdicts"] == {"a": "equal"}, done.err
    assert (folder / "i.tgz").stat().st_mode & 0o777 == 0o600
    files, members = unpacked((folder / "i.tgz").read_bytes())
    assert {(each.mode, each.mtime, each.uid, each.uname) for each in members} == {(0o600, 0, 0, "")}
    manifest = json.loads(files.pop("manifest.json"))
    assert {name: told["sha256"] for name, told in manifest["files"].items()} == {
        name: sha256(data).hexdigest() for name, data in files.items()
    }
    assert {"control.jsonl", "host.json", "code.json", "logs/1-worker.log", "workers.jsonl"} < files.keys()
    with closing(sqlite3.connect("refold.db")) as database:
        stored = database.execute("SELECT state FROM stored_events WHERE originator_id = 'default/a'").fetchall()
    lines = files["runs/a/events.jsonl"].splitlines()
    assert len(lines) == len(stored) and all(any(state in line for line in lines) for (state,) in stored)
    assert json.loads(files["runs/a/proof.json"])["verdict"] == "equal"
    assert json.loads(files["runs/a/chain.json"])["findings"] == []
    assert "it differs" in files["control.jsonl"].decode()
    log = files["logs/1-worker.log"].decode()
    assert log.startswith("worker 17 works with rfk_k1_***") and "ada:***@db" in log
    assert not any(secret in log for secret in ("abcdef", "hunter2", "eyJ", "c2Vj"))
    again = refold("incident", "collect", "a", "--out", "i.tgz")
    assert again.code == 2 and "exists" in again.err, "an archive is never written over"


def test_what_is_not_there_is_told_before_an_archive_is_made(refold: Refold, folder: Path) -> None:
    assert refold("run", "hello.json", "--run-id", "a").code == 0
    assert refold("incident", "collect", "b", "--out", "i.tgz").code == 2
    assert refold("incident", "collect", "a", "--out", "i.tgz", "--log", "none.log").code == 2
    assert refold("incident", "collect", "a", "--out", "no/such/folder.tgz").code == 2
    assert not list(folder.glob("*tgz*")) and not list(folder.glob(".*part"))


def test_the_same_files_give_the_same_bytes_and_what_has_no_room_is_told() -> None:
    def made() -> tuple[bytes, IncidentArchive]:
        archive = IncidentArchive(100)
        for name, data in (("b", b"2" * 50), ("a", b"1" * 50), ("c", b"3")):
            archive.add(name, data)
        return archive.tar(archive.manifest({"runs": []})), archive

    (one, archive), (two, _) = made(), made()
    assert one == two and list(archive.left_out) == ["c"]
    files, members = unpacked(one)
    assert [each.name for each in members] == ["incident/manifest.json", "incident/a", "incident/b"]
    assert "c" in json.loads(files["manifest.json"])["left_out"]


def test_a_run_is_proved_again_in_fresh_processes(refold: Refold, folder: Path, write: Write) -> None:
    (folder / "wobbly.py").write_text(WOBBLY)
    spec = write({"step_id": "a", "skill_id": "wobbly"})
    assert refold("run", "hello.json", "--run-id", "good").code == 0
    assert refold("run", spec, "--skills", "wobbly.py", "--run-id", "bad").code == 0
    good = refold("incident", "rerun", "good", "--times", "2", "--json")
    assert good.code == 0 and good.lines[-1]["stable"] and good.lines[-1]["verdicts"] == {"equal": 2}
    bad = refold("incident", "rerun", "bad", "--times", "2", "--skills", "wobbly.py", "--json")
    assert bad.code == 3 and not bad.lines[-1]["stable"] and bad.lines[-1]["verdicts"] == {"diverged": 2}
    (now,) = [each for each in bad.lines[-1]["differs"] if each["pointer"].endswith("/divergence/now")]
    assert len(set(now["said"])) == 2
    unknown = refold("incident", "rerun", "bad", "--times", "1", "--json")
    assert unknown.code == 2 and unknown.lines[-1]["verdicts"] == {"not_verifiable": 1}
    assert refold("incident", "rerun", "none").code == 2


def unpacked(data: bytes) -> tuple[dict[str, bytes], list[tarfile.TarInfo]]:
    """The files of an archive by name, and its members."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        files = {
            each.name.removeprefix("incident/"): file.read() for each in members if (file := tar.extractfile(each))
        }
    return files, members
