"""Verification of control streams: a tenant's registered specs, and what was found out about checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.catalog import Catalog
from ..core.checkpoint_events import CheckpointRefused
from ..core.emergency import Stops
from ..core.erasure_log import ErasureLog
from ..core.errors import RefoldError
from ..core.ids import CHECKPOINTS, EMERGENCY, ERASURES, specs_of
from ..core.ports import EMPTY, Record
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .chain import prove_chain
from .findings import Finding
from .reading import large_of, snapshot


@dataclass(frozen=True, slots=True)
class ControlVerification:
    """The verdict on a control stream, which is `about` something, such as a tenant's registered specs.

    `fold` holds at most one finding: the first event that does not follow.
    """

    about: str
    stream: str
    tenant: str
    events: int
    chain: tuple[Finding, ...]
    fold: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether both proofs hold."""
        return not self.chain and not self.fold

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        return {
            "about": self.about,
            "stream": self.stream,
            "tenant": self.tenant,
            "ok": self.ok,
            "events": self.events,
            "chain": {"ok": not self.chain, "findings": [finding.to_json() for finding in self.chain]},
            "fold": {"ok": not self.fold, "findings": [finding.to_json() for finding in self.fold]},
        }


def verify_specs(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove that every spec of the tenant is as it was registered, and none is missing; None when there are none.

    Raises CallError for a tenant that cannot be.
    """
    stream = specs_of(tenant)
    heads, (records,) = snapshot(store, [stream])
    if not records and not heads:
        return None
    large = large_of(store, records)
    chain = prove_chain(stream, records, heads.get(stream, EMPTY), large)
    fold = next(_faults(stream, tenant, records, large), None)
    folded = () if fold is None else (fold,)
    return ControlVerification("the registered specs", stream, tenant, len(records), tuple(chain), folded)


def verify_refusals(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove what was found out about checkpoints, of all tenants; None when there is nothing."""
    heads, (records,) = snapshot(store, [CHECKPOINTS])
    if not records and not heads:
        return None
    chain = prove_chain(CHECKPOINTS, records, heads.get(CHECKPOINTS, EMPTY), {})
    fold = next(_no_refusals(records), None)
    about = "the refused checkpoints"
    folded = () if fold is None else (fold,)
    return ControlVerification(about, CHECKPOINTS, tenant, len(records), tuple(chain), folded)


def verify_erasures(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove what was erased, of all tenants; None when there is nothing."""
    heads, (records,) = snapshot(store, [ERASURES])
    if not records and not heads:
        return None
    chain = prove_chain(ERASURES, records, heads.get(ERASURES, EMPTY), {})
    log, fold = ErasureLog(), None
    for record in records:
        try:
            log.take(decode(record, {}))
        except RefoldError as error:
            fold = Finding(ERASURES, record.version, "impossible", str(error))
            break
    folded = () if fold is None else (fold,)
    return ControlVerification("the erasures", ERASURES, tenant, len(records), tuple(chain), folded)


def verify_emergency(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove the emergency stops and releases, of all tenants; None when there never was one."""
    heads, (records,) = snapshot(store, [EMERGENCY])
    if not records and not heads:
        return None
    chain = prove_chain(EMERGENCY, records, heads.get(EMERGENCY, EMPTY), {})
    fold = next(_wrong_stops(records), None)
    folded = () if fold is None else (fold,)
    return ControlVerification("the emergency stops", EMERGENCY, tenant, len(records), tuple(chain), folded)


def _wrong_stops(records: Sequence[Record]) -> Iterator[Finding]:
    stops = Stops()
    for record in records:
        try:
            stops = stops.after(decode(record, {}))
        except RefoldError as error:
            yield Finding(EMERGENCY, record.version, "impossible", str(error))


def _no_refusals(records: Sequence[Record]) -> Iterator[Finding]:
    for record in records:
        try:
            event = decode(record, {})
        except RefoldError as error:
            yield Finding(CHECKPOINTS, record.version, "impossible", str(error))
            continue
        if not isinstance(event, CheckpointRefused):
            yield Finding(CHECKPOINTS, record.version, "impossible", f"{event.topic} cannot occur here")


def _faults(stream: str, tenant: str, records: Sequence[Record], large: Mapping[str, bytes]) -> Iterator[Finding]:
    catalog = Catalog(tenant)
    for record in records:
        try:
            catalog.take(decode(record, large))
        except RefoldError as error:
            yield Finding(stream, record.version, "impossible", str(error))
