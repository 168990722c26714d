"""What may start: a call is checked in full, and becomes a run's first event, before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import uuid_utils

from ..canonical import Payload
from ..errors import CallError, NotCanonicalError, Problem, RunConflictError, SpecError
from ..events import SEMANTICS, RunStarted
from ..ids import check_run_id, check_seed, check_tenant
from ..limits import Limits
from ..plan import Plan, merge_inputs, plan_of
from ..spec import WorkflowSpec, check_skills
from .registry import SkillRegistry

MAX_LABEL = 200
"""Characters of an agent's id."""

DEFAULT_QUEUE = "default"
"""Where runs are worked on when nothing else is said."""

MAX_PRIORITY = 1_000_000
"""The highest priority, and negated the lowest; 0 is the usual one."""

_QUEUE = re.compile(r"[A-Za-z0-9._:@~-]{1,100}")

MAX_REASON = 2_000
"""Characters of the reason given with a message."""


def first_event(
    spec: WorkflowSpec | Mapping[str, Any],
    run_id: str | None,
    seed: int,
    inputs: Mapping[str, Any] | None,
    agent_id: str | None,
    tenant: str,
    *,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    skills: SkillRegistry | None,
    limits: Limits,
    at: int,
) -> RunStarted:
    """The event with which the run would start. Raises SpecError or CallError, naming all that is wrong.

    Without `skills` it is not asked whether they are known: workers may know them.
    """
    parsed = spec if isinstance(spec, WorkflowSpec) else WorkflowSpec.parse(spec)
    plan = plan_of(parsed.canonical)
    if skills is not None:
        check_known(plan, skills)
    return RunStarted(
        at=at,
        run_id=str(uuid_utils.uuid7()) if run_id is None else check_run_id(run_id),
        tenant=check_tenant(tenant),
        workflow_type=parsed.workflow_type,
        workflow_version=parsed.version,
        spec=Payload.from_canonical(parsed.canonical),
        inputs=_checked_inputs(plan, inputs, limits),
        seed=check_seed(seed),
        agent_id=None if agent_id is None else check_text("agent_id", agent_id, MAX_LABEL),
        semantics=SEMANTICS,
        queue=check_queue(queue),
        priority=_checked_priority(priority),
    )


def check_queue(queue: object) -> str:
    """Raises CallError for what cannot be the name of a queue."""
    if not isinstance(queue, str) or not _QUEUE.fullmatch(queue):
        raise CallError(Problem("", "a queue is 1 to 100 letters, digits and . _ : @ ~ -", "name another one"))
    return queue


def _checked_priority(priority: object) -> int:
    if type(priority) is not int or abs(priority) > MAX_PRIORITY:
        raise CallError(Problem("", f"the priority is a whole number, -{MAX_PRIORITY} to {MAX_PRIORITY}", "choose one"))
    return priority


def check_known(plan: Plan, skills: SkillRegistry) -> None:
    """Raises SpecError for skills of the plan that are not registered."""
    problems = check_skills(plan.spec, skills.names())
    if problems:
        raise SpecError(problems)


def check_same(given: RunStarted, recorded: RunStarted) -> None:
    """Raises RunConflictError unless both would be the same run."""
    pairs = (
        ("spec", given.spec, recorded.spec),
        ("inputs", given.inputs, recorded.inputs),
        ("seed", given.seed, recorded.seed),
    )
    differing = [name for name, one, other in pairs if one != other]
    if differing:
        raise RunConflictError(
            f"run {given.run_id!r} exists with another {' and another '.join(differing)}; choose another run id"
        )


def check_text(what: str, text: object, longest: int) -> str:
    """Raises CallError for what is no text that can be stored, or is too long."""
    if not isinstance(text, str) or len(text) > longest:
        raise CallError(Problem("", f"{what} must be text of at most {longest} characters", "shorten it"))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CallError(Problem("", f"{what} holds half a character (a lone surrogate)", "send whole ones")) from None
    return text


def _checked_inputs(plan: Plan, inputs: Mapping[str, Any] | None, limits: Limits) -> Payload:
    try:
        payload = Payload.of(merge_inputs(plan, inputs))
    except NotCanonicalError as error:
        raise CallError([p._replace(pointer=f"/inputs{p.pointer}") for p in error.problems]) from error
    if len(payload) > limits.payload_bytes:
        reason = f"the inputs take {len(payload)} bytes, more than {limits.payload_bytes}"
        raise CallError(Problem("/inputs", reason, "store the data elsewhere and pass where it is"))
    return payload
