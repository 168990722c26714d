"""Runs that have gone into archives are proved as before, and the tree does not notice that they went."""

from __future__ import annotations

from pathlib import Path

import pytest

from refold.eventstore.tiered import TieredStore
from refold.replay.bundle_proof import prove_bundle
from refold.replay.bundles import export_run, read_bundle
from refold.replay.log_tree import check_log, update
from refold.tests.support.archived import archive, bring_back, hot_streams, opened
from refold.tests.support.audited import LOG_KEY, WITNESS_KEY, fill, signed, tree_of
from refold.tests.support.tampering import SPECS, store_runs


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_archived_runs_are_exported_with_the_same_bytes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    store: TieredStore = opened(url, tmp_path / "archives")
    store_runs(store)
    tree = tree_of(store, tmp_path / "audit")
    note = signed(tree)
    before = {run_id: export_run(store, tree, note, run_id) for run_id in SPECS}
    archive(store)
    assert "default/linear" not in hot_streams(store), "nothing was archived, so this test cannot fail"
    assert {run_id: export_run(store, tree, note, run_id) for run_id in SPECS} == before
    verdict = prove_bundle(read_bundle(before["linear"]), LOG_KEY.verifier, [WITNESS_KEY.verifier])
    assert verdict.ok, verdict.faults
    assert check_log(store, note.head, tree).ok

    fill(store, 1, 5)  # and the record of the archive itself
    assert update(store, tree) >= 6
    assert check_log(store, signed(tree).head, tree).ok
    bring_back(store, "default/linear")
    update(store, tree)
    assert check_log(store, signed(tree).head, tree).ok
    assert tree_of(store, tmp_path / "again").head_root == tree.head_root
    store.close()
