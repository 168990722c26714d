"""Merkle trees as RFC 6962 (2.1) and RFC 9162 (2.1) define them: hashing, proofs, and the checks of proofs.

A tree is kept as levels eight apart: level 0 holds the hashes of the leaves, level L the hash of every full group of
256 of level L-1. Laid end to end in tiles of 256 these are the tiles of c2sp.org/tlog-tiles. What lies between two
levels is computed when it is asked for, so a proof reads a handful of tiles, and appending hashes each node once.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct
from typing import Protocol

HASH_BYTES = 32
"""The length of SHA-256."""

TILE = 256
"""Hashes in a full tile."""

_TILE_BYTES = TILE * HASH_BYTES

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: bytes) -> bytes:
    """The hash over 1, 2, 4, 8, … hashes laid end to end."""
    while len(hashes) > HASH_BYTES:
        hashes = _parents(hashes)
    return hashes


def _parents(hashes: bytes) -> bytes:
    """The hash over each pair of hashes, an even number of them laid end to end."""
    return b"".join([sha256(b"\x01" + pair).digest() for (pair,) in _PAIR.iter_unpack(hashes)])


_PAIR = Struct("64s")


class Levels:
    """The right edge of a growing tree: of each level the hashes that fill no tile yet; what takes in new leaves."""

    def __init__(self, size: int = 0, tails: Sequence[bytes] = ()):
        """A tree of `size` leaves; `tails[L]` holds, end to end, the last hashes of level L, fewer than 256."""
        self.size = size
        self._tails = list(tails)

    def add(self, leaves: Sequence[bytes]) -> list[bytes]:
        """Append the hashes of leaves; returns, for each level from 0, the hashes that it gained, end to end."""
        self.size += len(leaves)
        gained: list[bytes] = []
        new = b"".join(leaves)
        while new:
            level = len(gained)
            gained.append(new)
            if level == len(self._tails):
                self._tails.append(b"")
            tail = self._tails[level] + new
            full = len(tail) // _TILE_BYTES * _TILE_BYTES
            self._tails[level] = tail[full:]
            new = tail[:full]
            for _ in range(8):  # All full tiles at once: each of them becomes one hash.
                new = _parents(new)
        return gained

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        peaks = [peak for tail in reversed(self._tails) for peak in _peaks(tail)]
        if not peaks:
            return EMPTY_ROOT
        root = peaks.pop()
        while peaks:
            root = node_hash(peaks.pop(), root)
        return root


def _peaks(tail: bytes) -> list[bytes]:
    """The hashes of the largest full subtrees over `tail`, from left to right."""
    peaks: list[bytes] = []
    at, width = 0, _TILE_BYTES // 2
    while at < len(tail):
        if at + width <= len(tail):
            peaks.append(fold(tail[at : at + width]))
            at += width
        width //= 2
    return peaks


class Hashes(Protocol):
    """A tree whose levels can be read."""

    def read(self, level: int, first: int, count: int) -> bytes:
        """So many hashes of a level from number `first` on, end to end; they must exist."""
        ...


def root_of(tree: Hashes, size: int) -> bytes:
    """The root that the tree had when it had `size` leaves."""
    return _subtree(tree, 0, size) if size else EMPTY_ROOT


def inclusion_proof(tree: Hashes, leaf: int, size: int) -> list[bytes]:
    """The audit path PATH(leaf, D[size]) of RFC 6962, 2.1.1; `leaf` counts from 0 and is below `size`."""
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if leaf < middle:
            proof.append(_subtree(tree, middle, high))
            high = middle
        else:
            proof.append(_subtree(tree, low, middle))
            low = middle
    return proof[::-1]


def consistency_proof(tree: Hashes, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962, 2.1.2; `old` is at most `new`. Empty where `old` is 0 or `new`."""
    proof: list[bytes] = []
    low, high, whole = 0, new, True
    if old == 0:
        return proof
    while old < high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_subtree(tree, middle, high))
            high = middle
        else:
            proof.append(_subtree(tree, low, middle))
            low, whole = middle, False
    if not whole:
        proof.append(_subtree(tree, low, high))
    return proof[::-1]


def verify_inclusion(hashed: bytes, leaf: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that leaf number `leaf` of the tree with this size and root has this hash (RFC 9162,
    2.1.3.2)."""
    if not 0 <= leaf < size:
        return False
    at, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            hashed = node_hash(sibling, hashed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hashed = node_hash(hashed, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and hashed == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `new` leaves begins with that of `old` leaves (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new or (old in (0, new) and proof):
        return False
    if old == 0 or old == new:
        return old_root == (EMPTY_ROOT if old == 0 else new_root)
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and (first, second) == (old_root, new_root)


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(tree: Hashes, low: int, high: int) -> bytes:
    """The hash over leaves `low` to `high`, one of the subtrees that the splits of RFC 6962 make."""
    peaks: list[bytes] = []
    while low < high:
        count = high - low
        width = count if count & (count - 1) == 0 else _split(count)
        height = width.bit_length() - 1
        level = height // 8
        peaks.append(fold(tree.read(level, low >> 8 * level, 1 << height % 8)))
        low += width
    hashed = peaks.pop()
    while peaks:
        hashed = node_hash(peaks.pop(), hashed)
    return hashed
