"""Goldens written from the log, as a projection does it, and what was decided about them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from refold import GoldenKeys, GoldenRecorder, IntegrityError, WorkflowEngine, open_store
from refold.core.events import Event, GoldenArchived, GoldenKeyRotated, GoldenRetentionSet
from refold.core.golden_log import GoldenLog
from refold.core.ids import GOLDEN_KEYS
from refold.projections.golden_names import GOLDEN, safe_name
from refold.projections.golden_upkeep import archive, verify_archive
from refold.projections.golden_writing import archived_goldens, write_goldens
from refold.replay.golden_control import verify_golden_control
from refold.tests.support.goldens import NOW, files_below, goldens, keys, small


def recorder(folder: Path, with_keys: GoldenKeys | None = None) -> GoldenRecorder:
    return GoldenRecorder(folder, with_keys or keys(), lambda: NOW)


def contents(folder: Path, suffix: str = "") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files_below(folder) if path.name.endswith(suffix)}


def test_a_rebuild_gives_the_same_bytes_signed_with_the_current_key(tmp_path: Path) -> None:
    write_goldens(recorder(tmp_path), goldens())
    before = contents(tmp_path, GOLDEN)
    shutil.rmtree(tmp_path / "default")
    rotated = recorder(tmp_path, keys("k1").rotated("k2", NOW, 0))
    assert write_goldens(rotated, goldens()).written == len(goldens())
    assert contents(tmp_path, GOLDEN) == before
    assert {rotated.verify_golden(each.run_id).key_id for each in goldens()} == {"k2"}


def test_a_rebuild_leaves_archived_what_is_archived(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    write_goldens(made, goldens())
    names = made.storage.names("default")[:4]
    (done,) = archive(made, "default", names, NOW)
    before = contents(tmp_path)
    assert set(archived_goldens(made.storage, "default")) == {("default", name) for name in names}
    again = write_goldens(made, goldens(), archived_goldens(made.storage, "default"))
    assert again == (len(goldens()) - 4, 4) and contents(tmp_path) == before
    assert verify_archive(made, "default", done.name).ok
    first = next(each for each in goldens() if safe_name(each.run_id) + GOLDEN == names[0])
    other = first._replace(data=first.data + b"\n")
    with pytest.raises(IntegrityError, match="is not what the log says"):
        write_goldens(made, [other], archived_goldens(made.storage, "default"))


def test_batches_of_any_size_are_all_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refold.projections.golden_writing.BATCH", 7)
    for number in (0, 6, 7, 8, 20):
        made = recorder(tmp_path / str(number))
        batch = [small(f"r{each}", tenant=f"t{each % 2}") for each in range(number)]
        assert write_goldens(made, iter(batch)).written == number
        assert all(made.verify_golden(each.run_id, each.tenant).ok for each in batch)


ROTATED = GoldenKeyRotated(1, "k1", None, None, "")
SET = GoldenRetentionSet(1, "default", 60.5, "Ada")


def test_what_was_decided_is_folded() -> None:
    log = GoldenLog("default", [SET, GoldenArchived(2, "default", "a.tgz", 3, "0" * 64, ""), replace(SET, seconds=5)])
    assert (log.retention_seconds, log.archives) == (5, {"a.tgz": "0" * 64})
    assert GoldenLog(None, [ROTATED, replace(ROTATED, key_id="k2")]).key_id == "k2"


@pytest.mark.parametrize(
    ("tenant", "events"),
    [
        ("default", [ROTATED]),
        (None, [SET]),
        ("other", [SET]),
        (None, [ROTATED, ROTATED]),
    ],
)
def test_what_cannot_follow_is_refused(tenant: str | None, events: list[Event]) -> None:
    with pytest.raises(IntegrityError, match=r"golden\.\w+"):
        GoldenLog(tenant, events)


async def test_decisions_are_recorded_one_after_the_other(postgres_url: str) -> None:
    store = open_store(postgres_url)
    async with WorkflowEngine(store) as engine, WorkflowEngine(store) as other:
        for number in range(5):
            await engine.goldens.record(lambda at, n=number: GoldenKeyRotated(at, f"k{n}", None, at, "Ada"))
            await other.goldens.record(lambda at, n=number: GoldenRetentionSet(at, "default", n, "Eve"))
        assert (await other.goldens.read(None)).key_id == "k4"
        assert (await engine.goldens.read("default")).retention_seconds == 4
        assert (await engine.goldens.read("nobody")).retention_seconds is None
    assert len(store.read(GOLDEN_KEYS)) == 5 and [proof.ok for proof in verify_golden_control(store)] == [True, True]
    store.close()
