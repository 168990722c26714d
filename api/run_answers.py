"""What the API answers about runs besides how one stands: lists, counts, and what is derived from a run's log."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from .answers import StoredEvent

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
    "forked_from": None,
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
    forked_from: str | None


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


class TenantEvent(StoredEvent):
    """An event of a run, with its position in the whole log."""

    position: int
    run_id: str | None


class TenantEventPage(BaseModel):
    """Events in the order of the log; the next page begins after position `next_after`, null at the end of what is
    recorded so far."""

    events: list[TenantEvent]
    next_after: int | None


class PastState(BaseModel):
    """All of a run's state at a point of its past (docs/replay.md). `event` is the number of its last event then, of
    `events` that it has by now; `next` says what would have come by the rules alone."""

    model_config = ConfigDict(extra="allow")

    run_id: str
    workflow_type: str
    status: str
    event: int
    events: int
    at: str
    next: dict[str, Any]


class Checkpoint(BaseModel):
    """The state of a run after its event `version`, as a projection keeps it; `workflow_id` is `type#version`."""

    workflow_id: str
    next_step_index: int
    last_result_hash: str | None
    status: str
    created_at: str
    updated_at: str
    version: int
    content_hash: str


class CheckpointView(BaseModel):
    """The latest checkpoint, null where none is kept."""

    checkpoint: Checkpoint | None


class Timeline(BaseModel):
    """The spans of a run: from when to when, and of what kind."""

    spans: list[dict[str, Any]]


class Child(BaseModel):
    """A run that another one started."""

    run_id: str
    workflow_type: str | None
    status: str


class Relations(BaseModel):
    """The runs that a run comes from, and that come from it."""

    run_id: str
    parent: str | None
    continues: str | None
    continued_as: str | None
    forked_from: str | None
    children: list[Child]
    more_children: bool


class Divergent(BaseModel):
    """One difference: at which event, where in it, what either side has, its class, and the reason for that."""

    event: str
    step_id: str | None
    pointer: str
    left: str
    right: str
    kind: str
    reason: str
    follows: str | None
    critical: bool


class Difference(BaseModel):
    """In what the runs `a` and `b` differ, and how often in which way."""

    a: str
    b: str
    equal: bool
    kinds: dict[str, int]
    first: Divergent | None
    differences: list[Divergent]
