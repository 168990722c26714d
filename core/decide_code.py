"""What to do next in a function's run: its state, and what the function asks for, decide."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from .canonical import Payload
from .code_state import CodeState
from .decision import (
    NOTHING,
    Decision,
    Named,
    cancel,
    ended_waits,
    executions,
    hash_of_run,
    interrupted,
    run_failed,
    time_out,
)
from .events import AttributesSet, Event, PatchApplied, RunCompleted, RunContinued, RunParked, RunStarted
from .limits import Limits
from .step_events import StepIndex


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned `output`."""

    output: Payload


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised an error: that of the step `step_id`, or one of its own (None)."""

    step_id: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The function has cleaned up after it was told that the run is being cancelled."""


@dataclass(frozen=True, slots=True)
class Continued:
    """The function wants its work continued by a new run with these inputs."""

    inputs: Payload


Finish = Returned | Raised | Stopped | Continued
"""How a function ended."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a function cannot go on: it and the history disagree, or it did what no function may.

    `details` is a JSON object for programs.
    """

    code: str
    message: str
    details: Payload


class Asked(Protocol):
    """What a function that has been driven through its history asks for."""

    @property
    def fault(self) -> Fault | None:
        """Why it cannot go on."""
        ...

    @property
    def finish(self) -> Finish | None:
        """How it ended; None while it awaits something."""
        ...

    @property
    def marks(self) -> Sequence[AttributesSet | PatchApplied]:
        """What it noted since its last step, to be recorded."""
        ...

    @property
    def open_paths(self) -> Sequence[str]:
        """The calls it awaits, in the order of their paths."""
        ...

    def call(self, path: str) -> Named:
        """One of these calls."""
        ...

    def successor(self, at: int, inputs: Payload) -> RunStarted:
        """The first event of the run that continues this one."""
        ...


def decide_code(state: CodeState, asked: Asked, at: int, running: Collection[StepIndex], limits: Limits) -> Decision:
    """What follows at the time `at` while the calls of the paths `running` are being executed."""
    if state.end is not None:
        return NOTHING
    deadline = state.deadline
    if deadline is not None and at >= deadline:
        return Decision(events=(time_out(state, at),))
    if asked.fault is not None:
        return _stuck(state, asked.fault, at)
    if asked.marks:
        return Decision(events=asked.marks)
    if asked.finish is not None:
        return _end(state, asked, asked.finish, at)
    if state.paused or state.parked is not None:
        return Decision(wake=deadline)
    events: list[Event] = [
        interrupted(state, at, asked.call(path)) for path in state.in_order(state.announced) if path not in running
    ]
    if not events and state.waits:
        events.extend(ended_waits(state, at))
    if events:
        return Decision(events=events)
    return executions(state, at, asked.open_paths, running, limits.parallel_steps - len(running))


def _stuck(state: CodeState, fault: Fault, at: int) -> Decision:
    cancelling = state.cancelling
    if cancelling is not None:  # Nothing can clean up.
        return Decision(events=(cancel(state, at, cancelling.message, cancelling.reason),))
    if state.parked is not None:
        return Decision(wake=state.deadline)
    return Decision(events=(RunParked(at, fault.code, fault.message, fault.details),))


def _end(state: CodeState, asked: Asked, finish: Finish, at: int) -> Decision:
    if isinstance(finish, Returned):
        output = finish.output
        done = RunCompleted(at, output, output.sha256, hash_of_run(state, True, None), state.cost_cents)
        return Decision(events=(done,))
    if isinstance(finish, Continued):
        begun = asked.successor(at, finish.inputs)
        ended = RunContinued(at, begun.run_id, hash_of_run(state, True, None), state.cost_cents)
        return Decision(events=(ended,), begins=(begun,))
    if isinstance(finish, Raised):
        return Decision(events=(run_failed(state, at, finish.step_id, finish.code, finish.message),))
    cancelling = state.cancelling
    if cancelling is None:
        return Decision(events=(run_failed(state, at, None, "WORKFLOW_ERROR", "it raised CancelledError itself"),))
    return Decision(events=(cancel(state, at, cancelling.message, cancelling.reason),))
