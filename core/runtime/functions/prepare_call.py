"""A call of a workflow function made ready to run."""

from __future__ import annotations

from ...code_state import CodeState
from ...limits import Limits
from ...secret_marks import Sealed
from ...seeds import step_seed
from ..attempt import Call, Cause, Result, told_before
from ..context import StepContext
from .open_call import OpenCall


def prepare_call(state: CodeState, asked: OpenCall, attempt: int, limits: Limits) -> Call | Result:
    """The call, or the result that its inputs are too large."""
    skill, inputs, started = asked.skill, asked.inputs, state.started
    size = len(asked.command.inputs)
    if size > limits.payload_bytes:
        reason = f"the inputs take {size} bytes, more than {limits.payload_bytes}"
        failure = Cause("INPUT_TOO_LARGE", reason, retryable=False)
        return Result(asked.index, attempt, skill, inputs, failure, executed=False)
    if skill.sensitive and not asked.sensitive:
        reason = (
            f"the skill {skill.skill_id!r} is sensitive, and the function is not: declare @workflow(sensitive=True)"
        )
        failure = Cause("SENSITIVE_UNDECLARED", reason, retryable=False)
        return Result(asked.index, attempt, skill, inputs, failure, executed=False)
    context = None
    if skill.takes_context:
        context = StepContext(
            run_id=started.run_id,
            step_id=asked.step_id,
            index=asked.index,
            seed=step_seed(started.seed, asked.index),
            attempt=attempt,
            idempotency_key=f"{started.run_id}:{asked.step_id}",
            outputs={},
            progress=told_before(state, asked.index),
        )
    sealed = Sealed(asked.marks, started.tenant) if asked.marks else None
    given = asked.command.inputs if asked.sensitive else None
    return Call(asked.index, attempt, skill, inputs, context, sealed, given=given, sensitive=asked.sensitive)
