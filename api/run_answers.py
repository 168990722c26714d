"""What the API answers about runs besides how one stands: lists, counts, and what is derived from a run's log."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

_RUN: dict[str, Any] = {
    "run_id": "order-1",
    "workflow_type": "order",
    "workflow_version": "1",
    "status": "completed",
    "agent_id": None,
    "queue": "default",
    "error_code": None,
    "started_at": "2026-11-20T08:00:00.000000Z",
    "ended_at": "2026-11-20T08:00:03.000000Z",
    "events": 5,
    "parent": None,
}
_INDEX: dict[str, Any] = {"position": 4711, "lag_events": 0, "lag_seconds": 0.0}


def example(value: dict[str, Any]) -> ConfigDict:
    """The configuration of a model of which `value` is an example."""
    return ConfigDict(json_schema_extra={"examples": [value]})


class IndexPosition(BaseModel):
    """How far the index of runs had come: the position in the log, how many events that is behind it, and for how many
    seconds the next of them has been there."""

    position: int
    lag_events: int
    lag_seconds: float


class ListedRun(BaseModel):
    """A run in a list."""

    run_id: str
    workflow_type: str | None
    workflow_version: str | None
    status: str
    agent_id: str | None
    queue: str | None
    error_code: str | None
    started_at: str | None
    ended_at: str | None
    events: int
    parent: str | None


class RunPage(BaseModel):
    """Runs, latest started first. There is more while `next_cursor` is set, however few there are."""

    model_config = example({"runs": [_RUN], "next_cursor": "42", "index": _INDEX})

    runs: list[ListedRun]
    next_cursor: str | None
    index: IndexPosition | None


class Counts(BaseModel):
    """How many runs have which status, and how many that is together."""

    model_config = example({"counts": {"completed": 90, "failed": 2}, "total": 92, "index": _INDEX})

    counts: dict[str, int]
    total: int
    index: IndexPosition | None
