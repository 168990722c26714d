"""`refold state`: a run as it stood at some point of its past, and what would have come next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ...core.code_state import CodeState
from ...core.limits import Limits
from ...core.results import result_of
from ...core.runtime.clock import SystemClock
from ...core.runtime.functions.code_decider import CodeDecider
from ...core.runtime.registry import SkillRegistry
from ...projections.past import Next, PastRun, look_back, read_moment, timers, what_next
from ...projections.run_view import RunView
from .faults import OK
from .output import clock, console, excerpt, plain, stdout_for_json_only, write_json
from .reading import existing_store, read_skills
from .showing import draw, say

_MOST_NAMED = 20


def show_state(
    run_id: str, at: str | None, limit: int, modules: Sequence[str], tenant: str, database: str | None, json: bool
) -> int:
    """Draw the state, or write it as JSON; returns the exit code."""
    moment = read_moment(at, SystemClock().now())
    with stdout_for_json_only(json):
        skills = read_skills(modules)
        with existing_store(database) as store:
            past = look_back(store, run_id, tenant, moment)
        following = _next(past, skills)
        if json:
            write_json(past.to_json(following))
        else:
            _draw(past, following, limit)
    return OK


def _next(past: PastRun, skills: SkillRegistry) -> Next:
    """What would come next; a function whose code is here is driven through its history, without calling skills."""
    following, state = what_next(past), past.state
    known = skills.workflow(state.started.workflow_type) is not None
    if not isinstance(state, CodeState) or not known or state.end is not None:
        return following
    decider = CodeDecider(past.events, skills, Limits())
    try:
        for _ in decider.replay():
            pass
        if decider.fault is not None:
            return Next(runs=None, wake=following.wake, fault=decider.fault.message)
        decision = decider.decide(past.at, (), Limits())
        records = [(event.topic, getattr(event, "step_id", None)) for event in decision.events]
        held = state.paused or state.parked is not None
        asked = [] if held else [decider.call(path).step_id for path in decider.open_paths if path not in state.waits]
        return Next(records, asked, following.wake)
    finally:
        decider.close()


def _draw(past: PastRun, following: Next, limit: int) -> None:
    screen, state = console(), past.state
    result = result_of(state)
    say(screen, "as of", f"event {len(past.events)} of {past.known}, {clock(past.at)} UTC")
    draw(screen, RunView(state, past.events, result, result.status, False, None), limit)
    say(screen, "inputs", excerpt(state.started.inputs.data, 400))
    for name, bodies in sorted(state.signals.items()):
        for body in bodies:
            say(screen, "signal", f"{name}, which nothing has used yet: {excerpt(body.data, 200)}")
    for name, due in timers(state):
        say(screen, "timer", f"{name} at {clock(due)} UTC")
    if isinstance(state, CodeState) and state.patches:
        say(screen, "patches", ", ".join(sorted(state.patches)))
    if state.end is None:
        _draw_next(screen, past, following)


def _draw_next(screen: Console, past: PastRun, following: Next) -> None:
    for topic, step_id in following.records:
        say(screen, "next", f"{topic} {step_id or ''}".strip())
    if following.fault is not None:
        say(screen, "next", f"the code does not fit: {following.fault}", "red")
    elif following.runs is None:
        wait = " of what it waits for" if past.state.waits else ""
        say(screen, "next", f"the function goes on{wait}; what it asks for only its code tells: --skills MODULE")
    elif following.runs:
        more = len(following.runs) - _MOST_NAMED
        names = ", ".join(following.runs[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        say(screen, "next", f"runs {plain(names)}")
    elif not following.records:
        wake = "a message" if following.wake is None else f"{clock(following.wake)} UTC, or a message"
        say(screen, "next", f"nothing before {wake}")
