"""Reading projections for an answer, with how far they are behind."""

from __future__ import annotations

from typing import Any

from ..eventstore.store import Store
from ..projections.analytics import Source
from ..projections.analytics import source as active
from .missing import not_built


def source(store: Store, name: str) -> Source:
    """The active tables of a projection. Raises Refusal when it is not built yet."""
    if not any(each.active for each in store.tables.generations(name)):
        raise not_built(name)
    return active(store, name)


def behind(read: Source) -> dict[str, Any]:
    """How far it is behind, for `Behind`."""
    return {"events": read.lag.events, "seconds": round(read.lag.seconds, 3), "parked": read.parked}
