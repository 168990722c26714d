"""`refold audit keygen`, `update`, `head` and `publish`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import CallError, Problem, StoreUnreachableError
from ...replay.audit_faults import AuditFault
from ...replay.log_tree import update as update_tree
from ...replay.signing_keys import LOG, WITNESS, SigningKey, VerifierKey, write_new
from ...replay.tree_folder import TreeFolder
from ...replay.tree_heads import Note, TreeHead, merged, parse_note, sign_head, verify_note
from .audit_places import publish as publish_note
from .audit_places import read_head
from .faults import OK
from .goldens import watched
from .output import console, plain, write_json
from .reading import existing_store, missing_file
from .streams import note as tell


@dataclass(frozen=True)
class Place:
    """Where a command works: the options that most of them have."""

    folder: str | None
    database: str | None
    json: bool

    def tree(self) -> TreeFolder:
        """The tree. Raises AuditFault, CallError."""
        return TreeFolder(self.path())

    def path(self) -> Path:
        """The tree's folder."""
        return Path(self.folder or os.environ.get("REFOLD_AUDIT") or "audit")

    def updated(self) -> tuple[TreeFolder, int]:
        """The tree with all that the log holds, and how many leaves were new. Raises AuditFault, CallError."""
        if (missing := missing_file(self.database)) is not None:
            # A tree of nothing must not be signed in place of the log's.
            raise StoreUnreachableError(f"there is no database {missing}")
        tree = self.tree()
        with existing_store(self.database) as store, watched("updating") as told:
            return tree, update_tree(store, tree, told)


def keygen(name: str, out: str, witness: bool, json: bool) -> int:
    """Make a key; returns the exit code."""
    key, path = SigningKey.generate(name), Path(out)
    if not path.name:
        raise CallError(Problem("", f"-o {out!a} names no file", "name one, such as log.pem"))
    public, text = path.with_suffix(".pub.pem"), path.with_suffix(".vkey")
    for each in (public, text):
        if each.exists():
            fix = "a key is never written over; choose another name"
            raise CallError(Problem("", f"there is a file {each} already", fix))
    key.save(path)
    verifier = key.verifier.text(WITNESS if witness else LOG)
    write_new(public, key.verifier.pem(), 0o644)
    write_new(text, verifier.encode() + b"\n", 0o644)
    if json:
        write_json({"name": name, "private": str(path), "public": str(public), "verifier": verifier})
    else:
        console().print(verifier, soft_wrap=True)
        tell(f"private key: {path} (out of reach of the database's owner); public: {public}, {text}")
    return OK


def update(place: Place) -> int:
    """Update the tree; returns the exit code."""
    tree, added = place.updated()
    if place.json:
        write_json({"size": tree.size, "added": added, "position": tree.position, "root": tree.head_root.hex()})
    else:
        console().print(f"{tree.size} leaves, {added} of them new; root {tree.head_root.hex()}", soft_wrap=True)
    return OK


def head(place: Place, key: str | None) -> int:
    """Sign the head of the tree; returns the exit code."""
    _tell(place, _signed(place, SigningKey.load(key))[1])
    return OK


def publish(place: Place, key: str | None, to: str, heads: Sequence[str]) -> int:
    """Publish the head of the tree, or the given one; returns the exit code."""
    signing = SigningKey.load(key)
    if heads:
        tree, given = place.tree(), merged([read_head(each) for each in heads])
        verify_note(given, signing.verifier)
        _check_of_tree(tree, given.head)
    else:
        tree, given = _signed(place, signing)
    with tree.writing():
        name = publish_note(to, given, tree)
        known = tree.checkpoint()
        if known is None or parse_note(known).head.size <= given.head.size:
            tree.write("checkpoint", given.data)
    if place.json:
        about = {"origin": given.head.origin, "size": given.head.size, "root": given.head.root.hex()}
        write_json({**about, "signatures": len(given.signatures), "name": name, "published": name is not None})
    elif name is None:
        console().print(f"published already: {given.head.size} leaves", soft_wrap=True)
    else:
        console().print(f"published: {given.head.size} leaves, {plain(name)}", soft_wrap=True)
    return OK


def own_head(tree: TreeFolder, place: str | None) -> Note:
    """The head at `place`, else the tree's own latest one. Raises AuditFault, CallError."""
    if place is not None:
        found = read_head(place)
        _check_of_tree(tree, found.head)
        return found
    data = tree.checkpoint()
    if data is None:
        raise CallError(Problem("", f"there is no signed head in {tree.root}", "make one: refold audit head"))
    return parse_note(data)


def public_key(source: str | None) -> VerifierKey:
    """The log's public key. Raises CallError."""
    if source is None:
        raise CallError(Problem("", "no public key is named", "name the log's by --key"))
    return VerifierKey.load(source)


def _signed(place: Place, key: SigningKey) -> tuple[TreeFolder, Note]:
    tree, _ = place.updated()
    with tree.writing():
        made = TreeHead(key.name, tree.size, tree.head_root)
        data = tree.checkpoint()
        if data is not None:
            known = parse_note(data)
            if known.head.origin == key.name:
                # A log that signs what does not continue what it signed before has lied to somebody.
                _check_of_tree(tree, known.head)
            if known.head == made:
                verify_note(known, key.verifier)
                return tree, known
        tree.write("checkpoint", sign_head(made, key))
        return tree, parse_note(sign_head(made, key))


def _check_of_tree(tree: TreeFolder, given: TreeHead) -> None:
    if given.size > tree.size:
        reason = f"the head has {given.size} leaves, the tree in {tree.root} has {tree.size}: update it first"
        raise AuditFault("tree", "stale", reason)
    if tree.root_at(given.size) != given.root:
        reason = f"the tree in {tree.root} had another root when it had the {given.size} leaves of the head"
        raise AuditFault("head", "forked", reason)


def _tell(place: Place, note: Note) -> None:
    if place.json:
        made = note.head
        write_json(
            {"origin": made.origin, "size": made.size, "root": made.root.hex(), "checkpoint": note.data.decode()}
        )
    else:
        console().print(note.data.decode(), end="", soft_wrap=True)
