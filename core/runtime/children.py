"""Starting children: what a step asks for becomes the first event of a run, or the step's failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from ..canonical import Payload
from ..decision import Named
from ..errors import Failure, InvalidError, RefoldError, StoreError
from ..events import RunFailed, RunStarted
from ..ids import child_of, stream_of
from ..limits import Limits
from ..ports import EMPTY, Clock
from ..run_state import RunState
from ..seeds import step_seed
from ..spec import WorkflowSpec
from .admission import Target, first_event
from .attempt import Cause, Result, Waiting
from .history import History
from .registry import SkillRegistry
from .run_spans import child_trace
from .tracing import Tracer
from .wait import Child

Resolve = Callable[[str, str | None, str], Awaitable[Target]]
"""Finds what a name means: name, version (None: the latest) and tenant. Raises InvalidError."""


class Children:
    """Admits the children of runs. With `skills`, only those that can be run with them; and none whose first event
    `judged` refuses."""

    def __init__(
        self,
        history: History,
        clock: Clock,
        limits: Limits,
        resolve: Resolve,
        skills: SkillRegistry | None,
        judged: Callable[[RunStarted], Awaitable[RunFailed | None]],
        tracer: Tracer | None = None,
    ):
        self._judged = judged
        self._tracer = tracer
        self._skills = skills
        self._history = history
        self._clock = clock
        self._limits = limits
        self._resolve = resolve

    async def admit(self, parent: RunState, step: Named, result: Result) -> Result:
        """`result`, which asks for a child, with that child's first event; or with the failure that there can be none.

        The id may still be taken by somebody before the commit; that is then refused like any lost race. Raises
        StoreError.
        """
        waiting = result.output
        child = waiting.wait.child if isinstance(waiting, Waiting) else None
        if child is None:
            return result
        try:
            started = await self._started(parent.started, step, child, result.attempt)
            if isinstance(waiting, Waiting) and waiting.sensitive and started.inputs.hidden is None:
                reason = "sensitive data would be recorded in the inputs of the child: declare them there, as sensitive"
                return replace(result, output=Cause("SENSITIVE_UNDECLARED", reason, retryable=False))
            stream = stream_of(started.tenant, started.run_id)
            if (await self._history.heads([stream])).get(stream, EMPTY) != EMPTY:
                reason = f"the run id {started.run_id!r} is taken"
                return replace(result, output=Cause("RUN_CONFLICT", reason, retryable=False))
        except Failure as error:
            return replace(result, output=Cause(error.step_code, str(error), retryable=False))
        except InvalidError as error:
            return replace(result, output=Cause(error.code, str(error), retryable=False))
        except StoreError:  # that says nothing about the child: the run is taken up again when the store is there
            raise
        except RefoldError as error:
            return replace(result, output=Cause(error.code, str(error), retryable=True))
        if child.detached:
            return replace(result, output=Payload.of({"run_id": started.run_id}), begins=started)
        return replace(result, begins=started)

    async def _started(self, parent: RunStarted, step: Named, child: Child, attempt: int) -> RunStarted:
        target: Target | Mapping[str, Any]
        if child.workflow is not None:
            target = await self._resolve(child.workflow, child.version, parent.tenant)
        else:
            target = WorkflowSpec.parse(child.spec)
        # A call is known by its path; a spec's step by its name.
        name = step.index if isinstance(step.index, str) else step.step_id
        started = first_event(
            target,
            child_of(parent.run_id, name) if child.run_id is None else child.run_id,
            step_seed(parent.seed, step.index),
            child.inputs,
            parent.agent_id,
            parent.tenant,
            queue=parent.queue if child.queue is None else child.queue,
            priority=parent.priority,
            skills=self._skills,
            limits=self._limits,
            at=self._clock.now(),
        )
        awaited = None if child.detached else started.run_id
        # One that goes on by itself has a trace of its own: a schedule's would never end.
        stream = stream_of(parent.tenant, parent.run_id)
        trace = None if child.detached else child_trace(self._tracer, stream, parent, step.index, attempt)
        # A child is of the same plan, and under the same policy.
        begun = replace(
            started,
            parent=parent.run_id,
            awaited=awaited,
            origin=parent.origin,
            policy=parent.policy,
            trace=trace,
        )
        refusal = await self._judged(begun)
        if refusal is not None:
            raise Failure(refusal.error_code, f"run {begun.run_id}: {refusal.message}", retryable=False)
        return begun
