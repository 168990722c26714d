"""Whoever alters an archive is found out: by its SHA-256 in the log, and by the chains of the runs in it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from refold.core.errors import IntegrityError, RefoldError
from refold.eventstore.tiered import TieredStore
from refold.replay.archives import ArchivesVerification, verify_archives
from refold.replay.verify import verify_run
from refold.tests.support.archived import archive, bring_back, ended_streams, opened, untold


def verdict(store: TieredStore) -> ArchivesVerification:
    found = verify_archives(store, untold)
    assert found is not None
    return found


def file_of(store: TieredStore) -> Path:
    assert store.folder.path is not None
    (path,) = store.folder.path.glob("archive-*")
    return path


def flipped(data: bytes) -> bytes:
    return data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:]


def reworded(data: bytes) -> bytes:
    plain = gzip.decompress(data)
    assert b"Ada" in plain
    return gzip.compress(plain.replace(b"Ada", b"Eve"))


ALTERATIONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a bit flipped": (flipped, "was altered"),
    "cut off": (lambda data: data[:-1], "was altered"),
    "emptied": (lambda data: b"", "was altered"),
    "something appended": (lambda data: data + gzip.compress(b"more"), "was altered"),
    "other words, compressed anew": (reworded, "was altered"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
async def test_an_altered_archive_is_named(name: str, filled: TieredStore, url: str) -> None:
    archive(filled)
    assert verdict(filled).ok and verdict(filled).archives == 1
    path = file_of(filled)
    change, reason = ALTERATIONS[name]
    path.write_bytes(change(path.read_bytes()))
    (finding,) = verdict(filled).findings
    assert finding.kind == "archive" and path.name in finding.reason and reason in finding.reason
    bring_back_all = opened(url)
    ended = [place.stream for place in bring_back_all.index.held(path.name, "", 100) if place.stream.count("/") == 1]
    broken = [run for run in ended if not verify_run(bring_back_all, run.partition("/")[2]).ok]
    assert bool(broken) == (name != "something appended")
    if broken:
        with pytest.raises(IntegrityError):
            bring_back(bring_back_all, *broken)
    bring_back_all.close()


async def test_a_missing_archive_is_named_and_its_runs_are_broken(filled: TieredStore, url: str) -> None:
    ended = ended_streams(filled)
    archive(filled)
    path = file_of(filled)
    path.rename(path.with_name("elsewhere"))
    (finding,) = verdict(filled).findings
    assert f"{path.name} is missing, and with it {len(ended)} runs" in finding.reason
    other = opened(url)
    found = verify_run(other, "linear")
    assert not found.ok and path.name in found.chain[0].reason and found.status is None
    with pytest.raises(RefoldError, match=path.name):
        other.follow(0, 10)
    other.close()
    path.with_name("elsewhere").rename(path)
    bring_back(filled, *ended)
    path.unlink()
    assert verdict(filled).ok, "nothing leads to it any more"


async def test_one_runs_member_does_not_pass_for_anothers(filled: TieredStore) -> None:
    archive(filled)
    with filled.hot.access.appending() as change:
        where = "SELECT {} FROM archived WHERE stream = 'default/failed'"
        change.run(
            f"UPDATE archived SET start = ({where.format('start')}), length = ({where.format('length')}) "
            "WHERE stream = 'default/linear'",
            (),
        )
    assert not verify_run(filled, "linear").ok


async def test_an_archive_that_nobody_recorded_is_named(filled: TieredStore) -> None:
    archive(filled)
    path = file_of(filled)
    path.rename(path.with_name("archive-foreign.ndjson.gz"))
    with filled.hot.access.appending() as change:
        change.run("UPDATE archived SET file = 'archive-foreign.ndjson.gz'", ())
    (finding,) = verdict(filled).findings
    assert "archive-foreign.ndjson.gz" in finding.reason and "nobody recorded" in finding.reason


async def test_an_altered_record_of_archives_is_found(filled: TieredStore) -> None:
    archive(filled)
    with filled.hot.access.appending() as change:
        sql = "UPDATE stored_events SET topic = 'golden.archived' WHERE originator_id = 'control/archives'"
        assert change.run(sql, ()) == 1
    kinds = {finding.kind for finding in verdict(filled).findings}
    assert {"changed", "impossible", "archive"} <= kinds


@pytest.mark.parametrize("name", ["../store.db", "/etc/passwd", ".hidden"])
async def test_a_row_cannot_lead_out_of_the_folder(filled: TieredStore, name: str) -> None:
    archive(filled)
    with filled.hot.access.appending() as change:
        change.run(f"UPDATE archived SET file = '{name}'", ())
    with pytest.raises(IntegrityError, match="no archive of ours"):
        filled.read("default/linear")


async def test_a_store_without_archives_has_no_verdict_on_them(filled: TieredStore) -> None:
    assert verify_archives(filled, untold) is None
