"""`refold audit prove` and `consistency`: proofs as files of JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from ...core.documents import parse_json
from ...core.errors import CallError, InvalidError, Problem, RunNotFoundError
from ...core.ids import check_run_id, check_tenant, stream_of
from ...core.ports import Record
from ...eventstore.store import Store
from ...replay.audit_faults import AuditFault
from ...replay.bundles import find_leaves
from ...replay.inclusion import encoded, inclusion_of
from ...replay.merkle import consistency_proof, leaf_hash, verify_inclusion
from ...replay.signing_keys import VerifierKey
from ...replay.tree_folder import TreeFolder
from ...replay.tree_heads import Note, TreeHead, check_follows, parse_note, verify_note
from .audit_places import read_head, write_file
from .auditing import Place, own_head
from .faults import OK
from .output import console, plain, write_json
from .reading import existing_store

MAX_PROOF_BYTES = 256 * 1024 * 1024
"""No file of proofs is larger."""


def prove(
    place: Place, run_id: str | None, tenant: str, position: int | None, head: str | None, out: str | None
) -> int:
    """Write inclusion proofs of a run's events, or of one event; returns the exit code."""
    if (run_id is None) is (position is None):
        raise CallError(Problem("", "a run is named and a position is given, or neither", "give one of them"))
    tree = place.tree()
    note = own_head(tree, head)
    size = note.head.size
    with existing_store(place.database) as store:
        records, leaves = (
            _of_run(store, tree, size, check_run_id(run_id), check_tenant(tenant))
            if position is None
            else _at(store, tree, size, position)
        )
    proofs = [inclusion_of(tree, leaf, size, record) for record, leaf in zip(records, leaves, strict=True)]
    if out is not None:
        _write(out, {"format": 1, "kind": "inclusion", "head": note.data.decode(), "proofs": proofs})
    for each in proofs:
        if place.json:
            write_json({**each, "size": size, "root": note.head.root.hex()})
        else:
            where = f"event {each['version']} of {each['stream']}: leaf {each['leaf']} of {size}"
            console().print(f"{plain(where)}, {len(each['proof'])} hashes", soft_wrap=True)
    return OK


def consistency(place: Place, old: str, new: str, out: str | None) -> int:
    """Write the proof that one tree begins with another; returns the exit code."""
    tree = place.tree()
    before, after = _head(tree, old), _head(tree, new)
    if after.size > tree.size:
        reason = f"the head has {after.size} leaves, the tree in {tree.root} has {tree.size}: update it first"
        raise AuditFault("tree", "stale", reason)
    proof = consistency_proof(tree, before.size, after.size) if before.size <= after.size else None
    origin = after.origin or before.origin
    check_follows(before._replace(origin=before.origin or origin), after._replace(origin=origin), proof)
    hashes = encoded(proof or ())
    if out is not None:
        about = {"format": 1, "kind": "consistency", "old": before.size, "new": after.size}
        _write(out, {**about, "proof": hashes})
    if place.json:
        write_json({"old": before.size, "new": after.size, "consistent": True, "proof": hashes})
    else:
        told = f"consistent: the tree of {after.size} leaves begins with that of {before.size}, {len(hashes)} hashes"
        console().print(told, soft_wrap=True)
    return OK


def read_consistency(path: str, old: int, new: int) -> list[bytes]:
    """The proof in a file, which must be for trees of these sizes. Raises AuditFault, CallError."""
    document = _read(path, "consistency")
    if (document.get("old"), document.get("new")) != (old, new):
        sizes = f"{document.get('old')} and {document.get('new')}"
        reason = f"the proof is for trees of {plain(sizes)} leaves, the heads have {old} and {new}"
        raise AuditFault("consistency", "size", reason)
    return _decoded(document.get("proof"), "consistency")


def verify_proofs(path: str, key: VerifierKey, witnesses: Sequence[VerifierKey]) -> tuple[Note, list[dict[str, Any]]]:
    """The head and the events that a file proves to be under it. Raises AuditFault, CallError."""
    document = _read(path, "inclusion")
    note = parse_note(str(document.get("head")).encode())
    verify_note(note, key, witnesses)
    proofs: Any = document.get("proofs")
    if not isinstance(proofs, list):
        raise AuditFault("inclusion", "malformed", "the file holds no proofs")
    found = cast("list[Any]", proofs)
    for number, each in enumerate(found, 1):
        _verify_one(number, each, note.head)
    return note, found


def _verify_one(number: int, each: Any, head: TreeHead) -> None:
    try:
        leaf, size, hashed = int(each["leaf"]), int(each["size"]), leaf_hash(bytes.fromhex(each["event_hash"]))
        proof, where = _decoded(each["proof"], "inclusion"), f"event {each['version']} of {each['stream']}"
    except (KeyError, TypeError, ValueError):
        raise AuditFault("inclusion", "malformed", f"proof {number} in the file is none") from None
    if size != head.size:
        reason = f"the proof of {where} is for a tree of {size} leaves, the head has {head.size}"
        raise AuditFault("inclusion", "size", reason)
    if not verify_inclusion(hashed, leaf, size, proof, head.root):
        raise AuditFault("inclusion", "root", f"{where} is not shown to be leaf {leaf} of the {size} of the head")


def _of_run(
    store: Store, tree: TreeFolder, size: int, run_id: str, tenant: str
) -> tuple[Sequence[Record], Sequence[int]]:
    records = store.read(stream_of(tenant, run_id))
    if not records:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    return records, find_leaves(store, tree, size, records)


def _at(store: Store, tree: TreeFolder, size: int, position: int) -> tuple[Sequence[Record], Sequence[int]]:
    found = store.follow(position - 1, 1)
    if not found or found[0].position != position:
        raise CallError(Problem("", f"the log has no event at position {position}", "see: refold events"))
    return [found[0].record], find_leaves(store, tree, size, [found[0].record])


def _head(tree: TreeFolder, given: str) -> TreeHead:
    if not given.isascii() or not given.isdecimal():
        return read_head(given).head
    size = int(given)
    if size > tree.size:
        raise CallError(Problem("", f"the tree has {tree.size} leaves, not {size}", "refold audit update"))
    return TreeHead("", size, tree.root_at(size))


def _decoded(hashes: Any, layer: str) -> list[bytes]:
    try:
        return [base64.b64decode(each, validate=True) for each in hashes]
    except (TypeError, ValueError, binascii.Error):
        raise AuditFault(layer, "malformed", "a proof is a list of hashes in base64") from None


def _write(path: str, document: dict[str, Any]) -> None:
    write_file(Path(path), orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n")


def _read(path: str, kind: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document: Any = parse_json(file.read(MAX_PROOF_BYTES + 1), max_bytes=MAX_PROOF_BYTES)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidError):
            raise AuditFault(kind, "unreadable", f"{path} is no file of proofs: {error}") from None
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CallError(Problem("", f"{path} cannot be read: {reason}", "name a file of proofs")) from None
    if not isinstance(document, dict) or cast("dict[str, Any]", document).get("kind") != kind:
        raise AuditFault(kind, "malformed", f"{path} holds no {kind} proof")
    return cast("dict[str, Any]", document)
