"""The index of runs: what lists and searches read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.canonical import canonical_json
from ..core.events import RunCompleted, RunContinued
from ..core.run_state import RunState
from ..eventstore.tables import Row, Table
from .model import FollowedRun

RUNS = Table(
    "runs",
    {
        "tenant": "text",
        "run_id": "text",
        "workflow_type": "text",
        "workflow_version": "text",
        "status": "text",
        "agent_id": "text",
        "queue": "text",
        "priority": "int",
        "error_code": "text",
        "parent": "text",
        "forked_from": "text",
        "started_at": "int",
        "updated_at": "int",
        "ended_at": "int",
        "events": "int",
        "cost_cents": "float",
        "position": "int",
    },
    indexes=[
        ("tenant", "position"),
        *(
            ("tenant", name, "position")
            for name in (
                "status",
                "workflow_type",
                "queue",
                "agent_id",
                "error_code",
                "parent",
                "forked_from",
                "started_at",
            )
        ),
    ],
)
"""A row for each run. Times are in µs since the epoch; `position` is that of its first event, by which lists go on.

There is an index for each filter: the few that a list is looking for may be anywhere among millions.
"""

ATTRIBUTES = Table(
    "run_attributes",
    {"tenant": "text", "run_id": "text", "name": "text", "value": "json"},
    key=3,
    indexes=[("tenant", "name")],
)
"""A row for each attribute that a run has."""


class RunsProjection:
    """Fills `runs` and `run_attributes`; fulfils `refold.projections.model.Projection`."""

    name = "runs"
    version = 3
    tables = (RUNS, ATTRIBUTES)
    strict = False
    always = True

    def is_due(self, run: FollowedRun) -> bool:
        """See `Projection.is_due`."""
        return True

    def rows(self, run: FollowedRun) -> Mapping[str, Sequence[Row]]:
        """See `Projection.rows`."""
        state = run.state
        if not state.attributes:
            return {RUNS.name: [_row(run)]}
        key = (run.tenant, run.run_id)
        attributes = [
            (*key, name.replace("\0", "␀"), canonical_json(value).decode()) for name, value in state.attributes.items()
        ]
        return {RUNS.name: [_row(run)], ATTRIBUTES.name: attributes}

    def settle(self) -> None:
        """See `Projection.settle`: all of it lies in the tables."""


def _row(run: FollowedRun) -> Row:
    state, started = run.state, run.state.started
    agent = started.agent_id
    return (
        run.tenant,
        run.run_id,
        started.workflow_type,
        started.workflow_version,
        state.status,
        agent if agent is None else agent.replace("\0", "␀"),
        started.queue,
        started.priority,
        error_code_of(state),
        started.parent,
        None if started.forked is None else started.forked.run_id,
        started.at,
        run.at,
        run.at if state.end is not None else None,
        run.version,
        state.cost_cents,
        run.start,
    )


def error_code_of(state: RunState) -> str | None:
    """Why a run has not completed, or is parked; None where nothing is wrong."""
    end = state.end
    if end is None:
        return None if state.parked is None else state.parked.error_code
    return None if isinstance(end, RunCompleted | RunContinued) else end.error_code.replace("\0", "␀")
