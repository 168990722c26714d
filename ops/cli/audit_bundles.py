"""`refold audit check`, `export`, `verify` and `verifier`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from ...core.errors import CallError, Problem, StoreUnreachableError
from ...core.ids import check_run_id, check_tenant
from ...projections.golden_faults import GoldenFault
from ...projections.golden_files import GoldenFolder
from ...projections.golden_keys import GoldenKeys
from ...replay import offline_verifier
from ...replay.audit_faults import AuditFault
from ...replay.bundle_files import MAX_BYTES
from ...replay.bundle_proof import LAYERS, BundleVerdict, prove_bundle
from ...replay.bundles import export_run, read_bundle
from ...replay.log_tree import check_log
from ...replay.signing_keys import VerifierKey
from ...replay.tree_folder import TreeFolder
from ...replay.tree_heads import Note, check_follows, verify_note
from .audit_places import read_head, write_file
from .audit_proofs import read_consistency, verify_proofs
from .auditing import Place, own_head, public_key
from .faults import BROKEN, OK
from .goldens import watched
from .output import console, plain, write_json
from .reading import existing_store, missing_file
from .streams import note as tell

_MEANINGS = {
    "chain": "no byte was altered, none is missing",
    "fold": "folding again gives the recorded hashes",
    "golden": "it is what the events give",
    "inclusion": "every event is under the signed head",
    "head": "signed by the log",
}


def check(place: Place, head: str, key: str | None, witnesses: Sequence[str]) -> int:
    """Hold the log against a published head; returns the exit code."""
    public, others = public_key(key), [VerifierKey.load(each) for each in witnesses]
    note = read_head(head)
    verify_note(note, public, others)
    if (missing := missing_file(place.database)) is not None:
        # Whoever checks the wrong database must not be told that all is well.
        raise StoreUnreachableError(f"there is no database {missing}")
    with existing_store(place.database) as store, watched("checking") as told:
        verdict = check_log(store, note.head, _tree_at(place), told)
    if place.json:
        write_json(verdict.to_json())
    else:
        mark = Text("the log as published", "bold green") if verdict.ok else Text("another log", "bold red")
        console().print(mark.append(f"  {plain(verdict.reason)}", "not bold default"), soft_wrap=True)
        if len(verdict.streams) > 1:
            shown = ", ".join(verdict.streams[:5]) + (", …" if len(verdict.streams) > 5 else "")
            console().print(Text(f"  differing: {plain(shown)}"), soft_wrap=True)
    return OK if verdict.ok else BROKEN


def export(place: Place, run_id: str, tenant: str, out: str, head: str | None, goldens: str | None) -> int:
    """Write the bundle of a run; returns the exit code."""
    check_run_id(run_id)
    check_tenant(tenant)
    tree = place.tree()
    note = own_head(tree, head)
    golden = _golden(goldens, tenant, run_id)
    with existing_store(place.database) as store:
        data = export_run(store, tree, note, run_id, tenant, golden)
    write_file(Path(out), data)
    if place.json:
        about = {"file": out, "bytes": len(data), "run_id": run_id, "tenant": tenant, "size": note.head.size}
        write_json({**about, "origin": note.head.origin, "golden": golden is not None})
    else:
        more = "" if golden is not None else ", without a golden"
        console().print(f"{out}: {len(data)} bytes, under {note.head.size} leaves{more}", soft_wrap=True)
    return OK


def verify(
    file: str,
    key: str | None,
    witnesses: Sequence[str],
    published: str | None,
    proof: str | None,
    golden_keys: str | None,
    json: bool,
) -> int:
    """Prove a bundle, or a file of proofs; returns the exit code."""
    public, others = public_key(key), [VerifierKey.load(each) for each in witnesses]
    keys = None if golden_keys is None else GoldenKeys.load(golden_keys)
    shown = None if published is None else read_head(published)
    data = _read(file)
    if data[:1] == b"{":
        note, proofs = verify_proofs(file, public, others)
        _compare(note, shown, proof, public)
        _tell_proofs(note, len(proofs), json)
        return OK
    try:
        verdict = prove_bundle(read_bundle(data), public, others, keys, time.time_ns() // 1000)
    except AuditFault as fault:
        if json:
            write_json({"file": file, "ok": False, "faults": [fault.to_json()]})
        else:
            console().print(Text("broken", "bold red").append(f"  {plain(str(fault))}", "not bold"), soft_wrap=True)
        return BROKEN
    if verdict.ok:
        _compare(read_bundle(data).note, shown, proof, public)
    if json:
        write_json({"file": file, **verdict.to_json()})
    else:
        _tell(verdict)
    return OK if verdict.ok else BROKEN


def verifier(out: str | None) -> int:
    """Write the source of the stand-alone verifier; returns the exit code."""
    source = Path(offline_verifier.__file__).read_text(encoding="utf-8")
    if out is None:
        console().print(source, end="", soft_wrap=True)
    else:
        write_file(Path(out), source.encode())
    return OK


def _compare(note: Note, published: Note | None, proof: str | None, key: VerifierKey) -> None:
    """Raises AuditFault unless the head and the published one are of one log."""
    if published is None:
        return
    verify_note(published, key)
    old, new = sorted((note.head, published.head), key=lambda head: head.size)
    known = None if proof is None or old.size == new.size else read_consistency(proof, old.size, new.size)
    check_follows(old, new, known)


def _tree_at(place: Place) -> TreeFolder | None:
    try:
        return place.tree()
    except AuditFault as fault:
        tell(f"note: {plain(fault.reason)}")
        return None


def _golden(folder: str | None, tenant: str, run_id: str) -> tuple[bytes, bytes | None] | None:
    goldens = GoldenFolder(Path(folder or os.environ.get("REFOLD_GOLDENS") or "goldens"))
    try:
        stored = goldens.read(tenant, run_id)
    except GoldenFault as fault:
        if fault.kind == "missing":
            return None
        raise AuditFault("golden", fault.kind, fault.reason) from None
    return stored.data, stored.signature


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read(2 * MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CallError(Problem("", f"{file} cannot be read: {reason}", "name a bundle or a file of proofs")) from None


def _tell(verdict: BundleVerdict) -> None:
    screen = console()
    mark = Text("intact", "bold green") if verdict.ok else Text("broken", "bold red")
    messages = f", {verdict.messages} messages" if verdict.messages else ""
    about = f"  {plain(verdict.run_id)}  {verdict.status or ''}  {verdict.events} events{messages}"
    screen.print(mark.append(about, "not bold default"), soft_wrap=True)
    for layer in LAYERS:
        faults = verdict.of(layer)
        if not faults:
            screen.print(Text(f"  {layer:<9}  ", "dim").append(_holds(verdict, layer), "not dim green"), soft_wrap=True)
        for fault in faults:
            screen.print(Text(f"  {layer:<9}  ", "dim").append(plain(fault.reason), "not dim red"), soft_wrap=True)
    if verdict.ok and verdict.workflow_hash is not None:
        screen.print(Text("  hash       ", "dim").append(verdict.workflow_hash, "not dim"), soft_wrap=True)


def _holds(verdict: BundleVerdict, layer: str) -> str:
    if layer == "golden":
        if verdict.golden == "none":
            return "none in the bundle"
        hmac = "; its HMAC verifies" if verdict.golden == "signed" else "; its HMAC was not looked at"
        return f"ok  {_MEANINGS[layer]}{hmac}"
    if layer == "head":
        by = "".join(f", by the witness {each.name}" for each in verdict.witnesses)
        return f"ok  {verdict.head.size} leaves, signed by {plain(verdict.head.origin)}{plain(by)}"
    return f"ok  {_MEANINGS[layer]}"


def _tell_proofs(note: Note, count: int, json: bool) -> None:
    if json:
        about = {"origin": note.head.origin, "size": note.head.size, "root": note.head.root.hex()}
        write_json({"ok": True, "proofs": count, **about})
    else:
        head = Text("intact", "bold green")
        told = f"  {count} events under the {note.head.size} leaves of {plain(note.head.origin)}"
        console().print(head.append(told, "not bold default"), soft_wrap=True)
