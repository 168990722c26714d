"""Executing a recorded run again, beside the log, and comparing what comes out with what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..canonical import Payload
from ..code_state import CodeState
from ..decision import was_judged
from ..errors import DataErasedError, IntegrityError, NondeterminismError, ReplayDivergenceError
from ..events import (
    Event,
    RunCancelled,
    RunEnd,
    RunTimedOut,
    StepCompleted,
    StepFailed,
    StepReused,
    StepWaiting,
)
from ..failures import REJECTIONS
from ..limits import Limits
from ..ports import Ack, Head, Timer, Unit
from ..run_state import RunState
from ..sensitive import is_sensitive
from ..spec_state import SpecState
from ..step_events import StepIndex
from .actor import RunActor
from .admission import check_served
from .attempt import Attempt, Call, Result, call_inline
from .clock import SystemClock
from .decider import SpecDecider
from .diverged import Came, step_diverged
from .functions.code_decider import CodeDecider
from .outcomes import outcome_event
from .registry import SkillRegistry
from .services import Services
from .skill import Skill
from .threads import ThreadPool

_NOT_REPRODUCED = {"STEP_TIMEOUT", "INTERRUPTED", *REJECTIONS}
"""Failures that come from outside the skill: recorded and replayed, not brought about again."""


class NoJournal:
    """A journal that keeps nothing: every append succeeds."""

    def append(self, unit: Unit, done: Callable[[Ack], None]) -> None:
        """Acknowledge on the next turn of the loop."""
        asyncio.get_running_loop().call_soon(done, self._heads(unit))

    async def commit(self, unit: Unit) -> Sequence[Head]:
        """Acknowledge."""
        return self._heads(unit)

    def _heads(self, unit: Unit) -> list[Head]:
        return [Head(append.expected.version + len(append.events), None) for append in unit.appends]


class _HastyTime:
    """Time that passes when somebody waits for it: a pause between attempts is no part of what is compared."""

    def __init__(self, at: int):
        self._at = at

    def now(self) -> int:
        """See `Clock.now`."""
        return self._at

    def after(self, microseconds: int, callback: Callable[[], object]) -> Timer:
        """See `Timers.after`: on the next turn of the loop, and as late as was asked for."""

        def call() -> None:
            self._at += max(0, microseconds)
            callback()

        return asyncio.get_running_loop().call_soon(call)


class Replayed(NamedTuple):
    """A run that came out the same: how it was recorded, and how many outcomes were executed again and how many served
        from the log. One that cannot be compared has neither. `sealed` of those served were
    called with secrets or sensitive data."""

    state: RunState
    executed: int
    served: int
    sealed: int = 0


def quiet_services(skills: SkillRegistry, limits: Limits) -> Services:
    """What `replay` needs where there is no engine."""
    return Services(NoJournal(), skills, SystemClock(), limits, ThreadPool(), 1.0)


async def replay(services: Services, events: Sequence[Event], recorded: RunState) -> Replayed:
    """Run again what `events` record.

    Deterministic skills are executed; all else is served from the record. A run that was cut from outside cannot be
    compared and is returned as it is, as is one that has not ended; but a function must fit what its run has recorded
    so far. Raises ReplayDivergenceError, naming the first step that differs.
    """
    if recorded.end is None and isinstance(recorded, CodeState):
        await replay_code(events, recorded, services.skills, services.limits)
    if recorded.end is None or was_judged(recorded) or isinstance(recorded.end, RunCancelled | RunTimedOut):
        return Replayed(recorded, 0, 0)
    if isinstance(recorded, CodeState):
        return await replay_code(events, recorded, services.skills, services.limits, services)
    if not isinstance(recorded, SpecState):
        raise IntegrityError("the run is neither a spec's nor a function's")
    sealed = sealed_steps(recorded, services.skills)
    from_log = served(events, services.skills, sealed)
    time = _HastyTime(events[0].at)
    quiet = replace(
        services,
        journal=NoJournal(),
        clock=time,
        timers=time,
        tracer=None,
        observer=None,
        family=None,
        recorded=from_log,
        gate=None,
        emergency=None,
    )
    state = await _run_again(quiet, recorded)
    index = _first_difference(recorded, state)
    if index is not None:
        # Once more: what comes out otherwise each time is another fault than what has changed for good.
        raise _diverged(events, recorded, index, state, await _run_again(quiet, recorded), services.skills)
    _compare_ends(recorded, state)
    outcomes = sum(isinstance(event, StepCompleted | StepFailed | StepReused) for event in events)
    return Replayed(recorded, outcomes - len(from_log), len(from_log), len(sealed.intersection(from_log)))


def sealed_steps(recorded: SpecState, skills: SkillRegistry) -> set[StepIndex]:
    """The steps that work with secrets or sensitive data: who proves a run need not have them."""
    found: set[StepIndex] = set()
    for step in recorded.plan.steps:
        skill = skills.find(step.skill_id)
        if step.inputs.secrets or is_sensitive(recorded, step, skill is not None and skill.sensitive):
            found.add(step.index)
    return found


def served(
    events: Sequence[Event], skills: SkillRegistry, sealed: Collection[StepIndex]
) -> dict[StepIndex, StepCompleted | StepFailed]:
    """The recorded outcomes that are served, by step index: those of `sealed` steps, and see `is_served`. The others
    are executed again."""
    waited = {event.index for event in events if isinstance(event, StepWaiting)}
    # What a fork took over is proved by its parent, or was given; it was not executed here, and is not now.
    reused = {event.index: event.outcome() for event in events if isinstance(event, StepReused)}
    return reused | {
        event.index: event
        for event in events
        if isinstance(event, StepCompleted | StepFailed)
        and (event.index in sealed or is_served(event, skills.get(event.skill_id), waited))
    }


def is_served(event: StepCompleted | StepFailed, skill: Skill[..., Any], waited: Collection[StepIndex]) -> bool:
    """Whether an outcome is served from the log: of skills that are not deterministic or never to be run twice, of
    steps that waited or needed several attempts (something outside was at play), and of time-outs."""
    again = skill.deterministic and not skill.at_most_once
    outside = isinstance(event, StepFailed) and event.error_code in _NOT_REPRODUCED
    return not again or outside or event.attempt > 1 or event.index in waited


async def replay_code(
    events: Sequence[Event],
    recorded: CodeState,
    skills: SkillRegistry,
    limits: Limits,
    services: Services | None = None,
) -> Replayed:
    """The same for a function: it is driven through its history, and must ask for what is recorded, and end so.

    Without `services` no skill is called. Raises NondeterminismError, for a skill's outcome ReplayDivergenceError.
    """
    check_served(recorded, skills)
    decider = CodeDecider(events, skills, limits)
    waited = {event.index for event in events if isinstance(event, StepWaiting)}
    executed = from_log = sealed = 0
    try:
        for number, event in enumerate(decider.replay(), 2):
            _check_fault(decider)
            if isinstance(event, RunEnd) and not isinstance(event, RunCancelled | RunTimedOut):
                _check_end(decider, event)
            elif isinstance(event, StepReused):
                from_log += 1
            elif isinstance(event, StepCompleted | StepFailed) and str(event.index) in decider.open_paths:
                asked = decider.call(str(event.index))
                closed = bool(asked.marks) or asked.sensitive
                sealed += closed
                if services is None or closed or is_served(event, asked.skill, waited):
                    from_log += 1
                else:
                    executed += 1
                    await _execute_again(services, decider, event, number)
        _check_fault(decider)
    finally:
        decider.close()
    return Replayed(recorded, executed, from_log, sealed)


def _check_fault(decider: CodeDecider) -> None:
    if decider.fault is not None and decider.fault.code == DataErasedError.code:
        raise DataErasedError(decider.fault.message)
    if decider.fault is not None:
        raise NondeterminismError(decider.fault.message, decider.fault.details.value)


async def _execute_again(
    services: Services, decider: CodeDecider, event: StepCompleted | StepFailed, number: int
) -> None:
    async def again() -> Came:
        call = decider.prepare(event.index, event.attempt, services.limits)
        result = await executed(call, services) if isinstance(call, Call) else call
        made: Any = outcome_event(decider.state, decider.step(event.index), result, event.at)
        return Came(getattr(made, "output", None), getattr(made, "error_code", None), getattr(made, "step_hash", None))

    now = await again()
    if now.step_hash != event.step_hash:
        skill = decider.skill(event.index)
        raise step_diverged(number, event, skill, now, await again())


async def executed(call: Call, services: Services) -> Result:
    """Run a call to its end, beside the event loop unless its skill is inline."""
    if call.skill.inline:
        return call_inline(call, services.limits)
    ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    attempt = Attempt(call, None, services.limits, services.pool, ended.set_result, _unheard)
    try:
        return await ended
    finally:
        attempt.cancel()


def _unheard(index: StepIndex, attempt: int, details: Payload) -> None:
    """Nobody asks how far a step is that is only executed to be compared."""


def _check_end(decider: CodeDecider, end: RunEnd) -> None:
    decision = decider.decide(end.at, (), Limits())
    again = decision.events[0] if decision.events else None
    for name in ("topic", "output_hash", "error_code", "workflow_hash"):
        then, now = getattr(end, name, None), getattr(again, name, None)
        if then != now:
            message = f"the run recorded {name} {then} and now gives {now}"
            raise NondeterminismError(message, {"name": name, "recorded": then, "requested": now})


async def _run_again(quiet: Services, recorded: SpecState) -> SpecState:
    state = SpecState(recorded.started, recorded.plan)
    state.deadline = None  # The record says that it was met; the clock has gone on since.
    actor = RunActor(quiet, "replay", SpecDecider(state, quiet.skills, enforced=False), Head(1, None))
    try:
        actor.begin()
        await actor.done
    finally:
        actor.abandon(asyncio.CancelledError())
    return state


def _first_difference(recorded: SpecState, again: SpecState) -> int | None:
    """The lowest index whose step came out otherwise."""
    pairs = enumerate(zip(recorded.step_hashes, again.step_hashes, strict=False))
    return next((index for index, (then, now) in pairs if then != now), None)


def _diverged(
    events: Sequence[Event],
    recorded: SpecState,
    index: int,
    now: SpecState,
    again: SpecState,
    skills: SkillRegistry,
) -> ReplayDivergenceError:
    step = recorded.plan.steps[index]
    ended = (StepCompleted, StepFailed)
    found = ((n, each) for n, each in enumerate(events, 1) if isinstance(each, ended) and each.index == index)
    number, event = next(found, (0, None))
    if event is None:
        message = f"step {step.step_id!r} (index {index}, skill {step.skill_id!r}) was not run, and now is"
        return ReplayDivergenceError(message, {"step_id": step.step_id, "kind": "DETERMINISM_VIOLATION"})
    return step_diverged(number, event, skills.find(step.skill_id), _came(now, index), _came(again, index))


def _came(state: SpecState, index: int) -> Came:
    outcome = state.outcomes[index]
    return Came(None, None, None) if outcome is None else Came(outcome.output, outcome.error_code, outcome.step_hash)


def _compare_ends(recorded: SpecState, again: SpecState) -> None:
    then = recorded.end and recorded.end.workflow_hash
    now = again.end and again.end.workflow_hash
    if then != now:
        details = {"recorded_hash": then, "now_hash": now, "kind": "DETERMINISM_VIOLATION"}
        raise ReplayDivergenceError(f"the run recorded workflow_hash {then} and now gives {now}", details)
