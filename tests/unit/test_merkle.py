"""The tree against RFC vectors and against the definitions of RFC 6962 written down as they stand there."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.replay.merkle import (
    EMPTY_ROOT,
    Levels,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The leaves of the known trees of Certificate Transparency, and the roots of the first 1 to 8 of them."""

ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Kept:
    """A tree in memory, which counts what is read of it."""

    def __init__(self, hashes: Sequence[bytes] = ()):
        self.levels = Levels()
        self.kept: list[bytes] = []
        self.reads = 0
        self.add(hashes)

    def add(self, hashes: Sequence[bytes]) -> None:
        for level, gained in enumerate(self.levels.add(hashes)):
            if level == len(self.kept):
                self.kept.append(b"")
            self.kept[level] += gained

    def read(self, level: int, first: int, count: int) -> bytes:
        self.reads += 1
        found = self.kept[level][32 * first : 32 * (first + count)]
        assert len(found) == 32 * count, "beyond the end of the level"
        return found


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over the hashes of leaves."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256(b"").digest()
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + naive_root(hashes[:k]) + naive_root(hashes[k:])).digest()


def naive_path(m: int, hashes: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(hashes) == 1:
        return []
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if m < k:
        return [*naive_path(m, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(m - k, hashes[k:]), naive_root(hashes[:k])]


def naive_proof(m: int, hashes: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2."""
    if m == len(hashes):
        return [] if whole else [naive_root(hashes)]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if m <= k:
        return [*naive_proof(m, hashes[:k], whole), naive_root(hashes[k:])]
    return [*naive_proof(m - k, hashes[k:], False), naive_root(hashes[:k])]


def numbered(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


BIG = 66_000
"""More than two levels of tiles."""

MANY = numbered(BIG)
TREE = Kept(MANY)


@pytest.mark.parametrize("size", range(1, 9))
def test_the_known_trees_have_their_roots(size: int) -> None:
    levels = Levels()
    levels.add([leaf_hash(leaf) for leaf in LEAVES[:size]])
    assert levels.root().hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Levels().root() == EMPTY_ROOT == sha256(b"").digest()


def test_the_worked_example_of_the_rfc_has_its_paths() -> None:
    # RFC 6962, 2.1.3: d0 to d6 with a … j; the paths are named there.
    d = numbered(7)
    tree = Kept(d)
    a, b, c, e, f, j = (*d[:3], d[4], d[5], d[6])
    g, h, i = naive_root(d[:2]), naive_root(d[2:4]), naive_root([e, f])
    k, el = naive_root(d[:4]), naive_root(d[4:])
    assert inclusion_proof(tree, 0, 7) == [b, h, el]
    assert inclusion_proof(tree, 3, 7) == [c, g, el]
    assert inclusion_proof(tree, 4, 7) == [f, j, k]
    assert inclusion_proof(tree, 6, 7) == [i, k]
    assert consistency_proof(tree, 3, 7) == [c, d[3], g, el]
    assert consistency_proof(tree, 4, 7) == [el]
    assert consistency_proof(tree, 6, 7) == [i, j, k]
    assert a not in inclusion_proof(tree, 0, 7)


@given(st.lists(st.integers(0, 300), max_size=8))
def test_pages_of_any_size_give_the_tree_of_the_definition(pages: list[int]) -> None:
    tree, taken = Kept(), 0
    for page in pages:
        tree.add(MANY[taken : taken + page])
        taken += page
    assert tree.levels.root() == naive_root(MANY[:taken]) == root_of(tree, taken)
    whole = Kept(MANY[:taken])
    assert tree.kept == whole.kept, "what is kept depends on the pages"


@given(st.data())
def test_inclusion_proofs_are_those_of_the_definition(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 1_200))
    leaf = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(TREE, leaf, size)
    root = naive_root(MANY[:size])
    assert proof == naive_path(leaf, MANY[:size])
    assert verify_inclusion(MANY[leaf], leaf, size, proof, root)
    other = data.draw(st.integers(0, size))
    assert other == leaf or not verify_inclusion(MANY[leaf], other, size, proof, root)
    assert not verify_inclusion(MANY[size], leaf, size, proof, root)
    assert not verify_inclusion(MANY[leaf], leaf, size, [*proof, root], root)
    assert not proof or not verify_inclusion(MANY[leaf], leaf, size, proof[1:], root)


@given(st.data())
def test_consistency_proofs_are_those_of_the_definition(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 1_200))
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(TREE, old, new)
    before, after = naive_root(MANY[:old]), naive_root(MANY[:new])
    assert proof == naive_proof(old, MANY[:new])
    assert verify_consistency(old, new, proof, before, after)
    fork = naive_root([*MANY[: old - 1], MANY[-1]])
    assert not verify_consistency(old, new, proof, fork, after)
    assert not verify_consistency(old, new, proof, before, fork)
    assert not verify_consistency(old, new, [*proof, after], before, after)


@pytest.mark.parametrize("leaf", [0, 255, 256, 65_535, 65_536, BIG - 1])
def test_a_proof_reads_as_many_tiles_as_the_tree_is_high(leaf: int) -> None:
    TREE.reads = 0
    proof = inclusion_proof(TREE, leaf, BIG)
    assert verify_inclusion(MANY[leaf], leaf, BIG, proof, TREE.levels.root())
    assert len(proof) <= TREE.reads <= 2 * BIG.bit_length()
    for old in (1, 255, 65_537, BIG - 1):
        TREE.reads = 0
        proof = consistency_proof(TREE, old, BIG)
        assert verify_consistency(old, BIG, proof, root_of(TREE, old), TREE.levels.root())
        assert TREE.reads <= 6 * BIG.bit_length()


def test_nothing_is_consistent_with_the_empty_tree_but_by_an_empty_proof() -> None:
    assert verify_consistency(0, 5, [], EMPTY_ROOT, root_of(TREE, 5))
    assert not verify_consistency(0, 5, [MANY[0]], EMPTY_ROOT, root_of(TREE, 5))
    assert not verify_consistency(0, 5, [], MANY[0], root_of(TREE, 5))
    assert not verify_consistency(6, 5, [], root_of(TREE, 6), root_of(TREE, 5))
