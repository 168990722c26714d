"""Starting runs: what a request asks for is checked in full, on a thread, before the engine hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import Field

from ..core.catalog import parse_name
from ..core.errors import CallError, InvalidError, Problem, SpecError
from ..core.events import RunStarted
from ..core.ids import check_queue, check_run_id, check_seed, stream_of
from ..core.limits import Limits
from ..core.policy.document import Policy
from ..core.results import WorkflowResult
from ..core.runtime.admission import DEFAULT_QUEUE, Target, first_event
from ..core.spec import WorkflowSpec
from ..core.spec_problems import first_in_order
from .bodies import Body
from .callers import Caller
from .idempotency import claim, idempotency_key, run_id_of
from .names import Name, Queue, RunId, Seed
from .ports import Ports
from .tracing import trace_of


class StartBody(Body):
    """A run to be started: either `spec`, or the name of a registered `workflow` with its `version` (else the latest).

    The plan of an untrusted planner (`source`) must pass the sandbox; `policy` holds for this run besides the worker's.
    Without `run_id` one is made: from the Idempotency-Key header, if there is one. `inputs` are laid over the spec's.
    """

    spec: dict[str, Any] | None = None
    workflow: Name | None = None
    version: Name | None = None
    run_id: RunId | None = None
    inputs: dict[str, Any] | None = None
    seed: Seed = 0
    queue: Queue = DEFAULT_QUEUE
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    agent_id: Annotated[str, Field(max_length=200)] | None = None
    source: Literal["", "planner"] = ""
    policy: dict[str, Any] | None = None


async def start(ports: Ports, caller: Caller, body: StartBody, request: Request) -> tuple[str, WorkflowResult | None]:
    """Record the run; tells its id, and how it stands if it is new. Raises InvalidError (SpecNotFoundError for
    a version there is not), IdempotencyConflictError, and what `Engine.record` raises."""
    _check(body)
    tenant, key = caller.tenant, idempotency_key(request)
    named = await _named(ports, tenant, body)
    run_id = body.run_id if body.run_id is not None or key is None else run_id_of(key)
    started = await ports.ask(_first_event, named, tenant, run_id, body)
    if (asked_in := trace_of(request.scope["headers"])) is not None:
        started = replace(started, trace=asked_in.header())
    fresh = await claim(ports, caller, request, key, body)
    if not fresh and body.run_id is None and await ports.ask(ports.store.heads, [stream_of(tenant, started.run_id)]):
        return started.run_id, None  # What the name of a workflow stands for may be another version by now.
    result, new = await ports.engine.begin(started)
    return result.run_id, result if new else None


def _check(body: StartBody) -> None:
    problems: list[Problem] = []
    if body.run_id is not None:
        problems += _problems("/run_id", check_run_id, body.run_id)
    problems += _problems("/seed", check_seed, body.seed)
    problems += _problems("/queue", check_queue, body.queue)
    if body.policy is not None:
        problems += _problems("/policy", Policy.parse, body.policy)
    if (body.spec is None) == (body.workflow is None):
        problems.append(Problem("", "either spec or workflow must be given, and not both", "give one of them"))
    elif body.version is not None and body.workflow is None:
        problems.append(Problem("/version", "version goes with workflow; a spec has its own", "remove it"))
    if body.workflow is not None:
        name = body.workflow if body.version is None else f"{body.workflow}#{body.version}"
        problems += _problems("/workflow", parse_name, name)
    if problems:
        raise InvalidError(first_in_order(problems, body.model_dump(exclude_unset=True)))


async def _named(ports: Ports, tenant: str, body: StartBody) -> Target | None:
    if body.workflow is None:
        return None
    name = body.workflow if body.version is None else f"{body.workflow}#{body.version}"
    return await ports.engine.named(name, tenant)


def _spec(body: StartBody) -> WorkflowSpec:
    try:
        return WorkflowSpec.parse(body.spec)
    except SpecError as error:
        raise SpecError([p._replace(pointer=f"/spec{p.pointer}") for p in error.problems]) from None


def _first_event(named: Target | None, tenant: str, run_id: str | None, body: StartBody) -> RunStarted:
    """The run's first event, for the engine to record: what is refused is refused here, off the event loop."""
    try:
        return first_event(
            named or _spec(body),
            run_id,
            body.seed,
            body.inputs,
            body.agent_id,
            tenant,
            queue=body.queue,
            priority=body.priority,
            source=body.source,
            policy=body.policy,
            skills=None,
            limits=Limits(),
            at=0,
        )
    except CallError as error:  # All else is checked above: it speaks of the inputs.
        raise CallError([p if p.pointer else p._replace(pointer="/inputs") for p in error.problems]) from None


def _problems(pointer: str, check: Callable[[Any], object], value: object) -> list[Problem]:
    try:
        check(value)
    except InvalidError as error:
        return [problem._replace(pointer=pointer + problem.pointer) for problem in error.problems]
    return []
