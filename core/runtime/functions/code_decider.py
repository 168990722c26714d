"""A workflow function driven by its history, as a decider."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...canonical import Payload
from ...code_state import CodeState
from ...decide_code import Fault, Finish, decide_code
from ...decision import Decision
from ...errors import CallError, DataErasedError, IntegrityError, Problem, RefoldError
from ...events import (
    AttributesSet,
    Event,
    PatchApplied,
    RunCancelling,
    RunEnd,
    RunStarted,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepReused,
    StepStarted,
    StepWaiting,
)
from ...ids import successor_of
from ...limits import Limits
from ...seeds import derive
from ...spec_state import SpecState
from ...state import evolve, fold, start
from ...step_events import StepIndex
from ..attempt import Call, Result
from ..decider import Decider, SpecDecider
from ..registry import SkillRegistry
from ..skill import Skill
from .mismatch import mismatch
from .open_call import OpenCall
from .prepare_call import prepare_call
from .program import Program

_CALLS = StepStarted | StepProgressed | StepAttemptFailed | StepWaiting | StepCompleted | StepFailed | StepReused
_OUTCOMES = StepCompleted | StepFailed | StepReused
_MARKS = AttributesSet | PatchApplied
"""They come with an outcome and its time; those that a fork took over have the time of the fork."""
_OF_CODE = _CALLS | _MARKS | RunEnd


class CodeDecider:
    """Runs a workflow function as far as its history goes, and then event by event. Fulfils `Decider` and `Asked`.

    Where function and history disagree it stops, says so in `fault`, and goes on folding the history without it.
    """

    def __init__(self, events: Sequence[Event], skills: SkillRegistry, limits: Limits):
        """Begins with the first of `events`, the run's history so far; `replay` goes through the rest."""
        state = start(events[0])
        if not isinstance(state, CodeState):
            raise IntegrityError("the run is a spec's")
        self.state = state
        self.fault: Fault | None = None
        self._events = events
        self._limits = limits
        self._version = 1
        # Messages are taken also for runs that no code works on; all else says that code was there.
        self._known = max((number for number, event in enumerate(events, 1) if isinstance(event, _OF_CODE)), default=0)
        patches = {event.patch for event in events if isinstance(event, PatchApplied)}
        self._program = self._loaded(state.started, skills, patches)
        if self._program is not None:
            self._program.replaying = self._known > 1
            self._guarded(self._program.begin)

    def replay(self) -> Iterator[Event]:
        """Go through the history: each event is yielded before it is applied."""
        program, last = self._program, self._known
        for number, event in enumerate(self._events[1:], 2):
            yield event
            if program is not None:
                program.replaying = number < last
                if isinstance(event, _OUTCOMES):
                    # What older code did not note is not noted for it; its own notes came with its steps.
                    program.marks.clear()
            self.apply(event)

    def _loaded(self, started: RunStarted, skills: SkillRegistry, patches: set[str]) -> Program | None:
        workflow = skills.workflow(started.workflow_type)
        if workflow is None:
            message = f"no workflow {started.workflow_type!r} is registered here; load the module that has it, resume"
            self.fault = Fault("WORKFLOW_UNKNOWN", message, Payload.of({"workflow_type": started.workflow_type}))
            return None
        return Program(workflow, started, skills, patches, self._limits)

    # Of Decider.

    def apply(self, event: Event) -> None:
        """See `Decider.apply`."""
        evolve(self.state, event)
        self._version += 1
        program = self._program
        if program is None or self.fault is not None or self.state.end is not None:
            return
        if not isinstance(event, _MARKS):
            program.now = max(program.now, event.ended_at if isinstance(event, StepReused) else event.at)
        if isinstance(event, _CALLS):
            self._observe(program, event)
        elif isinstance(event, RunCancelling):
            self._guarded(program.stop)
        elif isinstance(event, _MARKS):
            _unmark(program, event)

    def decide(self, at: int, running: Collection[StepIndex], limits: Limits) -> Decision:
        """See `Decider.decide`."""
        return decide_code(self.state, self, at, running, limits)

    def step(self, index: StepIndex) -> OpenCall:
        """See `Decider.step`."""
        return self.call(str(index))

    def skill(self, index: StepIndex) -> Skill[..., Any] | None:
        """See `Decider.skill`."""
        return self.call(str(index)).skill

    def prepare(self, index: StepIndex, attempt: int, limits: Limits) -> Call | Result:
        """See `Decider.prepare`."""
        return prepare_call(self.state, self.call(str(index)), attempt, limits)

    def abandoned(self, running: Iterable[StepIndex]) -> Sequence[StepIndex]:
        """See `Decider.abandoned`: those that the function no longer awaits."""
        known = self._program.open if self._program is not None and self.fault is None else {}
        return [index for index in running if index not in known]

    def close(self) -> None:
        """See `Decider.close`."""
        if self._program is not None:
            self._program.close()

    # Of Asked.

    @property
    def finish(self) -> Finish | None:
        """See `Asked.finish`."""
        return None if self._program is None else self._program.finish

    @property
    def marks(self) -> Sequence[AttributesSet | PatchApplied]:
        """See `Asked.marks`."""
        return () if self._program is None else tuple(self._program.marks)

    @property
    def open_paths(self) -> Sequence[str]:
        """See `Asked.open_paths`."""
        return () if self._program is None else self._program.order

    def call(self, path: str) -> OpenCall:
        """See `Asked.call`."""
        if self._program is None:
            raise KeyError(path)
        return self._program.open[path]

    def successor(self, at: int, inputs: Payload) -> RunStarted:
        """See `Asked.successor`."""
        started = self.state.started
        run_id = successor_of(started.run_id, continued=started.continues is not None)
        seed = derive(f"{started.seed}:continued")
        return replace(
            started,
            at=at,
            run_id=run_id,
            inputs=inputs,
            seed=seed,
            continues=started.run_id,
            forked=None,
            trace=None,  # A trace that goes on for ever helps nobody.
        )

    def query(self, name: str, arguments: Mapping[str, Any]) -> Payload:
        """What the function answers to a query as it stands. Raises CallError."""
        if self._program is None or self.fault is not None:
            reason = "the code and the run's history disagree" if self.fault is None else self.fault.message
            raise CallError(Problem("", reason, "mend the code, resume the run"))
        return self._program.query(name, arguments)

    def _observe(self, program: Program, event: _CALLS) -> None:
        asked = program.open.get(str(event.index))
        # Listed only where it is shown: this is done for every event, and a gather may be wide.
        others = [program.open[path] for path in program.order] if asked is None else []
        fault = mismatch(self._version, event, asked, others, program.finish)
        if fault is not None:
            self.fault = fault
            program.close()
        elif isinstance(event, _OUTCOMES):
            outcome = event.outcome() if isinstance(event, StepReused) else event
            self._guarded(lambda: program.settle(outcome))

    def _guarded(self, drive: Callable[[], None]) -> None:
        program = self._program
        if program is None:
            return
        try:
            drive()
        except RefoldError as error:  # the recorded inputs do not fit the function any more
            code = error.code if isinstance(error, DataErasedError) else "NONDETERMINISM"
            self.fault = Fault(code, str(error), Payload.of({"code": error.code}))
            return
        if program.fault is not None:
            self.fault = program.fault


def decider_of(events: Sequence[Event], skills: SkillRegistry, limits: Limits) -> Decider:
    """What drives the run with this history: its plan, or its function. Raises IntegrityError for no history."""
    first = events[0] if events else None
    if isinstance(first, RunStarted) and first.spec is None:
        decider = CodeDecider(events, skills, limits)
        try:
            for _ in decider.replay():
                pass
        except BaseException:
            decider.close()
            raise
        return decider
    state = fold(events)
    if not isinstance(state, SpecState):
        raise IntegrityError("the run is neither a spec's nor a function's")
    return SpecDecider(state, skills)


def _unmark(program: Program, event: AttributesSet | PatchApplied) -> None:
    """Note that a mark of the function is recorded. One that today's function does not make is let be."""
    for place, mark in enumerate(program.marks):
        if mark == replace(event, at=mark.at):
            del program.marks[place]
            return
