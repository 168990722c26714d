"""Verification of what operators added to budgets: the chain of the control stream, and what its events say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.budget_log import BudgetLog
from ..core.errors import RefoldError
from ..core.ids import BUDGETS
from ..core.ports import EMPTY, Record
from ..eventstore.codec import decode
from ..eventstore.store import Store
from .chain import prove_chain
from .control import ControlVerification
from .findings import Finding
from .reading import large_of, snapshot


def verify_top_ups(store: Store, tenant: str = "default") -> ControlVerification | None:
    """Prove the top-ups of all budgets; None when there are none."""
    heads, (records,) = snapshot(store, [BUDGETS])
    if not records and not heads:
        return None
    chain = prove_chain(BUDGETS, records, heads.get(BUDGETS, EMPTY), large_of(store, records))
    fold = next(_faults(records), None)
    folded = () if fold is None else (fold,)
    return ControlVerification("the top-ups of budgets", BUDGETS, tenant, len(records), tuple(chain), folded)


def _faults(records: Sequence[Record]) -> Iterator[Finding]:
    log = BudgetLog()
    for record in records:
        try:
            log.take(decode(record, {}))
        except RefoldError as error:
            yield Finding(BUDGETS, record.version, "impossible", str(error))
