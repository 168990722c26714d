"""Signed tree heads as text: c2sp.org/tlog-checkpoint in c2sp.org/signed-note, with c2sp.org/tlog-cosignature.

example.com/log
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/log Az3grlgtzPICa5OS8np…
— witness.example/w1 jWbPPwAAAABkGFDLEZMH…
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from .audit_faults import AuditFault
from .merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from .signing_keys import LOG, WITNESS, SigningKey, VerifierKey, check_key_name

MAX_NOTE_BYTES = 256 * 1024
"""No note is longer."""

_SIGNATURES = 100
_SIZE = re.compile("0|[1-9][0-9]{0,18}")


class TreeHead(NamedTuple):
    """The state of a log: whose it is, how many leaves it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> bytes:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


class NoteSignature(NamedTuple):
    """A signature line: whose it says it is, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A head with its signatures, none of which was looked at; `data` is the whole text."""

    head: TreeHead
    signatures: Sequence[NoteSignature]
    data: bytes


class Cosignature(NamedTuple):
    """Who saw the head as the latest consistent one, and when (seconds since the epoch)."""

    name: str
    at: int


def parse_note(data: bytes) -> Note:
    """A signed head, unverified. Raises AuditFault for text that is none."""
    if len(data) > MAX_NOTE_BYTES:
        _malformed(f"it has more than {MAX_NOTE_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        _malformed("it is no UTF-8")
    body, blank, rest = text.rpartition("\n\n")
    if not blank or any(sign < " " and sign != "\n" for sign in text):
        _malformed("it is not a text, an empty line, and signatures")
    lines = rest.split("\n")
    if lines.pop() or not lines or len(lines) > _SIGNATURES:
        _malformed("its signatures do not end with a line end, or are too many")
    return Note(_head(body), [_signature(line) for line in lines], data)


def sign_head(head: TreeHead, key: SigningKey) -> bytes:
    """The head as a note signed by the log, whose origin is the key's name."""
    return head.text + b"\n" + _line(key.name, key.key_id(LOG), key.sign(head.text))


def cosign(note: Note, key: SigningKey, at: int) -> bytes:
    """The note with a witness's signature at the time `at` (seconds since the epoch), instead of an earlier one of its.

    The witness must have verified the log's signature and the consistency with what it saw before.
    """
    signature = at.to_bytes(8, "big") + key.sign(_cosigned(note.head, at))
    mine = (key.name, key.key_id(WITNESS))
    others = [each for each in note.signatures if (each.name, each.key_id) != mine]
    lines = [*(_line(*each) for each in others), _line(*mine, signature)]
    return note.head.text + b"\n" + b"".join(lines)


def merged(notes: Sequence[Note]) -> Note:
    """One head with the signatures of all, each once: several witnesses may have signed it side by side.

    Raises AuditFault where they are of different heads.
    """
    first = notes[0]
    for note in notes:
        if note.head != first.head:
            raise AuditFault("head", "forked", "the heads are different ones, and only one can be published at a time")
    lines = dict.fromkeys(_line(*each) for note in notes for each in note.signatures)
    return parse_note(first.head.text + b"\n" + b"".join(lines))


def verify_note(note: Note, key: VerifierKey, witnesses: Sequence[VerifierKey] = ()) -> list[Cosignature]:
    """The co-signatures of `witnesses`, each of which there must be, on a head signed by the log's `key`.

    Signatures of other keys are ignored, as c2sp.org/signed-note asks. Raises AuditFault.
    """
    head = note.head
    if head.origin != key.name:
        reason = f"the head is of the log {head.origin}, the key is of {key.name}"
        raise AuditFault("head", "origin", reason)
    own = _of(note, key, LOG)
    if own is None:
        reason = f"no signature on it is by the key {key.name} {key.key_id().hex()}"
        raise AuditFault("head", "unknown_key", reason)
    if not key.verify(head.text, own):
        raise AuditFault("head", "signature", f"the signature of {key.name} is not over this text")
    if head.size == 0 and head.root != EMPTY_ROOT:
        raise AuditFault("head", "root", "it has no leaves, and the root of some")
    return [_cosignature(note, witness) for witness in witnesses]


def check_follows(old: TreeHead, new: TreeHead, proof: Sequence[bytes] | None) -> None:
    """Raises AuditFault unless `new` is `old` or continues it, by a consistency proof (None: there is none)."""
    if old.origin != new.origin:
        raise AuditFault("head", "origin", f"one head is of the log {old.origin}, the other of {new.origin}")
    if new.size < old.size:
        reason = f"it has {new.size} leaves, and there was a head of {old.size} before it"
        raise AuditFault("head", "stale", reason)
    if new.size == old.size:
        if new.root != old.root:
            reason = f"there are two heads of {new.size} leaves with different roots: somebody is shown another log"
            raise AuditFault("head", "forked", reason)
        return
    if proof is None and old.size:
        reason = f"nothing shows that the tree of {new.size} leaves continues that of {old.size}"
        raise AuditFault("consistency", "missing", reason)
    if not verify_consistency(old.size, new.size, proof or (), old.root, new.root):
        reason = (
            f"the tree of {new.size} leaves is not shown to continue that of {old.size}: "
            "the log was forked, or the proof is of other trees"
        )
        raise AuditFault("consistency", "forked", reason)


def _head(body: str) -> TreeHead:
    lines = body.split("\n")
    if len(lines) < 3 or not all(lines):
        _malformed("a head has three lines: origin, size, root")
    if len(lines) > 3:
        _malformed("it has extension lines, which no log of ours writes")
    if not _SIZE.fullmatch(lines[1]):
        _malformed("its size is no number")
    return TreeHead(lines[0], int(lines[1]), _decoded(lines[2], "its root", HASH_BYTES))


def _signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not name or "+" in name:
        _malformed("a line below the text is no signature")
    decoded = _decoded(encoded, f"the signature of {name[:80]}")
    if len(decoded) < 5:
        _malformed(f"the signature of {name[:80]} is too short")
    return NoteSignature(name, decoded[:4], decoded[4:])


def _decoded(text: str, what: str, length: int | None = None) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        data = b""
    # One text for each value: what is left over in the last character must be zero.
    if base64.b64encode(data).decode() != text or not data or length not in (None, len(data)):
        _malformed(f"{what} is not base64 as it must be")
    return data


def _of(note: Note, key: VerifierKey, kind: int) -> bytes | None:
    mine = (key.name, key.key_id(kind))
    return next((each.signature for each in note.signatures if (each.name, each.key_id) == mine), None)


def _cosignature(note: Note, witness: VerifierKey) -> Cosignature:
    signature = _of(note, witness, WITNESS)
    if signature is None:
        key_id = witness.key_id(WITNESS).hex()
        raise AuditFault("head", "witness", f"the witness {witness.name} {key_id} has not signed it")
    at = int.from_bytes(signature[:8], "big")
    if len(signature) != 72 or at >= 2**63 or not witness.verify(_cosigned(note.head, at), signature[8:]):
        raise AuditFault("head", "witness", f"the signature of the witness {witness.name} is not over this text")
    return Cosignature(witness.name, at)


def _cosigned(head: TreeHead, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n".encode() + head.text


def _line(name: str, key_id: bytes, signature: bytes) -> bytes:
    return f"— {check_key_name(name)} {base64.b64encode(key_id + signature).decode()}\n".encode()


def _malformed(why: str) -> NoReturn:
    raise AuditFault("head", "malformed", f"it is no signed tree head: {why}")
