"""What two runs did, side by side: each is verified first, for a log that is broken says nothing."""

from __future__ import annotations

from ..core.divergence import RunFacts
from ..core.ids import check_run_id, stream_of
from ..eventstore.store import Store
from ..projections.run_facts import Deterministic, run_facts
from .verify import verify_run


def verified_facts(store: Store, run_id: str, tenant: str, deterministic: Deterministic) -> RunFacts:
    """What the log says of a run, with the first fault of its proof, if there is one. Raises RunNotFoundError."""
    verdict = verify_run(store, check_run_id(run_id), tenant)
    fault = next(iter((*verdict.chain, *verdict.fold)), None)
    return run_facts(store, stream_of(tenant, run_id), deterministic, None if fault is None else str(fault))
