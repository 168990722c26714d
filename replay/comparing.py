"""What two runs did, side by side: each is verified first, for a log that is broken says nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..core.divergence import VOLATILE_FIELDS, RunFacts, divergences
from ..core.ids import check_run_id, stream_of
from ..eventstore.store import Store
from ..projections.run_facts import Deterministic, run_facts
from .verify import verify_run


def verified_facts(store: Store, run_id: str, tenant: str, deterministic: Deterministic) -> RunFacts:
    """What the log says of a run, with the first fault of its proof, if there is one. Raises RunNotFoundError."""
    verdict = verify_run(store, check_run_id(run_id), tenant)
    fault = next(iter((*verdict.chain, *verdict.fold)), None)
    return run_facts(store, stream_of(tenant, run_id), deterministic, None if fault is None else str(fault))


def difference(store: Store, a: str, b: str, tenant: str) -> dict[str, Any]:
    """In what the runs `a` and `b` differ, as the HTTP API tells it; skills are judged as if they did not say whether
    they are deterministic. Raises RunNotFoundError."""
    left, right = (verified_facts(store, run_id, tenant, lambda _skill: None) for run_id in (a, b))
    found = [each.to_json() for each in divergences(left, right, VOLATILE_FIELDS)]
    return {
        "a": a,
        "b": b,
        "equal": not found,
        "kinds": dict(Counter(each["kind"] for each in found)),
        "first": found[0] if found else None,
        "differences": found,
    }
