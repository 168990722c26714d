"""How a run stands, where the log alone cannot say it: `queued`, until somebody takes it up."""

from __future__ import annotations

from typing import Any

from ..core.results import WorkflowResult
from ..eventstore.rebuild import is_held
from ..eventstore.store import Store

QUEUED = "queued"
"""The status of a run of which only the first event is recorded, and that nobody holds."""


def is_queued(store: Store, stream: str, version: int) -> bool:
    """Whether a run that has come to the event of number `version` still waits for somebody to take it up."""
    return version == 1 and not is_held(store.dispatch.lease(stream))


def result_json(store: Store, stream: str, result: WorkflowResult) -> dict[str, Any]:
    """The result as a JSON object, with the status of the run as it stands now."""
    told = result.to_json()
    head = store.heads([stream]).get(stream)
    return {**told, "status": QUEUED} if head is not None and is_queued(store, stream, head.version) else told
