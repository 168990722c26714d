"""What runs and steps tell of themselves in traces: each span once, when what it stands for is in the log.

A span of a step begins with the attempt and is the current one in the skill, but is told of when the outcome is
durable; so a process that has lost its run tells of nothing that another one has done meanwhile. A run's span and that
of a wait are made when they end, from the times in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..approvals import EXPIRED
from ..events import (
    Event,
    RunEnd,
    RunStarted,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepWaiting,
)
from ..labels import tenant_label
from ..run_state import RunState
from ..step_events import StepIndex
from ..traces import RunTrace, TraceParent, run_trace, step_span_id, wait_span_id
from .pricing import Step
from .skill import Skill
from .tracing import Span, Tracer, Work

_Outcome = StepCompleted | StepFailed | StepAttemptFailed | StepWaiting


class RunSpans:
    """The spans of one run that lives here."""

    def __init__(self, tracer: Tracer, stream: str, state: RunState):
        self._tracer = tracer
        self._stream = stream
        self._started = state.started
        self._root = root_of(tracer, stream, state.started)[1]
        self._about = about(state.started)
        self._open: dict[StepIndex, tuple[int, Span]] = {}
        self._waits: dict[StepIndex, StepWaiting] = dict(state.waits)

    def begin(self, step: Step, skill: Skill[..., Any], attempt: int) -> Span:
        """An attempt at a step begins."""
        attributes = {
            **self._about,
            "refold.step_id": step.step_id,
            "refold.step_index": str(step.index),
            "refold.skill_id": step.skill_id,
            "refold.skill_version": skill.version,
            "refold.attempt": attempt,
        }
        span_id = step_span_id(self._stream, step.index, attempt)
        span = self._tracer.begin(f"step {step.skill_id}", attributes, parent=self._root, span_id=span_id)
        self._open[step.index] = (attempt, span)
        return span

    def stored(self, events: Sequence[Event]) -> None:
        """Tell of what has become durable."""
        for event in events:
            if isinstance(event, _Outcome):
                self._ended(event)
                if isinstance(event, StepWaiting):
                    self._waits[event.index] = event
                elif (wait := self._waits.pop(event.index, None)) is not None:
                    self._waited(wait, event)
            elif isinstance(event, RunEnd):
                run_ended(self._tracer, self._stream, self._started, event)

    def _ended(self, event: _Outcome) -> None:
        attempt, span = self._open.pop(event.index, (0, None))
        if span is not None and attempt == event.attempt:
            failure = _failure(event)
            span.end({"refold.status": _status(event), **_code(failure)}, failure)

    def _waited(self, wait: StepWaiting, event: StepCompleted | StepFailed | StepAttemptFailed) -> None:
        kind = "signal" if wait.signal is not None else "child" if wait.child is not None else "time"
        kind = "approval" if wait.fails == EXPIRED else kind
        attributes = {**self._about, "refold.step_id": wait.step_id, "refold.wait": kind}
        span_id = wait_span_id(self._stream, wait.index)
        span = self._tracer.begin(f"wait {wait.skill_id}", attributes, parent=self._root, span_id=span_id, at=wait.at)
        failure = _failure(event)
        span.stop(event.at)
        span.end({"refold.status": _status(event), **_code(failure)}, failure)


def work_of(
    spans: RunSpans | None, stream: str, state: RunState, step: Step, skill: Skill[..., Any], attempt: int
) -> Work:
    """What an attempt that begins now works on, in a span of its own if there are any."""
    span = None if spans is None else spans.begin(step, skill, attempt)
    return Work(stream, step.step_id, attempt, state.started.trace, span)


def spans_of(tracer: Tracer | None, stream: str, state: RunState) -> RunSpans | None:
    """The spans of the run of `stream`; None where nobody wants them."""
    return None if tracer is None else RunSpans(tracer, stream, state)


def child_trace(tracer: Tracer | None, stream: str, started: RunStarted, index: StepIndex, attempt: int) -> str | None:
    """The `traceparent` of a run that a step of the run `started` begins and waits for: None if there is no trace.

    Where nothing is told of steps, the run hangs where its parent does.
    """
    if tracer is None:
        return started.trace
    trace, root = root_of(tracer, stream, started)
    return TraceParent(trace.trace_id, step_span_id(stream, index, attempt), root.sampled).header()


def root_of(tracer: Tracer, stream: str, started: RunStarted) -> tuple[RunTrace, TraceParent]:
    """The trace of a run, and the run's own span in it."""
    trace = run_trace(stream, started)
    return trace, tracer.root(trace, _name(started))


def run_ended(tracer: Tracer, stream: str, started: RunStarted, end: RunEnd) -> None:
    """Tell of a run whose end is durable."""
    trace = run_trace(stream, started)
    span = tracer.begin(
        _name(started),
        about(started),
        parent=trace.parent,
        trace_id=trace.trace_id,
        span_id=trace.span_id,
        at=started.at,
    )
    code: str | None = getattr(end, "error_code", None)
    span.stop(end.at)
    span.end({"refold.status": end.topic.partition(".")[2], **_code(code)}, code)


def about(started: RunStarted) -> dict[str, str | int | float | bool]:
    """What every span of a run says of it: neither inputs nor outputs, and of the tenant a label."""
    attributes: dict[str, str | int | float | bool] = {
        "refold.run_id": started.run_id,
        "refold.tenant": tenant_label(started.tenant),
        "refold.workflow_type": started.workflow_type,
        "refold.workflow_version": started.workflow_version,
    }
    origin = None if started.forked is None else started.forked.run_id
    for name, run_id in (("parent", started.parent), ("continues", started.continues), ("forked_from", origin)):
        if run_id is not None:
            attributes[f"refold.{name}"] = run_id
    return attributes


def _name(started: RunStarted) -> str:
    return f"run {started.workflow_type}"


def _failure(event: _Outcome) -> str | None:
    return event.error_code if isinstance(event, StepFailed | StepAttemptFailed) else None


def _status(event: _Outcome) -> str:
    return event.topic.partition(".")[2]


def _code(code: str | None) -> dict[str, str]:
    return {} if code is None else {"refold.failure_code": code}
