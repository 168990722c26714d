"""What failed: attempts, steps, and runs that did not complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.events import (
    Event,
    RunCancelled,
    RunFailed,
    RunParked,
    RunTimedOut,
    StepAttemptFailed,
    StepFailed,
)
from ..core.failures import FAILURES
from ..core.run_state import RunState
from ..core.spec_state import SpecState
from ..eventstore.tables import Row, Table
from .model import FollowedRun, GrowingProjection
from .texts import column_text, message_text

FAILURE_ROWS = Table(
    "failures",
    {
        "tenant": "text",
        "run_id": "text",
        "event": "int",
        "kind": "text",
        "code": "text",
        "category": "text",
        "workflow_type": "text",
        "workflow_version": "text",
        "skill": "text",
        "step_id": "text",
        "attempt": "int",
        "final": "bool",
        "agent_id": "text",
        "at": "int",
        "message": "text",
    },
    key=3,
    indexes=[("tenant", "at", "run_id", "event")],
)
"""A row for each event that tells of a failure.

`kind` is `attempt` (another follows), `step` (its last one), `run` (its end; skill and step are those that it failed
by) or `parked`. All but `attempt` are `final`. `category` is null for codes that skills made up. `at` is when the event
was recorded, in µs since the epoch.
"""

KINDS = ("attempt", "step", "run", "parked")
"""What a row can be of."""


class FailuresProjection(GrowingProjection):
    """Fills `failures`. Whoever changes a code's category in the catalog raises the version."""

    name = "failures"
    tables = (FAILURE_ROWS,)

    def taken(self, run: FollowedRun, event: Event) -> Mapping[str, Sequence[Row]]:
        """See `GrowingProjection.taken`."""
        match event:
            case StepAttemptFailed():
                row = _step(run, event, "attempt")
            case StepFailed():
                row = _step(run, event, "step")
            case RunFailed():
                skill = _skill_of(run.state, event.step_id)
                row = _row(run, "run", event.error_code, event.message, skill, event.step_id)
            case RunCancelled():
                row = _row(run, "run", event.error_code, event.reason)
            case RunTimedOut():
                row = _row(run, "run", event.error_code, "")
            case RunParked():
                row = _row(run, "parked", event.error_code, event.message)
            case _:
                return {}
        return {FAILURE_ROWS.name: [row]}


def _step(run: FollowedRun, event: StepAttemptFailed | StepFailed, kind: str) -> Row:
    return _row(run, kind, event.error_code, event.message, event.skill_id, event.step_id, event.attempt)


def _row(
    run: FollowedRun,
    kind: str,
    code: str,
    message: str,
    skill: str | None = None,
    step_id: str | None = None,
    attempt: int | None = None,
) -> Row:
    started, known = run.state.started, FAILURES.get(code)
    return (
        run.tenant,
        run.run_id,
        run.version,
        kind,
        column_text(code),
        None if known is None else known.category.value,
        started.workflow_type,
        started.workflow_version,
        skill,
        step_id,
        attempt,
        kind != "attempt",
        None if started.agent_id is None else column_text(started.agent_id),
        run.at,
        message_text(message),
    )


def _skill_of(state: RunState, step_id: str | None) -> str | None:
    """The skill of a step; the id of a function's step begins with it."""
    if step_id is None:
        return None
    if isinstance(state, SpecState):
        index = state.plan.index_of.get(step_id)
        return None if index is None else state.plan.steps[index].skill_id
    return step_id.rpartition("#")[0] or None
