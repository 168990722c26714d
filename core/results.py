"""What a run gave, for people and programs: a view of its state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from .events import RunCancelled, RunCompleted, RunFailed
from .state import Outcome, RunState


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step's outcome. `success` is None for a step that was skipped or has not ended. Costs are in cents."""

    step_id: str
    index: int
    skill_id: str
    status: str
    success: bool | None
    output: Any
    error_code: str | None
    message: str | None
    attempts: int
    cost_cents: float
    inputs_hash: str | None
    output_hash: str | None
    step_hash: str | None


@dataclass(frozen=True)
class WorkflowResult:
    """A run as it stands, usually ended. `step_hashes` is in index order, None where nothing ran."""

    run_id: str
    workflow_type: str
    status: str
    success: bool
    error_code: str | None
    message: str | None
    workflow_hash: str | None
    step_hashes: tuple[str | None, ...]
    output: Any
    cost_cents: float
    _state: RunState = field(repr=False, compare=False)

    @cached_property
    def steps(self) -> tuple[StepResult, ...]:
        """The steps in index order; made when asked for, since most callers look at the run's own result only."""
        return tuple(_step(self._state, index, outcome) for index, outcome in enumerate(self._state.outcomes))

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object of the same names."""
        return {
            "run_id": self.run_id,
            "workflow_type": self.workflow_type,
            "status": self.status,
            "success": self.success,
            "error_code": self.error_code,
            "message": self.message,
            "workflow_hash": self.workflow_hash,
            "step_hashes": list(self.step_hashes),
            "steps": [asdict(step) for step in self.steps],
            "output": self.output,
            "cost_cents": self.cost_cents,
        }


def result_of(state: RunState) -> WorkflowResult:
    """The result of the run, or how far it has come."""
    end = state.end
    error_code = message = None
    if isinstance(end, RunFailed):
        error_code, message = end.error_code, end.message
    elif isinstance(end, RunCancelled):
        error_code, message = end.error_code, end.reason
    elif end is not None and not isinstance(end, RunCompleted):
        error_code = end.error_code
    return WorkflowResult(
        run_id=state.started.run_id,
        workflow_type=state.started.workflow_type,
        status=state.status,
        success=isinstance(end, RunCompleted),
        error_code=error_code,
        message=message,
        workflow_hash=None if end is None else end.workflow_hash,
        step_hashes=tuple(state.step_hashes),
        output=end.output.fresh() if isinstance(end, RunCompleted) else None,
        cost_cents=state.cost_cents,
        _state=state,
    )


def _step(state: RunState, index: int, outcome: Outcome | None) -> StepResult:
    step = state.plan.steps[index]
    if outcome is None:
        pending = state.attempted.get(index)
        return StepResult(
            step_id=step.step_id,
            index=index,
            skill_id=step.skill_id,
            status="pending" if state.end is None else "cancelled",
            success=None,
            output=None,
            error_code=None,
            message=None,
            attempts=0 if pending is None else pending.attempt - 1,
            cost_cents=0 if pending is None else pending.cost_cents,
            inputs_hash=None,
            output_hash=None,
            step_hash=None,
        )
    return StepResult(
        step_id=step.step_id,
        index=index,
        skill_id=step.skill_id,
        status=outcome.status,
        success=None if outcome.status == "skipped" else outcome.status == "completed",
        output=None if outcome.output is None else outcome.output.fresh(),
        error_code=outcome.error_code,
        message=outcome.message,
        attempts=outcome.attempt,
        cost_cents=outcome.cost_cents,
        inputs_hash=outcome.inputs_hash,
        output_hash=None if outcome.output is None else outcome.output.sha256,
        step_hash=outcome.step_hash,
    )
