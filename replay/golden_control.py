"""Verification of what was decided about goldens: the chains of the control streams, and what their events say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.errors import RefoldError
from ..core.golden_log import GoldenLog
from ..core.ids import GOLDEN_KEYS, goldens_of
from ..core.ports import EMPTY, Record
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .chain import prove_chain
from .control import ControlVerification
from .findings import Finding
from .reading import snapshot


def verify_golden_control(store: Store, tenant: str = "default") -> list[ControlVerification]:
    """Prove the decisions on the tenant's goldens, and those on the keys of all, as far as there are any.

    Raises CallError for a tenant that cannot be.
    """
    found: list[ControlVerification] = []
    for stream, whose in ((goldens_of(tenant), tenant), (GOLDEN_KEYS, None)):
        heads, (records,) = snapshot(store, [stream])
        if records or heads:
            chain = prove_chain(stream, records, heads.get(stream, EMPTY), {})
            fold = next(_faults(stream, whose, records), None)
            about = "the decisions on goldens" if whose is not None else "the keys of goldens"
            folded = () if fold is None else (fold,)
            found.append(ControlVerification(about, stream, tenant, len(records), tuple(chain), folded))
    return found


def _faults(stream: str, whose: str | None, records: Sequence[Record]) -> Iterator[Finding]:
    log = GoldenLog(whose)
    for record in records:
        try:
            log.take(decode(record, {}))
        except RefoldError as error:
            yield Finding(stream, record.version, "impossible", str(error))
