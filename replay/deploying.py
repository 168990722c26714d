"""Would the code that is here go on with the runs that are open? Each is tried; nothing is executed or written.

A function is driven through its run's history, as it will be when a worker takes the run up. Of a spec, which cannot
change under its runs, the skills are asked: is each known that is still to run, and do its parameters fit?
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..core.canonical import canonical_json
from ..core.code_state import CodeState
from ..core.errors import Failure, NondeterminismError, NotCanonicalError, RefoldError
from ..core.events import Event
from ..core.ids import JOBS, run_of
from ..core.limits import Limits
from ..core.plan import PlannedStep
from ..core.references import TextTooLongError, UnresolvedReferenceError
from ..core.run_state import RunState
from ..core.runtime.registry import SkillRegistry
from ..core.runtime.replay import replay_code
from ..core.runtime.skill import Skill
from ..core.spec_state import SpecState
from ..core.state import fold
from ..eventstore.log import EventLog
from ..eventstore.store import Store

Deployable = Literal["safe", "patch", "parked", "unknown"]
"""What becomes of an open run under the code that is here: it goes on; the code must be mended first; it rests already,
for it did not fit earlier code; or nobody can say, for its code is not here or its log cannot be read."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The verdict on one open run. `event` is the number of the first that the code does not fit, `step_id` its step,
    `place` file and line of the code that stands there, `fix` what to write; None where there is none."""

    run_id: str
    tenant: str
    workflow_type: str
    workflow_version: str
    verdict: Deployable
    reason: str = ""
    event: int | None = None
    step_id: str | None = None
    place: str | None = None
    fix: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object of the same names."""
        return asdict(self)


def open_streams(store: Store, tenant: str | None = None) -> list[str]:
    """The streams of the runs that are open, of one tenant or of all."""
    streams = sorted(row.stream for row in store.dispatch.rows() if row.queue != JOBS)
    return [stream for stream in streams if tenant is None or run_of(stream)[0] == tenant]


def check_open_runs(
    store: Store, streams: Sequence[str], skills: SkillRegistry, workflow_type: str | None = None
) -> Iterator[Deployment | None]:
    """The verdict on each run of `streams`; None for one that has ended meanwhile, or is of another type."""
    log = EventLog(store, "")
    for stream in streams:
        tenant, run_id = run_of(stream)
        try:
            events = log.events(stream)
            state = fold(events)
        except RefoldError as error:
            yield Deployment(run_id, tenant, "", "", "unknown", f"not verifiable: its log cannot be read: {error}")
            continue
        other = workflow_type is not None and state.started.workflow_type != workflow_type
        yield None if other or state.end is not None else check_run(events, state, skills)


def check_run(events: Sequence[Event], state: RunState, skills: SkillRegistry) -> Deployment:
    """The verdict on the open run of this history, which folds to `state`."""
    if isinstance(state, CodeState):
        found = _of_function(events, state, skills)
    elif isinstance(state, SpecState):
        found = _of_spec(state, skills)
    else:
        raise TypeError(type(state).__name__)
    if state.parked is None:
        return found
    fits = "the code here fits it: resume it" if found.verdict == "safe" else f"now: {found.reason}"
    return _verdict(
        state, "parked", f"[{state.parked.error_code}] {fits}", found.event, found.step_id, found.place, found.fix
    )


def _verdict(state: RunState, verdict: Deployable, *told: Any) -> Deployment:
    started = state.started
    return Deployment(started.run_id, started.tenant, started.workflow_type, started.workflow_version, verdict, *told)


def _of_function(events: Sequence[Event], state: CodeState, skills: SkillRegistry) -> Deployment:
    workflow = skills.workflow(state.started.workflow_type)
    if workflow is None:
        return _verdict(state, "unknown", f"not verifiable: no workflow {state.started.workflow_type!r} is here")
    try:
        asyncio.run(replay_code(events, state, skills, Limits()))
    except NondeterminismError as error:
        told = error.details
        if "skill_id" in told:
            return _verdict(state, "unknown", f"not verifiable: {error}")
        recorded: dict[str, Any] = told.get("recorded") or {}
        code = workflow.function.__code__
        place = told.get("place") or f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_firstlineno}"
        fix = _patch(recorded["skill_id"], told["path"]) if recorded else None
        return _verdict(state, "patch", str(error), told.get("event"), recorded.get("step_id"), place, fix)
    except RefoldError as error:
        return _verdict(state, "patch", str(error))
    return _verdict(state, "safe")


def _patch(skill_id: str, path: str) -> str:
    """What to write where the code changed, with a name that no other change is likely to have."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{skill_id}-{path}").strip("-")
    return f'if patched("{name}"): the new way, else: the way before'


def _of_spec(state: SpecState, skills: SkillRegistry) -> Deployment:
    # Also of steps that have ended: workers take up only what they know all skills of.
    missing = sorted({step.skill_id for step in state.plan.steps if skills.find(step.skill_id) is None})
    if missing:
        return _verdict(state, "unknown", f"not verifiable: no skill {', '.join(map(repr, missing))} is here")
    for step in _to_come(state):
        skill = skills.find(step.skill_id)
        fault = None if skill is None else _misfit(state, step, skill)
        if skill is not None and fault is not None:
            code = getattr(skill.function, "__code__", None)
            place = None if code is None else f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_firstlineno}"
            fix = f"keep the parameters of {step.skill_id!r} for these runs, and give what changed another name"
            return _verdict(state, "patch", fault, None, step.step_id, place, fix)
    return _verdict(state, "safe")


def _to_come(state: SpecState) -> Iterator[PlannedStep]:
    """The steps that may still be executed."""
    for step in state.plan.steps[: state.counted]:
        index = step.index
        gone = state.outcomes[index] is not None or index in state.doomed
        if not gone and index not in state.waits and index not in state.announced:
            yield step


def _misfit(state: SpecState, step: PlannedStep, skill: Skill[..., Any]) -> str | None:
    """Why the skill would refuse the inputs of the step, as far as they are known; None if it would not.

    Inputs that depend on what has not ended, or hold secrets, are known by their names only.
    """
    if all(state.outcomes[index] is not None for index in step.dependencies) and not step.inputs.secrets:
        try:
            skill.binder(canonical_json(step.inputs.resolve(state)), None)
        except Failure as error:
            return str(error)
        except (UnresolvedReferenceError, TextTooLongError, NotCanonicalError):
            return None  # It would fail with any code.
        return None
    given = set(next(each.inputs for each in state.plan.spec.steps if each.step_id == step.step_id))
    named = skill.parameters.named
    missing = [each.name for each in named if each.required and each.name not in given]
    unknown = sorted(given - {each.name for each in named}) if skill.parameters.rest is None else []
    if not missing and not unknown:
        return None
    told = [f"input {name!r} is missing" for name in missing] + [f"input {name!r} is unknown" for name in unknown]
    return f"skill {step.skill_id!r}: {'; '.join(told)}"
