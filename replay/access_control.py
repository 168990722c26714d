"""Verification of who was given which key: the chain of the control stream, and what its events say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.access_log import AccessLog
from ..core.errors import RefoldError
from ..core.ids import ACCESS
from ..core.ports import EMPTY, Record
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .chain import prove_chain
from .control import ControlVerification
from .findings import Finding
from .reading import snapshot


def verify_access(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove the decisions on keys, of all tenants; None when there never was a key."""
    heads, (records,) = snapshot(store, [ACCESS])
    if not records and not heads:
        return None
    chain = prove_chain(ACCESS, records, heads.get(ACCESS, EMPTY), {})
    fold = next(_faults(records), None)
    folded = () if fold is None else (fold,)
    return ControlVerification("the keys", ACCESS, tenant, len(records), tuple(chain), folded)


def _faults(records: Sequence[Record]) -> Iterator[Finding]:
    log = AccessLog()
    for record in records:
        try:
            log.take(decode(record, {}))
        except RefoldError as error:
            yield Finding(ACCESS, record.version, "impossible", str(error))
