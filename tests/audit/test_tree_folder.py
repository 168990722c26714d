"""The tree over a log as files: it follows the log, is built again with the same bytes, and notices damage."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from refold import open_store
from refold.core.ports import Record
from refold.eventstore.store import Store
from refold.replay import log_tree
from refold.replay.audit_faults import AuditFault
from refold.replay.log_tree import Check, check_log, leaf_of, update
from refold.replay.merkle import Levels, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from refold.replay.tree_folder import TreeFolder
from refold.tests.support.audited import fill, long_append, signed, tree_of
from refold.tests.support.tampering import SQLiteAttacker


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind that lasts."""
    url = f"sqlite:///{tmp_path / 'log.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = open_store(url)
    yield opened
    opened.close()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_leaves_are_the_events_in_order_without_gaps(store: Store, tmp_path: Path) -> None:
    fill(store, 7, 40)
    before = store.last_position()
    fill(store, 2, 5, "other")
    tree = tree_of(store, tmp_path / "audit")
    log = store.follow(0, 1_000)
    assert tree.size == len(log) == 290 and tree.position == log[-1].position > before
    for leaf in (0, 1, 255, 256, 289):
        assert tree.read(0, leaf, 1) == leaf_of(log[leaf].record)
        assert tree.position_of(leaf) == log[leaf].position and tree.leaf_at(log[leaf].position) == leaf
    plain = Levels()
    plain.add([leaf_of(each.record) for each in log])
    assert tree.head_root == plain.root()


def test_the_tree_grows_with_the_log_and_every_head_continues_the_one_before(store: Store, tmp_path: Path) -> None:
    tree, heads = TreeFolder(tmp_path / "audit"), [(0, Levels().root())]
    for number in range(6):
        long_append(store, f"default/{number}", ["x"] * (number * 60 + 1))
        assert update(store, tree) == number * 60 + 1
        assert update(store, tree) == 0
        heads.append((tree.size, tree.head_root))
    for old, old_root in heads:
        assert tree.root_at(old) == old_root
        for new, new_root in heads:
            if old <= new:
                proof = consistency_proof(tree, old, new)
                assert verify_consistency(old, new, proof, old_root, new_root)


def test_pages_processes_and_a_rebuild_give_the_same_files(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 3, 300)
    whole = tree_of(store, tmp_path / "whole")
    monkeypatch.setattr(log_tree, "PAGE", 97)
    pages = tree_of(store, tmp_path / "pages")
    reopened = TreeFolder(tmp_path / "pages")
    assert whole.head_root == pages.head_root == reopened.head_root
    assert files(tmp_path / "whole") == files(tmp_path / "pages")
    assert len(files(tmp_path / "whole")["levels/0"]) == 900 * 32
    assert len(files(tmp_path / "whole")["levels/1"]) == 3 * 32, "one hash for each full tile of 256"


def test_several_updates_at_once_make_one_tree(store: Store, tmp_path: Path) -> None:
    fill(store, 3, 200)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            update(store, TreeFolder(tmp_path / "audit"))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert TreeFolder(tmp_path / "audit").head_root == tree_of(store, tmp_path / "other").head_root


def test_what_a_crash_left_beyond_the_tree_is_written_over(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    fill(store, 1, 300)
    tree_of(store, tmp_path / "audit")
    before = (tmp_path / "audit/tree.json").read_bytes()
    fill(store, 1, 300, "more")
    tree_of(store, tmp_path / "audit")
    # As if the process had died before it wrote tree.json.
    (tmp_path / "audit/tree.json").write_bytes(before)
    level = tmp_path / "audit/levels/0"
    level.write_bytes(level.read_bytes() + b"rubbish")
    tree = TreeFolder(tmp_path / "audit")
    assert tree.size == 300
    assert update(store, tree) == 300
    assert files(tmp_path / "audit") == files(tree_of(store, tmp_path / "whole").root)
    store.close()


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("levels/0", lambda data: data[:-1]),
        ("levels/0", lambda data: data[:-5] + b"\0" + data[-4:]),
        ("levels/1", lambda data: b"\0" + data[1:]),
        ("tree.json", lambda data: data[:10]),
        ("tree.json", lambda data: data.replace(b'"size":300', b'"size":299')),
        ("levels/1", lambda data: None),
    ],
)
def test_damaged_files_are_noticed_and_the_cure_is_named(file: str, damage: object, tmp_path: Path) -> None:
    store = open_store("memory:")
    fill(store, 1, 300)
    tree_of(store, tmp_path / "audit")
    path = tmp_path / "audit" / file
    data = damage(path.read_bytes())  # type: ignore[operator]
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(AuditFault) as caught:
        TreeFolder(tmp_path / "audit")
    assert (caught.value.layer, caught.value.kind) == ("tree", "damaged")


def test_proofs_need_no_row_of_the_log(tmp_path: Path) -> None:
    store = open_store("memory:")
    fill(store, 5, 200)
    log = store.follow(0, 1_000)
    tree_of(store, tmp_path / "audit")
    store.close()
    tree = TreeFolder(tmp_path / "audit")
    for leaf in (0, 300, 999):
        hashed = leaf_of(log[leaf].record)
        assert tree.find([hashed]) == {hashed: leaf}
        assert verify_inclusion(hashed, leaf, 1_000, inclusion_proof(tree, leaf, 1_000), tree.head_root)


class Tampered:
    """A log of which a tree was made and a head published, and somebody who changes a row in place."""

    def __init__(self, folder: Path):
        self.path = folder / "log.db"
        self.store = open_store(f"sqlite:///{self.path}")
        fill(self.store, 3, 200)
        self.tree = tree_of(self.store, folder / "audit")
        self.head = signed(self.tree).head

    def attack(self, sql: str, *values: object) -> None:
        attacker = SQLiteAttacker(str(self.path))
        assert attacker._connection.execute(sql, values).rowcount == 1  # pyright: ignore[reportPrivateUsage]
        attacker.close()

    def check(self, tree: TreeFolder | None) -> Check:
        return check_log(self.store, self.head, tree)


@pytest.fixture
def tampered(tmp_path: Path) -> Iterator[Tampered]:
    """The log before anything was done to it."""
    made = Tampered(tmp_path)
    assert made.check(made.tree).ok and made.check(None).ok
    yield made
    made.store.close()


def test_a_changed_event_is_named_with_its_leaf(tampered: Tampered) -> None:
    tampered.attack("UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE rowid = 301")
    verdict = tampered.check(tampered.tree)
    assert not verdict.ok and verdict.differing == 1 and verdict.compared
    assert verdict.first == verdict.last and verdict.first is not None
    assert (verdict.first.leaf, verdict.first.position, verdict.streams) == (300, 301, ("default/writer-0",))
    assert "leaf 300, which is now event 101 of default/writer-0" in verdict.reason
    blind = tampered.check(None)
    assert not blind.ok and blind.first is None and "--tree" in blind.reason


def test_a_removed_event_is_told_by_the_first_leaf_that_differs(tampered: Tampered) -> None:
    tampered.attack("DELETE FROM stored_events WHERE rowid = 301")
    verdict = tampered.check(tampered.tree)
    assert verdict.leaves == 599 and verdict.first is not None and verdict.first.leaf == 300
    assert verdict.differing == 299 and "the log has 599 events, the published head has 600" in verdict.reason


def test_a_tree_that_is_not_the_published_one_is_of_no_use(tampered: Tampered, tmp_path: Path) -> None:
    tampered.attack("UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE rowid = 301")
    forged = tree_of(tampered.store, tmp_path / "forged")
    verdict = tampered.check(forged)
    assert not verdict.ok and not verdict.compared and verdict.first is None


def test_growth_is_no_difference(tampered: Tampered) -> None:
    fill(tampered.store, 2, 10, "later")
    verdict = tampered.check(tampered.tree)
    assert verdict.ok and verdict.leaves == 600


def test_an_update_refuses_a_log_that_was_cut_and_went_on(tampered: Tampered) -> None:
    """After a restore positions leave a gap where the lost events were: the tree must not go on behind them."""
    tampered.attack("DELETE FROM stored_events WHERE rowid = 600")
    fill(tampered.store, 2, 10, "later")
    with pytest.raises(AuditFault, match="the log has no event at position 600, where the tree has leaf 599"):
        update(tampered.store, tampered.tree)


def test_an_update_refuses_another_log(tampered: Tampered) -> None:
    other = open_store("memory:")
    fill(other, 1, 10)
    with pytest.raises(AuditFault, match="ends before that"):
        update(other, tampered.tree)
    fill(other, 3, 300, "other")
    with pytest.raises(AuditFault, match="is not the one"):
        update(other, tampered.tree)
    other.close()


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    tree = TreeFolder(tmp_path / "audit")
    page = [os.urandom(32) for _ in range(8_192)]
    with tree.writing():
        for number in range(9):
            tree.append(page, range(number * 8_192 + 1, (number + 1) * 8_192 + 1))
        tree.commit()
    kept = sum(map(len, tree._levels._tails))  # pyright: ignore[reportPrivateUsage]
    assert tree.size == 73_728 and kept <= 4 * 8_192


def test_a_leaf_stands_for_the_whole_of_an_event() -> None:
    record = Record("default/a", 3, "run.started", b"{}")
    others = [
        record._replace(stream="default/b"),
        record._replace(version=4),
        record._replace(topic="run.failed"),
        record._replace(state=b"{ }"),
    ]
    assert len({leaf_of(each) for each in [record, *others]}) == 5
