"""`refold audit witness`: somebody else than the log's owner says which head of the log he has seen."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from ...core.errors import CallError, Problem
from ...replay.merkle import consistency_proof
from ...replay.signing_keys import SigningKey, VerifierKey
from ...replay.tree_folder import TreeFolder
from ...replay.tree_heads import Note, check_follows, cosign, parse_note, verify_note
from .audit_places import read_head, write_file
from .audit_proofs import read_consistency
from .faults import OK
from .output import console, write_json


def witness(
    head: str,
    log_key: str,
    state: str,
    key: str | None,
    proof: str | None,
    tree: str | None,
    out: str | None,
    json: bool,
) -> int:
    """Co-sign a head that continues the one signed last; returns the exit code."""
    signing, public, path = SigningKey.load(key), VerifierKey.load(log_key), Path(state)
    note = read_head(head)
    verify_note(note, public)
    lock = _locked(path)
    try:
        seen = _seen(path)
        if seen is not None:
            check_follows(seen.head, note.head, _proof(seen, note, proof, tree))
        # Before the signature leaves: a witness that forgets what it signed could sign a fork.
        write_file(path, note.data)
    finally:
        os.close(lock)
    at = int(time.time())
    signed = cosign(note, signing, at)
    if out is not None:
        write_file(Path(out), signed)
    if json:
        about = {"origin": note.head.origin, "size": note.head.size, "root": note.head.root.hex()}
        write_json({**about, "witness": signing.name, "at": at, "checkpoint": signed.decode()})
    elif out is None:
        console().print(signed.decode(), end="", soft_wrap=True)
    else:
        console().print(f"signed: {note.head.size} leaves of {note.head.origin}", soft_wrap=True)
    return OK


def _proof(seen: Note, note: Note, proof: str | None, tree: str | None) -> list[bytes] | None:
    old, new = seen.head.size, note.head.size
    if not 0 < old < new:
        return None
    if proof is not None:
        return read_consistency(proof, old, new)
    if tree is None:
        return None
    files = TreeFolder(Path(tree))
    return consistency_proof(files, old, new) if new <= files.size else None


def _seen(path: Path) -> Note | None:
    try:
        return parse_note(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None


def _locked(path: Path) -> int:
    try:
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unusable(path, error) from None
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _unusable(path: Path, error: OSError) -> CallError:
    reason = f"the witness's state {path} cannot be used: {error.strerror}"
    return CallError(Problem("", reason, "name a file in a folder of yours by --state"))
