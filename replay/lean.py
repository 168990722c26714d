"""A run of a spec in memory, in one thread and without an event loop: the engine's rules, and nothing around them.

The first event, `decide`, `evolve`, the skills' calls and all hashes are those of `refold.core.runtime.engine`; what is
left out is what brings a run no hash: the log, leases, timers, tasks. Only for plans of inline skills, which take no
other way in the engine either.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.decide import decide
from ..core.decision import Execute
from ..core.errors import CallError, IntegrityError, Problem
from ..core.events import RunStarted, StepStarted
from ..core.limits import Limits
from ..core.plan import Plan
from ..core.runtime.attempt import Call, Result, call_inline, prepare
from ..core.runtime.outcomes import outcome_event
from ..core.runtime.registry import SkillRegistry
from ..core.spec_state import SpecState
from ..core.state import evolve, start


def check_inline(plan: Plan, skills: SkillRegistry) -> None:
    """Raises CallError for a plan with skills that do not run at once on the caller's thread."""
    for step in plan.steps:
        skill = skills.find(step.skill_id)
        if skill is None or not skill.inline:
            raise CallError(Problem("", f"the skill {step.skill_id!r} is not inline", "run it with an engine"))


def run_lean(started: RunStarted, skills: SkillRegistry, limits: Limits) -> SpecState:
    """Run what `started` begins to its end; its time is the log's, so pauses between attempts take none.

    Raises IntegrityError for a run of a function, and for one that waits for what nobody will send.
    """
    state = start(started)
    if not isinstance(state, SpecState):
        raise IntegrityError("only runs of specs can be driven without their code")
    at = started.at
    while state.end is None:
        decision = decide(state, at, (), limits)
        if decision.events:
            for event in decision.events:
                evolve(state, event)
        elif decision.execute:
            _execute(state, decision.execute, at, skills, limits)
        elif decision.wake is not None:
            at = max(at, decision.wake)
        else:
            raise IntegrityError("the run waits for what nobody will send")
    return state


def _execute(state: SpecState, wanted: Sequence[Execute], at: int, skills: SkillRegistry, limits: Limits) -> None:
    """Call what was decided, all on the state as it was then, and take the outcomes in as the run actor does."""
    results: list[Result] = []
    for each in wanted:
        step = state.plan.steps[int(each.index)]
        skill = skills.find(step.skill_id)
        if skill is not None and skill.at_most_once:
            evolve(state, StepStarted(at, step.index, step.step_id, step.skill_id, each.attempt))
        call = prepare(state, step.index, each.attempt, skills, limits)
        results.append(call_inline(call, limits) if isinstance(call, Call) else call)
    for result in results:
        index = int(result.index)
        if state.abort_at is None or index <= state.abort_at:
            evolve(state, outcome_event(state, state.plan.steps[index], result, at))
