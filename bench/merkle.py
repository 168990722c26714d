"""Appends to the tree over the log, beside the SHA-256 that no such tree can do without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from figures import Figure

from refold.replay.log_tree import PAGE
from refold.replay.merkle import leaf_hash
from refold.replay.tree_folder import TreeFolder

LEAVES = 16 * PAGE


def merkle_figure(folder: Path, rounds: int, progress: Callable[[str], None]) -> Figure:
    """Leaves a second made durable in pages, as `refold audit update` does it; reading the log is not in it."""
    events = [sha256(str(number).encode()).digest() for number in range(LEAVES)]
    speeds: list[float] = []
    limits: list[float] = []
    for number in range(rounds):
        progress("Merkle appends")
        speeds.append(LEAVES / _append(TreeFolder(folder / f"tree-{number}"), events))
        limits.append(LEAVES / _hash(events))
    return Figure("Merkle appends", "leaves/s", speeds, statistics.median(limits), 200_000)


def _append(tree: TreeFolder, events: list[bytes]) -> float:
    started = time.perf_counter()
    with tree.writing():
        for at in range(0, LEAVES, PAGE):
            tree.append([leaf_hash(event) for event in events[at : at + PAGE]], range(at + 1, at + PAGE + 1))
        tree.commit()
    return time.perf_counter() - started


def _hash(events: list[bytes]) -> float:
    """As many hashes of as many bytes: one of each leaf, and one of an inner node for each leaf."""
    node = bytes(65)
    started = time.perf_counter()
    for event in events:
        sha256(b"\0" + event).digest()
        sha256(node).digest()
    return time.perf_counter() - started
