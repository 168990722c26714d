"""What was spent: by whom, on what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.events import Event, StepAttemptFailed, StepCompleted, StepFailed, StepWaiting
from ..eventstore.tables import Row, Table
from .model import FollowedRun, GrowingProjection
from .texts import column_text

COST_ROWS = Table(
    "costs",
    {
        "tenant": "text",
        "run_id": "text",
        "event": "int",
        "agent_id": "text",
        "workflow_type": "text",
        "workflow_version": "text",
        "skill": "text",
        "step_id": "text",
        "attempt": "int",
        "cost_cents": "float",
        "at": "int",
    },
    key=3,
    indexes=[("tenant", "at", "run_id", "event")],
)
"""A row for each attempt that cost something, failed ones too. A run's rows add up to what its end says.

`at` is when the event was recorded, in µs since the epoch.
"""


class CostsProjection(GrowingProjection):
    """Fills `costs`."""

    name = "costs"
    tables = (COST_ROWS,)

    def taken(self, run: FollowedRun, event: Event) -> Mapping[str, Sequence[Row]]:
        """See `GrowingProjection.taken`."""
        costs = isinstance(event, StepCompleted | StepFailed | StepAttemptFailed | StepWaiting)
        if not costs or not event.cost_cents:
            return {}
        started = run.state.started
        row = (
            run.tenant,
            run.run_id,
            run.version,
            None if started.agent_id is None else column_text(started.agent_id),
            started.workflow_type,
            started.workflow_version,
            event.skill_id,
            event.step_id,
            event.attempt,
            float(event.cost_cents),
            run.at,
        )
        return {COST_ROWS.name: [row]}
