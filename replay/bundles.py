"""Audit bundles: all that it takes to prove one run without the database, in one file.

`events.jsonl` and `inbox.jsonl` hold a line of canonical JSON for each event: its leaf number, its inclusion proof
(base64, from the leaf upwards), and stream, version, topic and stored state. `checkpoint` is the signed head that the
proofs lead to; `bundle.json` names the run, the ends of its streams, the builds that wrote it, and all files by hash.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from ..core.canonical import canonical_json, decode
from ..core.errors import IntegrityError, RunNotFoundError
from ..core.hashing import sha256_hex
from ..core.ids import inbox_of, stream_of
from ..core.ports import EMPTY, Head, Record
from ..eventstore.codec import open_envelope
from ..eventstore.store import Store
from .audit_faults import AuditFault
from .bundle_files import CHECKPOINT, EVENTS, GOLDEN, GOLDEN_SIGNATURE, INBOX, LARGE, MANIFEST, pack, unpack
from .log_tree import leaf_of
from .merkle import inclusion_proof
from .reading import large_of, snapshot
from .tree_folder import TreeFolder
from .tree_heads import Note, parse_note

FORMAT = 1
"""The version of the layout."""


class Placed(NamedTuple):
    """An event with its leaf number and the proof that it is under the head."""

    record: Record
    leaf: int
    proof: Sequence[bytes]


class Bundle(NamedTuple):
    """A bundle, read and not yet verified."""

    run_id: str
    tenant: str
    events: Sequence[Placed]
    messages: Sequence[Placed]
    heads: Mapping[str, Head]
    large: Mapping[str, bytes]
    golden: tuple[bytes, bytes | None] | None
    note: Note


def export_run(
    store: Store,
    tree: TreeFolder,
    note: Note,
    run_id: str,
    tenant: str = "default",
    golden: tuple[bytes, bytes | None] | None = None,
) -> bytes:
    """The bundle of a run under a signed head of the tree; `golden` is its golden with its signature.

    Raises RunNotFoundError, and AuditFault where an event is not under the head.
    """
    stream = stream_of(tenant, run_id)
    inbox = inbox_of(stream)
    heads, (records, messages) = snapshot(store, [stream, inbox])
    if not records:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    size = note.head.size
    leaves = find_leaves(store, tree, size, [*records, *messages])
    files = {
        CHECKPOINT: note.data,
        EVENTS: _lines(tree, size, records, leaves[: len(records)]),
        **({INBOX: _lines(tree, size, messages, leaves[len(records) :])} if messages else {}),
        **{LARGE + digest: data for digest, data in large_of(store, [*records, *messages]).items()},
    }
    if golden is not None:
        files[GOLDEN] = golden[0]
        if golden[1] is not None:
            files[GOLDEN_SIGNATURE] = golden[1]
    files[MANIFEST] = _manifest(run_id, tenant, [*records, *messages], heads, files)
    return pack(files)


def find_leaves(store: Store, tree: TreeFolder, size: int, records: Sequence[Record]) -> list[int]:
    """The leaf number of each of `records`, whose first `size` leaves are looked at. Raises AuditFault."""
    streams = sorted({record.stream for record in records})
    starts = store.starts(streams)
    first = tree.leaf_at(min(starts.values())) if len(starts) == len(streams) else 0
    hashes = [leaf_of(record) for record in records]
    found = tree.find(hashes, min(first, tree.size))
    for record, hashed in zip(records, hashes, strict=True):
        if hashed not in found or found[hashed] >= size:
            newer = hashed in found
            where = f"event {record.version} of {record.stream}"
            reason = (
                f"{where} is newer than the head of {size} leaves: publish a new one"
                if newer
                else f"{where} is not in the tree as it stands in the log: it was altered, or update the tree"
            )
            raise AuditFault("inclusion", "newer" if newer else "missing", reason)
    return [found[hashed] for hashed in hashes]


def read_bundle(data: bytes) -> Bundle:
    """What is in a bundle, as far as it is one; nothing is proved yet. Raises AuditFault."""
    files = unpack(data)
    manifest = _parsed(files[MANIFEST], MANIFEST)
    run_id, tenant = manifest.get("run_id"), manifest.get("tenant")
    if manifest.get("format") != FORMAT or not isinstance(run_id, str) or not isinstance(tenant, str):
        raise AuditFault("bundle", "malformed", f"{MANIFEST} is of another format, or names no run")
    events = _placed(files[EVENTS], EVENTS)
    messages = _placed(files[INBOX], INBOX) if INBOX in files else []
    stream = f"{tenant}/{run_id}"
    for placed, wanted in [*((each, stream) for each in events), *((each, inbox_of(stream)) for each in messages)]:
        if placed.record.stream != wanted:
            raise AuditFault("bundle", "foreign", f"it holds an event of {placed.record.stream}, not of {wanted}")
    records = [placed.record for placed in (*events, *messages)]
    heads = _heads(manifest)
    if _manifest(run_id, tenant, records, heads, files) != files[MANIFEST]:
        raise AuditFault("bundle", "changed", f"{MANIFEST} does not say what the other files say")
    large = {name.removeprefix(LARGE): held for name, held in files.items() if name.startswith(LARGE)}
    golden = (files[GOLDEN], files.get(GOLDEN_SIGNATURE)) if GOLDEN in files else None
    if golden is None and GOLDEN_SIGNATURE in files:
        raise AuditFault("bundle", "missing", "there is the signature of a golden, and no golden")
    return Bundle(run_id, tenant, events, messages, heads, large, golden, parse_note(files[CHECKPOINT]))


def _lines(tree: TreeFolder, size: int, records: Sequence[Record], leaves: Sequence[int]) -> bytes:
    placed = zip(records, leaves, strict=True)
    return b"".join([_line(record, leaf, inclusion_proof(tree, leaf, size)) for record, leaf in placed])


def _line(record: Record, leaf: int, proof: Iterable[bytes]) -> bytes:
    try:
        state = record.state.decode()
    except UnicodeDecodeError:
        reason = f"event {record.version} of {record.stream} is no text: nothing of ours wrote it"
        raise AuditFault("chain", "unreadable", reason) from None
    fields = {**record._asdict(), "state": state, "leaf": leaf, "proof": [base64.b64encode(h).decode() for h in proof]}
    return canonical_json(fields) + b"\n"


def _manifest(
    run_id: str, tenant: str, records: Sequence[Record], heads: Mapping[str, Head], files: Mapping[str, bytes]
) -> bytes:
    builds: set[str] = set()
    spec: str | None = None
    for record in records:
        try:
            envelope = open_envelope(record)
        except IntegrityError:  # The chain proof says so.
            continue
        builds.add(envelope.build)
        if record.topic == "run.started" and record.version == 1:
            spec = _spec_hash(envelope.data)
    about = {
        "builds": sorted(builds),
        "files": {name: sha256_hex(held) for name, held in files.items() if name != MANIFEST},
        "format": FORMAT,
        "heads": {stream: list(head) for stream, head in heads.items()},
        "run_id": run_id,
        "spec_hash": spec,
        "tenant": tenant,
    }
    return canonical_json(about) + b"\n"


def _spec_hash(data: dict[str, Any]) -> str | None:
    """The hash of the run's spec, or of its function's source."""
    if data.get("spec") is not None:
        return sha256_hex(canonical_json(data["spec"]))
    found = data.get("spec_ref", data.get("source"))
    return found if isinstance(found, str) else None


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        value: object = decode(line)
        same = canonical_json(value) + b"\n" == line
    except (ValueError, RecursionError, OverflowError) as error:
        raise AuditFault("bundle", "malformed", f"{where} is no JSON: {str(error)[:80]}") from None
    if not same or not isinstance(value, dict):
        raise AuditFault("bundle", "malformed", f"{where} is no object in canonical JSON")
    return cast("dict[str, Any]", value)


_FIELDS = {"leaf": int, "proof": list, "state": str, "stream": str, "topic": str, "version": int}


def _placed(data: bytes, name: str) -> list[Placed]:
    lines = data.split(b"\n")
    if lines.pop() or not lines:
        raise AuditFault("bundle", "cut", f"the last line of {name} has no end")
    found: list[Placed] = []
    for number, line in enumerate(lines, 1):
        fields = _parsed(line + b"\n", f"line {number} of {name}")
        if {each: type(value) for each, value in fields.items()} != _FIELDS:
            raise AuditFault("bundle", "malformed", f"line {number} of {name} has other fields than it must")
        record = Record(fields["stream"], fields["version"], fields["topic"], fields["state"].encode())
        try:
            proof = [base64.b64decode(each, validate=True) for each in fields["proof"]]
            if [base64.b64encode(each).decode() for each in proof] != fields["proof"]:
                raise ValueError
        except (ValueError, TypeError):
            raise AuditFault("bundle", "malformed", f"the proof in line {number} of {name} is no proof") from None
        found.append(Placed(record, fields["leaf"], proof))
    return found


def _heads(manifest: dict[str, Any]) -> dict[str, Head]:
    found: dict[str, Head] = {}
    heads: Any = manifest.get("heads")
    given = cast("dict[str, Any]", heads) if isinstance(heads, dict) else {"": None}
    for stream, head in given.items():
        match head:
            case [int(version), str(hashed)] if version > 0:
                found[stream] = Head(version, hashed)
            case _:
                raise AuditFault("bundle", "malformed", f"{MANIFEST} names no ends of streams")
    return found


def head_of(bundle: Bundle, stream: str) -> Head:
    """The end of a stream, as the bundle says it."""
    return bundle.heads.get(stream, EMPTY)
