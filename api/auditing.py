"""The tree over the log as the API reads it; what is wrong is told without the server's paths."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import IntegrityError
from ..core.failures import FAILURES
from ..eventstore.store import Store
from ..replay.audit_faults import AuditFault
from ..replay.tree_folder import TreeFolder
from ..replay.tree_heads import Note, parse_note
from .missing import missing
from .places import usable
from .problems import Refusal

TREE_BEHIND = FAILURES["TREE_BEHIND"].code
"""The tree, or its signed head, does not hold something yet."""

_PAGE = 1_000

_LATER = {"newer", "stale"}
"""Kinds of faults that a newer head cures."""


class Signed(NamedTuple):
    """The tree with its latest signed head."""

    tree: TreeFolder
    note: Note


@contextmanager
def opened(root: Path) -> Generator[TreeFolder]:
    """The tree in a folder. Within, raises Refusal for what a newer head cures, IntegrityError for other faults."""
    try:
        with usable("the tree over the log"):
            tree = TreeFolder(root)
        yield tree
    except AuditFault as fault:
        reason = fault.reason.replace(str(root), "the tree's folder")
        if fault.kind in _LATER:
            raise Refusal(HTTPStatus.CONFLICT, reason, code=TREE_BEHIND) from None
        raise IntegrityError(f"{fault.layer}: {fault.kind}: {reason}") from None


@contextmanager
def signed(root: Path, store: Store, *streams: str) -> Generator[Signed]:
    """The tree with its signed head, for proofs of events of `streams`. Raises Refusal when none was signed, and as
    `opened`."""
    with opened(root) as tree:
        data = tree.checkpoint()
        if data is None:
            raise missing("signed head", "of the tree")
        try:
            yield Signed(tree, parse_note(data))
        except AuditFault as fault:
            if fault.kind == "missing" and _is_behind(store, tree, streams):
                raise AuditFault(fault.layer, "newer", "this is newer than the tree: update it") from None
            raise


def _is_behind(store: Store, tree: TreeFolder, streams: Collection[str]) -> bool:
    """Whether the log has events of these streams that the tree was never shown."""
    position = tree.position
    while page := store.follow(position, _PAGE):
        if any(found.record.stream in streams for found in page):
            return True
        position = page[-1].position
    return False


def head_json(note: Note) -> dict[str, Any]:
    """A signed head as a JSON object."""
    head = note.head
    about = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "signatures": len(note.signatures)}
    return {**about, "checkpoint": note.data.decode()}
