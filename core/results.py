"""What a run gave, for people and programs: a view of its state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .canonical import Payload
from .code_state import CodeState
from .events import RunCancelled, RunCompleted, RunContinued, RunFailed, RunTimedOut
from .run_state import Outcome, RunState
from .spec_state import SpecState
from .step_events import StepIndex


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step's outcome. `success` is None for a step that was skipped or has not ended. Costs are in cents."""

    step_id: str
    index: StepIndex
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

    def to_json(self) -> dict[str, Any]:
        """The outcome as a JSON object of the same names; the output in it is the result's own."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class WorkflowResult:
    """A run as it stands, usually ended. `step_hashes` is in index order, None where nothing ran.

    `output` holds sensitive data where they can be read here; steps show placeholders.
    `continued_as` is the run that continues this one, which then has no output of its own.
    """

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
    continued_as: str | None
    _state: RunState = field(repr=False, compare=False)

    @cached_property
    def steps(self) -> tuple[StepResult, ...]:
        """The steps in index order; made when asked for, since most callers look at the run's own result only."""
        return tuple(_steps(self._state))

    @property
    def state(self) -> RunState:
        """The state of the run that the result was made from."""
        return self._state

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object of the same names, with placeholders for what is sensitive."""
        return {
            "run_id": self.run_id,
            "workflow_type": self.workflow_type,
            "status": self.status,
            "success": self.success,
            "error_code": self.error_code,
            "message": self.message,
            "workflow_hash": self.workflow_hash,
            "step_hashes": list(self.step_hashes),
            "steps": [step.to_json() for step in self.steps],
            "output": self.output if not isinstance(end := self._state.end, RunCompleted) else end.output.fresh(),
            "cost_cents": self.cost_cents,
            "continued_as": self.continued_as,
        }


def result_of(state: RunState) -> WorkflowResult:
    """The result of the run, or how far it has come."""
    end = state.end
    error_code = message = None
    if isinstance(end, RunFailed):
        error_code, message = end.error_code, end.message
    elif isinstance(end, RunCancelled):
        error_code, message = end.error_code, end.reason
    elif isinstance(end, RunTimedOut):
        error_code = end.error_code
    elif state.parked is not None:
        error_code, message = state.parked.error_code, state.parked.message
    return WorkflowResult(
        run_id=state.started.run_id,
        workflow_type=state.started.workflow_type,
        status=state.status,
        success=isinstance(end, RunCompleted | RunContinued),
        error_code=error_code,
        message=message,
        workflow_hash=None if end is None else end.workflow_hash,
        step_hashes=tuple(state.step_hashes),
        output=_readable(end.output) if isinstance(end, RunCompleted) else None,
        cost_cents=state.cost_cents,
        continued_as=end.successor if isinstance(end, RunContinued) else None,
        _state=state,
    )


def _readable(output: Payload) -> Any:
    hidden = output.hidden
    return output.fresh() if hidden is None or hidden.plain is None else output.revealed().fresh()


def _steps(state: RunState) -> Iterator[StepResult]:
    if isinstance(state, SpecState):
        for step, outcome in zip(state.plan.steps, state.outcomes, strict=True):
            yield _step(state, step.index, step.step_id, step.skill_id, outcome)
    elif isinstance(state, CodeState):
        for path in state.in_order(state.calls):
            called = state.calls[path]
            yield _step(state, path, called.step_id, called.skill_id, state.outcomes.get(path))


def _step(state: RunState, index: StepIndex, step_id: str, skill_id: str, outcome: Outcome | None) -> StepResult:
    if outcome is None:
        pending = state.attempted.get(index)
        return StepResult(
            step_id=step_id,
            index=index,
            skill_id=skill_id,
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
        step_id=step_id,
        index=index,
        skill_id=skill_id,
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
