"""What may start: a call is checked in full, and becomes a run's first event, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import uuid_utils

from ..canonical import Payload
from ..errors import CallError, Problem, RunConflictError, SpecError, WorkflowNotFoundError
from ..events import ORIGINS, SEMANTICS, RunStarted
from ..ids import check_queue, check_run_id, check_seed, check_tenant
from ..limits import Limits
from ..plan import Plan, merge_inputs, plan_of
from ..policy.document import Policy
from ..run_state import RunState
from ..sensitive import hide_members
from ..spec import WorkflowSpec, check_skills
from ..spec_problems import kind_of
from ..spec_state import SpecState
from .functions.workflow import Workflow
from .payloads import inputs_payload
from .registry import SkillRegistry

MAX_LABEL = 200
"""Characters of an agent's id."""

DEFAULT_QUEUE = "default"
"""Where runs are worked on when nothing else is said."""

MAX_PRIORITY = 1_000_000
"""The highest priority, and negated the lowest; 0 is the usual one."""

MAX_REASON = 2_000
"""Characters of the reason given with a message."""


@dataclass(frozen=True, slots=True)
class Named:
    """A workflow function that only workers know; version "": any."""

    workflow_type: str
    version: str = ""


Target = WorkflowSpec | Workflow[..., Any] | Named
"""What can be run."""


def first_event(
    target: Target | Mapping[str, Any],
    run_id: str | None,
    seed: int,
    inputs: Mapping[str, Any] | None,
    agent_id: str | None,
    tenant: str,
    *,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    source: str = "",
    policy: Policy | Mapping[str, Any] | None = None,
    skills: SkillRegistry | None,
    limits: Limits,
    at: int,
) -> RunStarted:
    """The event with which the run would start. Raises SpecError or CallError, naming all that is wrong.

    Without `skills` it is not asked whether they are known: workers may know them.
    """
    wanted = _wanted(target, inputs, skills, limits)
    return RunStarted(
        at=at,
        run_id=str(uuid_utils.uuid7()) if run_id is None else check_run_id(run_id),
        tenant=check_tenant(tenant),
        workflow_type=wanted.workflow_type,
        workflow_version=wanted.version,
        spec=wanted.spec,
        source=wanted.source,
        timeout_seconds=wanted.timeout_seconds,
        inputs=wanted.inputs,
        seed=check_seed(seed),
        agent_id=None if agent_id is None else check_text("agent_id", agent_id, MAX_LABEL),
        semantics=SEMANTICS,
        queue=check_queue(queue),
        priority=_checked_priority(priority),
        parent=None,
        awaited=None,
        continues=None,
        origin=_checked_source(source),
        policy=_checked_policy(policy),
    )


def _checked_source(source: object) -> str:
    if source not in ORIGINS:
        fix = "leave it out, or give 'planner' for the plan of an untrusted planner"
        raise CallError(Problem("", f"there is no source {str(source)[:100]!r}", fix))
    return str(source)


def _checked_policy(policy: Policy | Mapping[str, Any] | None) -> Payload | None:
    if policy is None:
        return None
    return Payload.from_canonical((policy if isinstance(policy, Policy) else Policy.parse(policy)).canonical)


class _Wanted(NamedTuple):
    """What a target says of the runs it leads to."""

    workflow_type: str
    version: str
    inputs: Payload
    spec: Payload | None = None
    source: str | None = None
    timeout_seconds: float | None = None


def _wanted(
    target: Target | Mapping[str, Any],
    inputs: Mapping[str, Any] | None,
    skills: SkillRegistry | None,
    limits: Limits,
) -> _Wanted:
    if isinstance(target, Workflow):
        if skills is not None and skills.workflow(target.workflow_type) is not target:
            raise _unknown(target.workflow_type)
        payload = target.checked_inputs(_object(inputs), limits)
        if target.sensitive:
            payload = hide_members(payload, payload.value.keys())
        return _Wanted(target.workflow_type, target.version, payload, None, target.source, target.timeout_seconds)
    if isinstance(target, Named):
        if skills is not None:
            raise _unknown(target.workflow_type)
        return _Wanted(target.workflow_type, target.version, inputs_payload(_object(inputs), limits.payload_bytes))
    spec = WorkflowSpec.parse(target)
    plan = plan_of(spec.canonical)
    if skills is not None:
        check_known(plan, skills)
    merged = inputs_payload(merge_inputs(plan, inputs), limits.payload_bytes)
    if spec.sensitive_inputs:
        merged = hide_members(merged, spec.sensitive_inputs)
    return _Wanted(spec.workflow_type, spec.version, merged, Payload.from_canonical(spec.canonical))


def _object(inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    # Callers are users: the type is a promise, not a fact.
    if not isinstance(cast("object", inputs), Mapping | None):
        raise CallError(Problem("", f"inputs must be an object, not {kind_of(inputs)}", "give names with values"))
    return dict(inputs or {})


def _checked_priority(priority: object) -> int:
    if type(priority) is not int or abs(priority) > MAX_PRIORITY:
        raise CallError(Problem("", f"the priority is a whole number, -{MAX_PRIORITY} to {MAX_PRIORITY}", "choose one"))
    return priority


def check_known(plan: Plan, skills: SkillRegistry) -> None:
    """Raises SpecError for skills of the plan that are not registered."""
    problems = check_skills(plan.spec, skills.names())
    if problems:
        raise SpecError(problems)


def check_served(state: RunState, skills: SkillRegistry) -> None:
    """Raises SpecError or CallError when the run needs skills or a workflow function that are not registered."""
    if isinstance(state, SpecState):
        check_known(state.plan, skills)
    elif skills.workflow(state.started.workflow_type) is None:
        raise _unknown(state.started.workflow_type)


def _unknown(workflow_type: str) -> WorkflowNotFoundError:
    reason = f"this workflow {workflow_type!r} is not registered here"
    return WorkflowNotFoundError(Problem("", reason, "load the module that has it, or call SkillRegistry.add_workflow"))


def check_same(given: RunStarted, recorded: RunStarted) -> None:
    """Raises RunConflictError unless both would be the same run."""
    pairs = (
        ("workflow", given.workflow_type, recorded.workflow_type),
        ("spec", given.spec, recorded.spec),
        ("inputs", *_comparable(given.inputs, recorded.inputs)),
        ("seed", given.seed, recorded.seed),
        ("parent", given.forked, recorded.forked),
    )
    differing = [name for name, one, other in pairs if one != other]
    if differing:
        raise RunConflictError(
            f"run {given.run_id!r} exists with another {' and another '.join(differing)}; choose another run id"
        )


def _comparable(given: Payload, recorded: Payload) -> tuple[Payload, Payload]:
    """Both as they are where that can be told, else by what is recorded of them."""
    one, other = given.hidden, recorded.hidden
    if one is None or other is None or one.plain is None or other.plain is None:
        return given, recorded
    return given.revealed(), recorded.revealed()


def check_text(what: str, text: object, longest: int) -> str:
    """Raises CallError for what is no text that can be stored, or is too long."""
    if not isinstance(text, str) or len(text) > longest:
        raise CallError(Problem("", f"{what} must be text of at most {longest} characters", "shorten it"))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CallError(Problem("", f"{what} holds half a character (a lone surrogate)", "send whole ones")) from None
    return text
