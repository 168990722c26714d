"""Proofs that events are under a head of the tree over the log, and that one head continues another, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from ..core.errors import RunNotFoundError
from ..core.ids import stream_of
from ..core.ports import Record
from ..eventstore.chain import event_hash
from ..eventstore.store import Store
from .bundles import find_leaves
from .merkle import consistency_proof, inclusion_proof
from .tree_folder import TreeFolder


def inclusion_of(tree: TreeFolder, leaf: int, size: int, record: Record) -> dict[str, Any]:
    """The proof that an event is leaf number `leaf` of the tree of `size` leaves, its hashes in base64."""
    about = {"stream": record.stream, "version": record.version, "topic": record.topic, "leaf": leaf, "size": size}
    return {**about, "event_hash": event_hash(*record), "proof": encoded(inclusion_proof(tree, leaf, size))}


def inclusion_of_run(
    store: Store, tree: TreeFolder, size: int, run_id: str, tenant: str, after: int = 0, limit: int | None = None
) -> list[dict[str, Any]]:
    """The proofs of a run's events after version `after`. Raises RunNotFoundError, AuditFault."""
    stream = stream_of(tenant, run_id)
    records = store.read(stream, after, limit)
    if not records and not store.read(stream, 0, 1):
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    leaves = find_leaves(store, tree, size, records) if records else []
    return [inclusion_of(tree, leaf, size, record) for record, leaf in zip(records, leaves, strict=True)]


def consistency_of(tree: TreeFolder, old: int, new: int) -> dict[str, Any]:
    """The proof that the tree of `new` leaves begins with that of `old`, with both roots in hexadecimal."""
    hashes = encoded(consistency_proof(tree, old, new))
    roots = {"old_root": tree.root_at(old).hex(), "new_root": tree.root_at(new).hex()}
    return {"old": old, "new": new, **roots, "proof": hashes}


def encoded(hashes: Sequence[bytes]) -> list[str]:
    """Hashes in base64, as files of proofs have them."""
    return [base64.b64encode(each).decode() for each in hashes]
