"""Verification of one run: its chain and its fold, each with a verdict of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import IntegrityError, RunNotFoundError
from ..core.ids import check_run_id, check_tenant, inbox_of, stream_of
from ..core.ports import Record
from ..eventstore.codec import open_all, sealed_fields
from ..eventstore.store import Store
from ..projections.erasures import erasure_of, told
from .chain import prove_run_chains
from .findings import Finding
from .folding import prove_fold
from .forks import prove_reused
from .reading import large_of, snapshot


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdict on one run. `fold` holds at most one finding: the first event that does not follow.

    `notes` say what could not be verified, and is not claimed.
    """

    run_id: str
    tenant: str
    events: int
    messages: int
    status: str | None
    workflow_hash: str | None
    chain: tuple[Finding, ...]
    fold: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether both proofs hold."""
        return not self.chain and not self.fold

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
            "chain": {"ok": not self.chain, "findings": [finding.to_json() for finding in self.chain]},
            "fold": {"ok": not self.fold, "findings": [finding.to_json() for finding in self.fold]},
            "notes": list(self.notes),
        }


def verify_run(store: Store, run_id: str, tenant: str = "default") -> Verification:
    """Prove one run against its own log: nothing is executed. Raises RunNotFoundError."""
    stream = stream_of(check_tenant(tenant), check_run_id(run_id))
    try:
        heads, (records, messages) = snapshot(store, [stream, inbox_of(stream)])
        large = large_of(store, [*records, *messages])
    except IntegrityError as error:  # An archive is missing, or altered.
        lost = (Finding(stream, 0, "archive", str(error)),)
        return Verification(run_id, tenant, 0, 0, None, None, lost, lost)
    if not records and not messages and not heads:
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    opened = open_all(records)
    chain = prove_run_chains(stream, records, messages, heads, large, opened)
    state, fold = prove_fold(stream, records, large, messages, opened)
    notes: list[str] = []
    if state is not None and state.started.forked is not None and not fold:
        fold, notes = prove_reused(store, stream, tenant, records, large)
    if not chain and not fold:
        notes = [*notes, *_erased(store, stream, records)]
    return Verification(
        run_id=run_id,
        tenant=tenant,
        events=len(records),
        messages=len(messages),
        # Where the fold stopped half-way, nobody knows how the run stands.
        status=None if state is None or fold else state.status,
        workflow_hash=None if state is None or state.end is None else state.end.workflow_hash,
        chain=tuple(chain),
        fold=tuple(fold),
        notes=tuple(notes),
    )


def _erased(store: Store, stream: str, records: Sequence[Record]) -> list[str]:
    if not any(sealed_fields(record) for record in records):
        return []
    try:
        erased = erasure_of(store, stream)
    except IntegrityError as error:
        return [f"what was erased cannot be read: {error}"]
    return [] if erased is None else [told(erased, records)]
