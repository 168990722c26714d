"""Executing a recorded run again, beside the log, and comparing what comes out with what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import ReplayDivergenceError
from ..events import Event, RunCancelled, RunTimedOut, StepCompleted, StepFailed, StepWaiting
from ..ports import Ack, Head, Unit
from ..state import RunState, start
from .actor import RunActor, Services
from .registry import SkillRegistry

_NOT_REPRODUCED = {"STEP_TIMEOUT", "INTERRUPTED"}
"""Failures that come from outside the skill: recorded and replayed, not brought about again."""


class _NoJournal:
    """A journal that keeps nothing: every append succeeds."""

    def append(self, unit: Unit, done: Callable[[Ack], None]) -> None:
        """Acknowledge on the next turn of the loop."""
        asyncio.get_running_loop().call_soon(done, self._heads(unit))

    async def commit(self, unit: Unit) -> Sequence[Head]:
        """Acknowledge."""
        return self._heads(unit)

    def _heads(self, unit: Unit) -> list[Head]:
        return [Head(append.expected.version + len(append.events), None) for append in unit.appends]


async def replay(services: Services, events: Sequence[Event], recorded: RunState) -> RunState:
    """Run again what `events` record and return the recorded state if everything came out the same.

    Deterministic skills are executed; all else is served from the record. A run that was cut from outside cannot be
    compared and is returned as it is, as is one that has not ended. Raises ReplayDivergenceError, naming the first step
    that differs.
    """
    if recorded.end is None or isinstance(recorded.end, RunCancelled | RunTimedOut):
        return recorded
    quiet = replace(services, journal=_NoJournal(), observer=None, recorded=served(events, services.skills))
    state = start(events[0])
    state.deadline = None  # The record says that it was met; the clock has gone on since.
    actor = RunActor(quiet, "replay", state, Head(1, None))
    try:
        actor.begin()
        again = await actor.done
    finally:
        actor.abandon(asyncio.CancelledError())
    _compare(recorded, again)
    return recorded


def served(events: Sequence[Event], skills: SkillRegistry) -> dict[int, StepCompleted | StepFailed]:
    """The recorded outcomes that are served, by step index: of skills that are not deterministic or never to be run
    twice, of steps that waited or needed several attempts (something outside was at play), and of time-outs.
    """
    outcomes: dict[int, StepCompleted | StepFailed] = {}
    waited: set[int] = set()
    for event in events:
        if isinstance(event, StepWaiting):
            waited.add(event.index)
        elif isinstance(event, StepCompleted | StepFailed):
            skill = skills.get(event.skill_id)
            again = skill.deterministic and not skill.at_most_once
            outside = isinstance(event, StepFailed) and event.error_code in _NOT_REPRODUCED
            if not again or outside or event.attempt > 1 or event.index in waited:
                outcomes[event.index] = event
    return outcomes


def _compare(recorded: RunState, again: RunState) -> None:
    for index, (then, now) in enumerate(zip(recorded.step_hashes, again.step_hashes, strict=False)):
        if then != now:
            step = recorded.plan.steps[index]
            raise ReplayDivergenceError(
                f"step {step.step_id!r} (index {index}, skill {step.skill_id!r}) recorded "
                f"{_told(recorded, index)} and now gives {_told(again, index)}"
            )
    then_hash = recorded.end and recorded.end.workflow_hash
    now_hash = again.end and again.end.workflow_hash
    if then_hash != now_hash:
        raise ReplayDivergenceError(f"the run recorded workflow_hash {then_hash} and now gives {now_hash}")


def _told(state: RunState, index: int) -> str:
    outcome = state.outcomes[index]
    if outcome is None:
        return "no outcome"
    if outcome.output is None:
        return f"{outcome.status} {outcome.error_code or ''}".strip()
    text = outcome.output.data.decode()
    return f"{text if len(text) <= 200 else text[:197] + '...'} (hash {outcome.step_hash[:16]})"
