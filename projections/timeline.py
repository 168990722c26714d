"""When everything in a run was: its steps, waits, pauses and signals, as spans of time.

The log does not say when an attempt begins, but for steps that run at most once. A step's span therefore begins at the
recorded start of its first attempt, else when what it depends on (of a function: what is before it in its branch) had
ended; it ends when its outcome was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from ..core.approvals import EXPIRED
from ..core.code_state import CodeState
from ..core.events import (
    ApprovalDelegated,
    ApprovalEscalated,
    ApprovalGranted,
    ApprovalRequested,
    ChildEnded,
    Event,
    RunCancelling,
    RunParked,
    RunPaused,
    RunResumed,
    RunStarted,
    SignalReceived,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepReused,
    StepSkipped,
    StepStarted,
    StepWaiting,
)
from ..core.run_state import RunState
from ..core.spec_state import SpecState
from ..core.step_events import StepIndex
from ..eventstore.tables import Row, Table
from .model import FollowedRun, GrowingProjection
from .runs import error_code_of
from .step_times import StepTimes
from .texts import column_text

TIMELINE = Table(
    "timeline",
    {
        "tenant": "text",
        "run_id": "text",
        "place": "text",
        "kind": "text",
        "path": "text",
        "step_id": "text",
        "skill": "text",
        "status": "text",
        "attempts": "int",
        "started_at": "int",
        "ended_at": "int",
        "took": "int",
        "until": "int",
        "error_code": "text",
        "name": "text",
        "build": "text",
        "event": "int",
    },
    key=4,
)
"""A row for each span, in the order of `place`: the run, its steps in index order with their waits, then all else."""


class Span(NamedTuple):
    """A row of `timeline`. Times are in µs since the epoch, `took` is in µs.

    `kind` is `run`, `step`, what a step waits for (`timer`, `wait` for a signal, `child`, `approval`), `signal` (it was
    taken in), `pause` or `parked`. `path` is the step's index. `until` is when a wait ends by itself, `name` the
    signal, the child or who may still approve. `build` is of the code that recorded event number `event`, the last
    that told of the span.
    """

    tenant: str
    run_id: str
    place: str
    kind: str
    path: str | None = None
    step_id: str | None = None
    skill: str | None = None
    status: str = ""
    attempts: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    took: int | None = None
    until: int | None = None
    error_code: str | None = None
    name: str | None = None
    build: str = ""
    event: int = 0


@lru_cache(10_000)
def place_of(index: StepIndex) -> str:
    """A text by which indexes and paths sort as they should: each number after a letter for how many digits it has."""
    return ".".join(f"{chr(96 + len(number))}{number}" for number in str(index).split("."))


@dataclass(slots=True)
class _Notes(StepTimes):
    """What a timeline remembers of a run: when steps began and ended, how often they were tried, what is open."""

    tries: dict[StepIndex, int] = field(default_factory=dict[StepIndex, int])
    waits: dict[StepIndex, Span] = field(default_factory=dict[StepIndex, Span])
    children: dict[str, StepIndex] = field(default_factory=dict[str, StepIndex])
    rests: list[Span] = field(default_factory=list[Span])


class TimelineProjection(GrowingProjection):
    """Fills `timeline`."""

    name = "timeline"
    tables = (TIMELINE,)

    def taken(self, run: FollowedRun, event: Event) -> Mapping[str, Sequence[Row]]:
        """See `GrowingProjection.taken`."""
        notes: _Notes = run.notes.setdefault("timeline", _Notes())
        spans = _Telling(run, notes).spans(event)
        return {TIMELINE.name: spans} if spans else {}


class _Telling:
    """What one event changes in a run's timeline."""

    def __init__(self, run: FollowedRun, notes: _Notes):
        self._run = run
        self._notes = notes

    def spans(self, event: Event) -> list[Span]:
        """The spans that the event begins, ends or tells more of."""
        match event:
            case RunStarted():
                return [self._whole(), *self._planned()]
            case StepCompleted() | StepFailed() | StepSkipped():
                return self._outcome(event)
            case StepReused():
                return self._outcome(event.outcome())
            case StepStarted() | StepProgressed() | StepAttemptFailed() | StepWaiting():
                return self._under_way(event)
            case ApprovalRequested() | ApprovalGranted() | ApprovalDelegated() | ApprovalEscalated():
                return self._asked(event.index)
            case SignalReceived():
                place = f"~{place_of(event.message)}"
                point = self._span(place, "signal", "received", started_at=event.at, name=column_text(event.name))
                return [self._closed(point, "received")]
            case ChildEnded():
                return self._child(event)
            case RunPaused() | RunParked():
                kind = "pause" if isinstance(event, RunPaused) else "parked"
                code = column_text(event.error_code) if isinstance(event, RunParked) else None
                place = f"~{place_of(self._run.version)}"
                self._notes.rests.append(self._span(place, kind, "open", started_at=event.at, error_code=code))
                return [self._whole(), self._notes.rests[-1]]
            case RunResumed():
                return [self._whole(), *self._rested()]
            case RunCancelling():
                return [self._whole(), *self._rested(), *self._given_up()]
            case _:
                if self._run.state.end is not None:
                    return [self._whole(), *self._rested(), *self._given_up()]
                return []

    def _span(self, place: str, kind: str, status: str, **known: str | int | None) -> Span:
        run = self._run
        blank = Span(run.tenant, run.run_id, place, kind, status=status, build=run.build, event=run.version)
        return blank._replace(**known)

    def _closed(self, span: Span, status: str, error_code: str | None = None) -> Span:
        run = self._run
        took = None if span.started_at is None else max(run.at - span.started_at, 0)
        told = {"status": status, "ended_at": run.at, "took": took, "build": run.build, "event": run.version}
        return span._replace(**told, error_code=error_code or span.error_code)

    def _whole(self) -> Span:
        state = self._run.state
        code = error_code_of(state)
        status = "running" if state.status == "waiting" else state.status  # Not told by every event that it waits.
        span = self._span("", "run", status, started_at=state.started.at, name=state.started.workflow_type)
        return span._replace(error_code=code) if state.end is None else self._closed(span, state.status, code)

    def _planned(self) -> list[Span]:
        """The steps of a spec: those that can begin, and those that come later."""
        state = self._run.state
        if not isinstance(state, SpecState):
            return []
        return [self._step(step.index, "pending" if state.unmet[step.index] else "ready") for step in state.plan.steps]

    def _step(self, index: StepIndex, status: str, *, ended: bool = False, error_code: str | None = None) -> Span:
        """A step as far as state and notes know it; it has begun unless it is pending, and may have `ended` now."""
        run, state = self._run, self._run.state
        if isinstance(state, CodeState):
            step_id, skill = state.calls[str(index)]
        else:
            step_id, skill = _planned_step(state, index)
        begun = None if status == "pending" else self._notes.began(self._run.state, index)
        took = max(run.at - begun, 0) if ended and begun is not None else None
        # By position, once for each: this is done for every event.
        return Span(
            run.tenant,
            run.run_id,
            place_of(index),
            "step",
            str(index),
            step_id,
            skill,
            status,
            self._notes.tries.get(index, 0),
            begun,
            run.at if ended else None,
            took,
            None,
            error_code,
            None,
            run.build,
            run.version,
        )

    def _outcome(self, event: StepCompleted | StepFailed | StepSkipped) -> list[Span]:
        notes, index = self._notes, event.index
        if not isinstance(event, StepSkipped):
            notes.tries[index] = event.attempt
        status = event.topic.removeprefix("step.")
        code = column_text(event.error_code) if isinstance(event, StepFailed) else None
        told = [self._step(index, status, ended=True, error_code=code)]
        told += self._waited(index, status, code)
        notes.begun.pop(index, None)
        notes.tries.pop(index, None)
        notes.end(index, event.at)
        state = self._run.state
        if isinstance(state, SpecState):
            dependents = state.plan.steps[int(index)].dependents
            told += [self._step(each, "ready") for each in dependents if not state.unmet[each]]
        return told

    def _under_way(self, event: StepStarted | StepProgressed | StepAttemptFailed | StepWaiting) -> list[Span]:
        notes, index = self._notes, event.index
        if isinstance(event, StepStarted):
            notes.begun.setdefault(index, event.at)
        else:
            notes.begun.setdefault(index, notes.began(self._run.state, index))
        notes.tries[index] = event.attempt
        if isinstance(event, StepAttemptFailed):
            retrying = self._step(index, "retrying")
            return [retrying._replace(until=event.retry_at, error_code=column_text(event.error_code))]
        if not isinstance(event, StepWaiting):
            return [self._step(index, "running")]
        return [self._step(index, "waiting"), self._waiting(event)]

    def _waiting(self, event: StepWaiting) -> Span:
        kind = "child" if event.child is not None else "timer" if event.signal is None else "wait"
        if event.fails == EXPIRED:
            kind = "approval"
        name = event.child if event.child is not None else event.signal
        span = self._step(event.index, "waiting")._replace(
            kind=kind, started_at=event.at, until=event.until, name=None if name is None else column_text(name)
        )
        self._notes.waits[event.index] = span
        if event.child is not None:
            self._notes.children[event.child] = event.index
        return span

    def _asked(self, index: StepIndex) -> list[Span]:
        """The wait for people, with those who may decide now."""
        notes, approval = self._notes, self._run.state.approvals.get(index)
        if approval is None or index not in notes.waits:
            return []
        name = column_text(", ".join(approval.approvers)) or None
        notes.waits[index] = span = notes.waits[index]._replace(
            name=name, build=self._run.build, event=self._run.version
        )
        return [span]

    def _waited(self, index: StepIndex, status: str, code: str | None = None) -> list[Span]:
        """The wait of a step, if one is open, ended."""
        span = self._notes.waits.pop(index, None)
        if span is None:
            return []
        self._notes.children.pop(span.name or "", None)
        return [self._closed(span, status, code)]

    def _child(self, event: ChildEnded) -> list[Span]:
        index = self._notes.children.get(event.child)
        code = None if event.error_code is None else column_text(event.error_code)
        return [] if index is None else self._waited(index, column_text(event.status), code)

    def _rested(self) -> list[Span]:
        rests, self._notes.rests = self._notes.rests, []
        return [self._closed(each, "ended") for each in rests]

    def _given_up(self) -> list[Span]:
        """The steps that will have no outcome any more."""
        state, notes = self._run.state, self._notes
        told = [each for index in list(notes.waits) for each in self._waited(index, "cancelled")]
        if isinstance(state, SpecState):
            open_ = [step.index for step in state.plan.steps if state.outcomes[step.index] is None]
        else:
            open_ = list(notes.begun)
        for index in open_:
            begun = index in notes.begun
            step = self._step(index, "cancelled" if begun else "pending", ended=begun)
            told.append(step if begun else step._replace(status="cancelled"))
        notes.begun.clear()
        notes.tries.clear()
        return told


def _planned_step(state: RunState, index: StepIndex) -> tuple[str, str]:
    """The id and the skill of a spec's step."""
    if not isinstance(state, SpecState):
        raise TypeError(f"the state of a run is a spec's or a function's, not {type(state).__name__}")
    step = state.plan.steps[int(index)]
    return step.step_id, step.skill_id
