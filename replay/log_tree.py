"""The tree over the log: which leaf an event is, how the tree follows the log, and how the log is held against a head.

A leaf is the event's chain hash (32 bytes), which commits to stream, version, topic and stored bytes, of every stream
there is. Leaves are numbered from 0 in the order of positions, without gaps, whatever gaps the positions have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core.ports import Record
from ..eventstore.chain import event_hash
from ..eventstore.store import Notification, Store
from .audit_faults import AuditFault
from .merkle import HASH_BYTES, Levels, leaf_hash
from .tree_folder import TreeFolder
from .tree_heads import TreeHead

PAGE = 8_192
"""Leaves that are read together."""

_PAGES = 16
"""So many pages are made durable together: a sync costs as much as the hashes of thousands of leaves."""

_NAMED = 20

Told = Callable[[int, int], object]
"""Is told how far it is, and of how much."""


def leaf_of(record: Record) -> bytes:
    """The hash of the leaf that stands for an event."""
    return leaf_hash(bytes.fromhex(event_hash(*record)))


def update(store: Store, tree: TreeFolder, told: Told = lambda done, of: None) -> int:
    """Take into the tree what the log holds beyond it; returns how many leaves were added.

    Raises AuditFault where the log is another one than that of the tree.
    """
    with tree.writing():
        _check_same_log(store, tree)
        before, last, unsaved = tree.size, store.last_position(), 0
        while page := store.follow(tree.position, PAGE):
            tree.append([leaf_of(each.record) for each in page], [each.position for each in page])
            unsaved += 1
            if unsaved == _PAGES:
                tree.commit()
                unsaved = 0
            told(tree.position, max(last, tree.position))
        if unsaved or not tree.size:
            tree.commit()
        return tree.size - before


@dataclass(frozen=True, slots=True)
class Difference:
    """A leaf that is another one in the log: its number, and the event that the log has there now."""

    leaf: int
    position: int
    stream: str
    version: int

    def __str__(self) -> str:
        return f"leaf {self.leaf}, which is now event {self.version} of {self.stream} at position {self.position}"

    def to_json(self) -> dict[str, Any]:
        """The difference as a JSON object of the same names."""
        return {"leaf": self.leaf, "position": self.position, "stream": self.stream, "version": self.version}


@dataclass(frozen=True, slots=True)
class Check:
    """How the log stands to a published head. `leaves` is how many of the head's there are, at most its size.

    `first` and `last` are the first and the last leaf that differ, `differing` how many do, and `streams` whose they
    are (the first few): None and empty where no tree was at hand to tell.
    """

    head: TreeHead
    leaves: int
    root: bytes
    first: Difference | None
    last: Difference | None
    differing: int
    streams: tuple[str, ...]
    compared: bool

    @property
    def ok(self) -> bool:
        """Whether the log is the one that the head was signed over."""
        return self.leaves == self.head.size and self.root == self.head.root

    @property
    def reason(self) -> str:
        """What is wrong, in a sentence."""
        if self.ok:
            return f"the log begins with the {self.head.size} events of the published head"
        if self.leaves < self.head.size:
            said = f"the log has {self.leaves} events, the published head has {self.head.size}"
        else:
            said = f"the first {self.head.size} events of the log are not those that the published head was signed over"
        if self.first is None or self.last is None:
            return said + ("" if self.compared else "; with the published tree at hand (--tree) it can be said where")
        many = "" if self.differing == 1 else f"; {self.differing} leaves differ, the last is number {self.last.leaf}"
        return f"{said}: they first differ at {self.first}{many}"

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        return {
            "ok": self.ok,
            "origin": self.head.origin,
            "size": self.head.size,
            "leaves": self.leaves,
            "published_root": self.head.root.hex(),
            "root": self.root.hex(),
            "compared": self.compared,
            "first": None if self.first is None else self.first.to_json(),
            "last": None if self.last is None else self.last.to_json(),
            "differing": self.differing,
            "streams": list(self.streams),
            "reason": self.reason,
        }


def check_log(store: Store, head: TreeHead, tree: TreeFolder | None, told: Told = lambda done, of: None) -> Check:
    """Compute the root over the log's first events again, and compare it with that of `head`.

    `tree` says which leaves differ; one that is not the tree of `head` itself is of no use, and left aside.
    """
    if tree is not None and not _is_of(tree, head):
        tree = None
    levels, first, last, differing = Levels(), None, None, 0
    streams: dict[str, None] = {}
    for page in _pages(store, head.size):
        start, leaves = levels.size, [leaf_of(each.record) for each in page]
        levels.add(leaves)
        if tree is not None and (known := tree.read(0, start, len(page))) != b"".join(leaves):
            for number, (each, leaf) in enumerate(zip(page, leaves, strict=True)):
                if leaf != known[number * HASH_BYTES : (number + 1) * HASH_BYTES]:
                    last = Difference(start + number, each.position, each.record.stream, each.record.version)
                    first = first or last
                    differing += 1
                    if len(streams) < _NAMED:
                        streams[each.record.stream] = None
        told(levels.size, head.size)
    return Check(head, levels.size, levels.root(), first, last, differing, tuple(streams), tree is not None)


def _pages(store: Store, size: int) -> Iterator[list[Notification]]:
    position, taken = 0, 0
    while taken < size and (page := store.follow(position, min(PAGE, size - taken))):
        yield page
        position, taken = page[-1].position, taken + len(page)


def _is_of(tree: TreeFolder, head: TreeHead) -> bool:
    try:
        return tree.size >= head.size and tree.root_at(head.size) == head.root
    except AuditFault:
        return False


def _check_same_log(store: Store, tree: TreeFolder) -> None:
    """Raises AuditFault where the last event of the tree is another one in the log. Of those before it, `check_log`
    knows."""
    if not tree.size:
        return
    if store.last_position() < tree.position:
        reason = f"the tree has {tree.size} events, up to position {tree.position}, and the log ends before that"
        raise AuditFault("log", "cut", reason)
    found = store.follow(tree.position - 1, 1)
    if not found or found[0].position != tree.position:
        reason = f"the log has no event at position {tree.position}, where the tree has leaf {tree.size - 1}"
        raise AuditFault("log", "cut", reason)
    if leaf_of(found[0].record) != tree.read(0, tree.size - 1, 1):
        record = found[0].record
        reason = f"event {record.version} of {record.stream} is not the one that the tree has as leaf {tree.size - 1}"
        raise AuditFault("log", "changed", reason)
