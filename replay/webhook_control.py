"""Verification of what was decided about webhooks: the chain of the control stream, and what its events say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.errors import RefoldError
from ..core.ids import webhooks_of
from ..core.ports import EMPTY, Record
from ..core.webhook_log import WebhookLog
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .chain import prove_chain
from .control import ControlVerification
from .findings import Finding
from .reading import snapshot


def verify_webhooks(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove the decisions on the tenant's webhooks; None when there are none. Raises CallError."""
    stream = webhooks_of(tenant)
    heads, (records,) = snapshot(store, [stream])
    if not records and not heads:
        return None
    chain = prove_chain(stream, records, heads.get(stream, EMPTY), {})
    fold = next(_faults(stream, tenant, records), None)
    folded = () if fold is None else (fold,)
    return ControlVerification("the webhooks", stream, tenant, len(records), tuple(chain), folded)


def _faults(stream: str, tenant: str, records: Sequence[Record]) -> Iterator[Finding]:
    log = WebhookLog(tenant)
    for record in records:
        try:
            log.take(decode(record, {}))
        except RefoldError as error:
            yield Finding(stream, record.version, "impossible", str(error))
