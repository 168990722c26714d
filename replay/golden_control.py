"""Verification of what was decided about goldens: the chains of the control streams, and what their events say."""

from __future__ import annotations

from ..core.errors import RefoldError
from ..core.golden_log import GoldenLog
from ..core.ids import GOLDEN_KEYS, goldens_of
from ..core.ports import EMPTY
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .chain import prove_chain
from .findings import Finding
from .reading import snapshot


def verify_golden_control(store: Store, tenant: str = "default") -> list[Finding]:
    """What is wrong with the decisions on the tenant's goldens and on the keys; nothing if all is as recorded.

    Raises CallError for a tenant that cannot be.
    """
    found: list[Finding] = []
    for stream, whose in ((goldens_of(tenant), tenant), (GOLDEN_KEYS, None)):
        heads, (records,) = snapshot(store, [stream])
        if not records and not heads:
            continue
        found += prove_chain(stream, records, heads.get(stream, EMPTY), {})
        log = GoldenLog(whose)
        for record in records:
            try:
                log.take(decode(record, {}))
            except RefoldError as error:
                found.append(Finding(stream, record.version, "impossible", str(error)))
                break
    return found
