"""Archives, retention and new signatures: nothing is lost on the way, and nothing that was altered gets through."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from refold import IntegrityError
from refold.core.errors import GoldenStoreError
from refold.projections.golden_archives import archive_names, pack, read_archive, unpack, write_archive
from refold.projections.golden_files import Stored
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_recorder import GoldenRecorder
from refold.projections.golden_upkeep import Listed, archive, due, listed, resign_all, restore
from refold.tests.support.goldens import NOW, goldens, keys, small

HOUR = 3_600_000_000
RUNS = [small(f"r{number}", ended_at=NOW - number * HOUR + 123_457) for number in range(8)]


def recorder(folder: Path, with_keys: GoldenKeys | None = None) -> GoldenRecorder:
    return GoldenRecorder(folder, with_keys or keys(), lambda: NOW)


def names(of: list[Listed]) -> list[tuple[str | None, bool]]:
    return [(each.run_id, each.archive is not None) for each in of]


def test_retention_counts_from_the_end_of_the_run(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write(RUNS)
    assert due(made, "default", NOW - 5 * HOUR) == ["r7.steps.jsonl", "r6.steps.jsonl"]
    assert due(made, "default", NOW + HOUR)[-1] == "r0.steps.jsonl" and due(made, "nobody", NOW) == []


def test_archiving_and_restoring_gives_the_same_bytes_and_times(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write([*goldens(), *RUNS])
    before = {each.run_id: made.storage.read("default", each.run_id) for each in (*goldens(), *RUNS)}
    (done,) = archive(made, "default", made.storage.names("default"), NOW)
    assert made.storage.names("default") == [] and archive_names(made.storage, "default") == [done.name]
    assert sorted(names(list(listed(made, "default")))) == sorted((run_id, True) for run_id in before)
    digest, restored = restore(made, "default", done.name, NOW)
    assert digest == done.sha256
    assert {run_id: made.storage.read("default", run_id) for run_id in restored} == before
    assert sorted(names(list(listed(made, "default")))) == sorted((run_id, False) for run_id in before)


def test_one_run_alone_may_be_restored(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write(RUNS)
    (done,) = archive(made, "default", made.storage.names("default"), NOW)
    assert restore(made, "default", done.name, NOW, ["r3", "none"])[1] == ["r3"]
    assert made.verify_golden("r3").ok and made.storage.names("default") == ["r3.steps.jsonl"]


def test_the_same_goldens_give_the_same_archive_wherever_they_lie(tmp_path: Path) -> None:
    made: list[tuple[str, bytes]] = []
    for place in ("one", "other"):
        its = recorder(tmp_path / place)
        its.write(RUNS if place == "one" else RUNS[::-1])
        (done,) = archive(its, "default", its.storage.names("default"), NOW)
        made.append((done.name, (tmp_path / place / "default" / done.name).read_bytes()))
    assert made[0] == made[1]


def test_any_tar_reads_an_archive(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write(RUNS)
    (done,) = archive(made, "default", made.storage.names("default"), NOW)
    told = subprocess.run(["tar", "tzvf", tmp_path / "default" / done.name], capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout.count("0/0") == 16 and "r0.steps.jsonl.sig" in told.stdout


def test_an_archive_is_recorded_before_its_originals_go(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write(RUNS)
    archiving = archive(made, "default", made.storage.names("default"), NOW)
    done = next(archiving)
    assert len(made.storage.names("default")) == 8 and (tmp_path / "default" / done.name).exists()
    # Whoever wrote one anew meanwhile has not lost it.
    changed = RUNS[0]._replace(data=RUNS[0].data.replace(b"small#1", b"small#2"))
    made.write([changed])
    assert not list(archiving) and made.storage.names("default") == ["r0.steps.jsonl"]


def test_many_goldens_go_into_several_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refold.projections.golden_upkeep.MOST_IN_ARCHIVE", 3)
    made = recorder(tmp_path)
    made.write(RUNS)
    told: list[tuple[int, int]] = []
    done = list(archive(made, "default", made.storage.names("default"), NOW, lambda n, of: told.append((n, of))))
    assert [len(each.goldens) for each in done] == [3, 3, 2] and told[-1] == (8, 8)
    assert len(list(listed(made, "default"))) == 8


def test_what_does_not_verify_is_not_archived(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write(RUNS)
    (tmp_path / "default/r3.steps.jsonl.sig").unlink()
    with pytest.raises(IntegrityError, match=r"the golden r3\.steps\.jsonl: unsigned"):
        list(archive(made, "default", made.storage.names("default"), NOW))
    assert len(made.storage.names("default")) == 8 and archive_names(made.storage, "default") == []


def test_an_archive_that_does_not_read_back_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recorder(tmp_path)
    made.write(RUNS)

    def without_the_first(held: Iterable[tuple[str, Stored]], file: BinaryIO) -> None:
        pack(list(held)[1:], file)

    monkeypatch.setattr("refold.projections.golden_archives.pack", without_the_first)
    with pytest.raises(IntegrityError, match="does not read back"):
        list(archive(made, "default", made.storage.names("default"), NOW))
    assert len(os.listdir(tmp_path / "default")) == 16


def test_an_altered_archive_is_refused_at_every_byte(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write(RUNS[:2])
    (done,) = archive(made, "default", made.storage.names("default"), NOW)
    path = tmp_path / "default" / done.name
    data = path.read_bytes()
    passed: list[int] = []
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            restore(made, "default", done.name, NOW)
            passed.append(at)
        except IntegrityError as error:
            assert "archive" in str(error) or "golden" in str(error)
    # Of gzip's header its time, flags and system mean nothing to what is read.
    assert all(at < 10 for at in passed), passed
    for cut in range(0, len(data), 31):
        path.write_bytes(data[:cut])
        with pytest.raises(IntegrityError):
            read_archive(made.storage, "default", done.name)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(IntegrityError, match="link"):
        read_archive(made.storage, "default", done.name)
    for wrong in ("../x.tgz", "archive-../../x.tgz", "archive-none.tgz", "r0.steps.jsonl"):
        with pytest.raises(GoldenStoreError, match="has no archive"):
            read_archive(made.storage, "default", wrong)


def packed(*members: tuple[str, bytes, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        packed(("../a.steps.jsonl", tarfile.REGTYPE, b"x")),
        packed(("/a.steps.jsonl", tarfile.REGTYPE, b"x")),
        packed((".a.steps.jsonl", tarfile.REGTYPE, b"x")),
        packed(("a.steps.jsonl", tarfile.SYMTYPE, b"")),
        packed(("a.steps.jsonl", tarfile.LNKTYPE, b"")),
        packed(("a.steps.jsonl", tarfile.DIRTYPE, b"")),
        packed(("a.steps.jsonl", tarfile.FIFOTYPE, b"")),
        packed(("a.sh", tarfile.REGTYPE, b"x")),
        packed(("a.steps.jsonl.sig", tarfile.REGTYPE, b"x")),
        packed(("a.steps.jsonl", tarfile.REGTYPE, b"x"), ("a.steps.jsonl", tarfile.REGTYPE, b"y")),
        packed(("a" * 300 + ".steps.jsonl", tarfile.REGTYPE, b"x")),
        b"",
        b"no archive",
    ],
)
def test_an_archive_with_anything_else_in_it_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="the archive x"):
        list(unpack(io.BytesIO(data), "x"))


def test_the_golden_of_another_run_under_a_name_in_an_archive_is_not_restored(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write(RUNS[:2])
    stored = made.storage.read("default", "r0")
    done = write_archive(made.storage, "default", [("r1.steps.jsonl", stored)])
    with pytest.raises(IntegrityError, match="identity"):
        restore(made, "default", done.name, NOW)
    unsigned = write_archive(made.storage, "default", [("r0.steps.jsonl", Stored(stored.data, None, 1))])
    with pytest.raises(IntegrityError, match="unsigned"):
        restore(made, "default", unsigned.name, NOW)


def test_resigning_moves_files_and_archives_to_the_current_key(tmp_path: Path) -> None:
    old = recorder(tmp_path)
    old.write(RUNS)
    (first,) = archive(old, "default", ["r6.steps.jsonl", "r7.steps.jsonl"], NOW)
    (tmp_path / "default/r2.steps.jsonl").write_bytes(b"altered\n")
    made = recorder(tmp_path, keys("k1").rotated("k2", NOW, 1))
    assert resign_all(made, "default", NOW) == (["r2.steps.jsonl"], 7)
    assert resign_all(made, "default", NOW) == (["r2.steps.jsonl"], 0)
    later = GoldenRecorder(tmp_path, made.keys, lambda: NOW + HOUR)
    assert [each.run_id for each in RUNS[:6] if not later.verify_golden(each.run_id).ok] == ["r2"]
    (second,) = archive_names(made.storage, "default")
    assert second != first.name and len(restore(later, "default", second, NOW + HOUR)[1]) == 2
    assert later.verify_golden("r7").ok and later.read_golden("r7") == RUNS[7]
