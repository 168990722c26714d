"""Verification of the policies that were ever in use: the chain of the control stream, and what its events say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..core.errors import RefoldError
from ..core.ids import POLICIES
from ..core.policy.log import PolicyLog
from ..core.ports import EMPTY, Record
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .chain import prove_chain
from .control import ControlVerification
from .findings import Finding
from .reading import large_of, snapshot


def verify_policies(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove that every adopted policy is as it was, of all tenants; None when there are none."""
    heads, (records,) = snapshot(store, [POLICIES])
    if not records and not heads:
        return None
    large = large_of(store, records)
    chain = prove_chain(POLICIES, records, heads.get(POLICIES, EMPTY), large)
    fold = next(_faults(records, large), None)
    folded = () if fold is None else (fold,)
    return ControlVerification("the adopted policies", POLICIES, tenant, len(records), tuple(chain), folded)


def _faults(records: Sequence[Record], large: Mapping[str, bytes]) -> Iterator[Finding]:
    log = PolicyLog()
    for record in records:
        try:
            log.take(decode(record, large))
        except RefoldError as error:
            yield Finding(POLICIES, record.version, "impossible", str(error))
