"""The proof of a bundle, layer by layer, by nothing but its bytes and the public keys."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..core.errors import IntegrityError
from ..core.ids import inbox_of
from ..core.ports import Record
from ..core.run_state import RunState
from ..eventstore.codec import references
from ..projections.golden_faults import GoldenFault
from ..projections.golden_keys import GoldenKeys
from ..projections.golden_lines import golden_of
from ..projections.golden_signatures import check_signature
from .audit_faults import AuditFault
from .bundles import Bundle, head_of
from .chain import prove_run_chains
from .findings import Finding
from .folding import prove_fold
from .log_tree import leaf_of
from .merkle import verify_inclusion
from .signing_keys import VerifierKey
from .tree_heads import Cosignature, TreeHead, verify_note

LAYERS = ("chain", "fold", "golden", "inclusion", "head")
"""What is proved of a bundle, in this order."""

_NAMED = 100


@dataclass(frozen=True, slots=True)
class BundleVerdict:
    """The verdict on a bundle: the faults of each layer. `golden` tells whether there is a golden, and its signature
    (None: it was not looked at, for only those who can sign can verify it)."""

    run_id: str
    tenant: str
    events: int
    messages: int
    status: str | None
    workflow_hash: str | None
    head: TreeHead
    witnesses: tuple[Cosignature, ...]
    golden: str
    faults: tuple[AuditFault, ...]

    @property
    def ok(self) -> bool:
        """Whether every layer holds."""
        return not self.faults

    def of(self, layer: str) -> list[AuditFault]:
        """The faults of one layer."""
        return [
            fault for fault in self.faults if fault.layer == layer or (layer == "head" and fault.layer == "consistency")
        ]

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        return {
            "run_id": self.run_id,
            "tenant": self.tenant,
            "ok": self.ok,
            "events": self.events,
            "messages": self.messages,
            "status": self.status,
            "workflow_hash": self.workflow_hash,
            "origin": self.head.origin,
            "size": self.head.size,
            "root": self.head.root.hex(),
            "witnesses": [each._asdict() for each in self.witnesses],
            "golden": self.golden,
            "layers": {
                name: {"ok": not self.of(name), "faults": [fault.to_json() for fault in self.of(name)]}
                for name in LAYERS
            },
        }


def prove_bundle(
    bundle: Bundle,
    key: VerifierKey,
    witnesses: Sequence[VerifierKey] = (),
    golden_keys: GoldenKeys | None = None,
    now: int = 0,
) -> BundleVerdict:
    """Prove a bundle under the log's public key; every one of `witnesses` must have co-signed its head.

    With `golden_keys` the golden's HMAC is verified too, as of `now` (microseconds since the epoch).
    """
    faults: list[AuditFault] = []
    stream = f"{bundle.tenant}/{bundle.run_id}"
    records = [placed.record for placed in bundle.events]
    messages = [placed.record for placed in bundle.messages]
    heads = {name: head_of(bundle, name) for name in bundle.heads}
    faults += _found("chain", prove_run_chains(stream, records, messages, heads, bundle.large))
    unused = bundle.large.keys() - _references([*records, *messages])
    faults += [AuditFault("chain", "foreign", f"no event points to the payload {digest}") for digest in sorted(unused)]
    if bundle.heads.keys() - {stream, inbox_of(stream)}:
        faults.append(AuditFault("chain", "foreign", "the bundle names ends of other streams"))
    state, folded = prove_fold(stream, records, bundle.large, messages)
    faults += _found("fold", folded)
    golden, golden_faults = _golden(bundle, None if folded else state, golden_keys, now)
    faults += golden_faults
    faults += _inclusion(bundle)
    seen: tuple[Cosignature, ...] = ()
    try:
        seen = tuple(verify_note(bundle.note, key, witnesses))
    except AuditFault as fault:
        faults.append(fault)
    return BundleVerdict(
        run_id=bundle.run_id,
        tenant=bundle.tenant,
        events=len(records),
        messages=len(messages),
        status=None if state is None or folded else state.status,
        workflow_hash=None if state is None or state.end is None else state.end.workflow_hash,
        head=bundle.note.head,
        witnesses=seen,
        golden=golden,
        faults=tuple(faults),
    )


def _references(records: Sequence[Record]) -> set[str]:
    found: set[str] = set()
    for record in records:
        with suppress(IntegrityError):  # The chain proof says so.
            found |= references([record])
    return found


def _found(layer: str, findings: Sequence[Finding]) -> list[AuditFault]:
    return [AuditFault(layer, finding.kind, str(finding)) for finding in findings[:_NAMED]]


def _golden(bundle: Bundle, state: RunState | None, keys: GoldenKeys | None, now: int) -> tuple[str, list[AuditFault]]:
    if bundle.golden is None:
        return "none", []
    data, signature = bundle.golden
    if state is None or state.end is None:
        return "there", [AuditFault("golden", "log", "there is a golden, and the events tell of no end that it is of")]
    made = golden_of(state).data
    if made != data:
        theirs, ours = data.split(b"\n"), made.split(b"\n")
        line = next((at for at, pair in enumerate(zip(theirs, ours, strict=False), 1) if pair[0] != pair[1]), 0)
        line = line or min(len(theirs), len(ours)) + 1
        return "there", [AuditFault("golden", "changed", f"line {line} is not what the events give")]
    if keys is None:
        return "there", []
    try:
        check_signature(bundle.tenant, bundle.run_id, data, signature, keys, now)
    except GoldenFault as fault:
        return "there", [AuditFault("golden", fault.kind, fault.reason)]
    return "signed", []


def _inclusion(bundle: Bundle) -> list[AuditFault]:
    head = bundle.note.head
    faults: list[AuditFault] = []
    before = {False: -1, True: -1}
    for is_message, placed in [*((False, each) for each in bundle.events), *((True, each) for each in bundle.messages)]:
        record = placed.record
        where = f"event {record.version} of {record.stream}"
        if not verify_inclusion(leaf_of(record), placed.leaf, head.size, placed.proof, head.root):
            reason = f"{where} is not shown to be leaf {placed.leaf} of the {head.size} of the head"
            faults.append(AuditFault("inclusion", "root", reason))
        elif placed.leaf <= before[is_message]:
            faults.append(AuditFault("inclusion", "order", f"{where} stands in the log before its predecessor"))
        before[is_message] = placed.leaf
    return faults[:_NAMED]
